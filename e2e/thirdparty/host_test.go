package thirdparty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/helper/pluginutils/hclspecutils"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/droverhq/drover/e2e/harness"
)

// host is one of our plugins under the other project's own client, with the directories of one allocation.
type host struct {
	t      *testing.T
	binary string
	dir    string // allocation
	env    []string
	client *plugin.Client
	drivers.DriverPlugin
}

func newHost(t *testing.T, binary, config string) *host {
	t.Helper()
	h := &host{t: t, binary: filepath.Join(harness.Bin(t), binary)}
	var err error
	if h.dir, err = os.MkdirTemp("", "tp"); err != nil {
		t.Fatal(err)
	}
	// Keepers and the like belong to this directory, so that nothing of another agent is met.
	h.env = append(os.Environ(), "DROVER_RUN_DIR="+filepath.Join(h.dir, "run"), "TMPDIR="+h.dir)
	for _, d := range []string{"alloc/logs", "alloc/data", "t/local", "t/secrets", "t/tmp", "run"} {
		if err := os.MkdirAll(filepath.Join(h.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.launch(config)
	t.Cleanup(func() {
		h.client.Kill()
		harness.Eventually(t, limit, "every process of "+binary+" ends", func() error {
			if left := processes(h.dir); len(left) > 0 {
				return fmt.Errorf("left: %v", left)
			}
			return nil
		})
		os.RemoveAll(h.dir)
	})
	return h
}

// launch starts a plugin process and configures it as a node of that project does.
func (h *host) launch(config string) {
	h.t.Helper()
	cmd := exec.Command(h.binary)
	cmd.Env = h.env
	h.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig: base.Handshake,
		Plugins: map[string]plugin.Plugin{
			base.PluginTypeBase:   &base.PluginBase{},
			base.PluginTypeDriver: drivers.NewDriverPlugin(nil, hclog.NewNullLogger()),
		},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	h.DriverPlugin = h.dispense()
	schema, err := h.ConfigSchema()
	if err != nil {
		h.t.Fatal(err)
	}
	raw := encode(h.t, schema, config)
	for _, agent := range []*base.AgentConfig{nil, {Driver: &base.ClientDriverConfig{ClientMinPort: 14000, ClientMaxPort: 14512}}} {
		if err := h.SetConfig(&base.Config{ApiVersion: drivers.ApiVersion010, PluginConfig: raw, AgentConfig: agent}); err != nil {
			h.t.Fatalf("set config: %v", err)
		}
	}
}

func (h *host) dispense() drivers.DriverPlugin {
	h.t.Helper()
	rpc, err := h.client.Client()
	if err != nil {
		h.t.Fatalf("handshake: %v", err)
	}
	raw, err := rpc.Dispense(base.PluginTypeDriver)
	if err != nil {
		h.t.Fatal(err)
	}
	return raw.(drivers.DriverPlugin)
}

// kill9 ends the plugin's process without its help.
func (h *host) kill9() {
	h.t.Helper()
	pid := h.client.ReattachConfig().Pid
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	harness.Eventually(h.t, limit, "the client sees the end", func() error {
		if !h.client.Exited() {
			return fmt.Errorf("pid %d", pid)
		}
		return nil
	})
}

// value decodes HCL's JSON form by a plugin's schema with that project's own code.
func value(t *testing.T, schema *hclspec.Spec, config string) (cty.Value, error) {
	t.Helper()
	spec, diags := hclspecutils.Convert(schema)
	if diags.HasErrors() {
		t.Fatalf("the schema is not understood: %v", diags)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(config), &m); err != nil {
		t.Fatal(err)
	}
	v, diags, errs := hclutils.ParseHclInterface(m, spec, nil)
	if diags.HasErrors() {
		return v, fmt.Errorf("%v", errs)
	}
	return v, nil
}

func encode(t *testing.T, schema *hclspec.Spec, config string) []byte {
	t.Helper()
	v, err := value(t, schema, config)
	if err != nil {
		t.Fatal(err)
	}
	b, err := msgpack.Marshal(v, v.Type())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// task is what a node would send to start the task with that config.
func (h *host) task(id, config string) *drivers.TaskConfig {
	h.t.Helper()
	c := &drivers.TaskConfig{
		ID: "a10c/t/" + id, Name: "t", AllocID: "a10c", AllocDir: h.dir, JobName: "j", JobID: "j", TaskGroupName: "g", Namespace: "default",
		Env: map[string]string{
			"NOMAD_ALLOC_DIR": filepath.Join(h.dir, "alloc"), "NOMAD_TASK_DIR": filepath.Join(h.dir, "t/local"), "NOMAD_SECRETS_DIR": filepath.Join(h.dir, "t/secrets"),
			"NOMAD_ALLOC_ID": "a10c", "NOMAD_TASK_NAME": "t", "PATH": os.Getenv("PATH"),
		},
		StdoutPath: h.fifo(id + ".stdout"), StderrPath: h.fifo(id + ".stderr"),
		Resources: &drivers.Resources{
			NomadResources: &structs.AllocatedTaskResources{Cpu: structs.AllocatedCpuResources{CpuShares: 50}, Memory: structs.AllocatedMemoryResources{MemoryMB: 64}},
			LinuxResources: &drivers.LinuxResources{CPUShares: 50, MemoryLimitBytes: 64 << 20, PercentTicks: 0.01},
		},
	}
	schema, err := h.TaskConfigSchema()
	if err != nil {
		h.t.Fatal(err)
	}
	v, err := value(h.t, schema, config)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := c.EncodeDriverConfig(v); err != nil {
		h.t.Fatal(err)
	}
	return c
}

// fifo makes a pipe whose bytes end in a file of the same name with the suffix .log.
func (h *host) fifo(name string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, "alloc/logs", "."+name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		h.t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	log, err := os.Create(path + ".log")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { r.Close() })
	go func() {
		defer log.Close()
		io.Copy(log, r)
	}()
	return path
}

// logs waits until the pipe brought text.
func (h *host) logs(fifo, want string) {
	h.t.Helper()
	harness.Eventually(h.t, limit, "output "+strconv.Quote(want), func() error {
		b, err := os.ReadFile(fifo + ".log")
		if err == nil && !strings.Contains(string(b), want) {
			err = fmt.Errorf("have %q", b)
		}
		return err
	})
}

func (h *host) exit(id string) *drivers.ExitResult {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	ch, err := h.WaitTask(ctx, id)
	if err != nil {
		h.t.Fatal(err)
	}
	select {
	case r := <-ch:
		return r
	case <-ctx.Done():
		h.t.Fatalf("task %s does not end", id)
		return nil
	}
}

func recoverable(err error) bool {
	var r interface{ IsRecoverable() bool }
	return errors.As(err, &r) && r.IsRecoverable()
}

// processes are those that name the directory in their command line or environment.
func processes(dir string) (out []string) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		cmd, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if len(cmd) > 0 && strings.Contains(string(cmd)+string(env), dir) {
			out = append(out, e.Name()+" "+strings.ReplaceAll(string(cmd), "\x00", " "))
		}
	}
	return out
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func next[T any](t *testing.T, ch <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v, ok := <-ch:
		if !ok {
			t.Fatalf("%s: the stream ended", what)
		}
		return v
	case <-time.After(limit):
		t.Fatalf("%s: nothing within %s", what, limit)
	}
	return v
}

// reattach is what a restarted node does: a second client of the same process.
func reattach(h *host) drivers.DriverPlugin {
	h.t.Helper()
	first := h.client.ReattachConfig()
	h.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  base.Handshake,
		Plugins:          map[string]plugin.Plugin{base.PluginTypeDriver: drivers.NewDriverPlugin(nil, hclog.NewNullLogger())},
		Reattach:         &plugin.ReattachConfig{Protocol: first.Protocol, Addr: first.Addr, Pid: first.Pid},
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	h.DriverPlugin = h.dispense()
	return h.DriverPlugin
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		t.Fatal(err)
	}
}
