// Package wine runs the Windows binaries under Wine, which has no user of its own to ask: what it proves and what only a
// real Windows can prove is listed in docs/guide/windows.md.
package wine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// machine is a Windows machine: a Wine prefix of its own.
type machine struct {
	t       testing.TB
	prefix  string // on this system's paths
	windows string // directory with the binaries of `make windows`
}

// newMachine installs a machine that is gone, with all its processes, when the test ends.
func newMachine(t testing.TB) *machine {
	t.Helper()
	for _, tool := range []string{"wine", "wineserver", "x86_64-w64-mingw32-gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: run `make deps`", tool)
		}
	}
	m := &machine{t: t, windows: filepath.Join(harness.Bin(t), "windows")}
	if _, err := os.Stat(filepath.Join(m.windows, "drover.exe")); err != nil {
		t.Fatalf("no binaries to test: %v; run `make windows` first", err)
	}
	var err error
	if m.prefix, err = os.MkdirTemp("", "wine"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill := exec.Command("wineserver", "-k")
		kill.Env = m.environ()
		_ = kill.Run() // fails when nothing runs any more
		os.RemoveAll(m.prefix)
	})
	m.must(exec.Command("wine", "wineboot", "-i"))
	m.must(exec.Command("x86_64-w64-mingw32-gcc", "-shared", "-O", "-o",
		filepath.Join(m.prefix, "drive_c", "windows", "system32", "bcryptprimitives.dll"), "testdata/bcryptprimitives.c", "-ladvapi32"))
	m.stayUp()
	return m
}

// stayUp keeps a shell open that waits for input: with its last program a Wine machine shuts down, services included.
func (m *machine) stayUp() {
	m.t.Helper()
	shell := exec.Command("wine", "cmd.exe")
	shell.Env = m.environ()
	in, err := shell.StdinPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		in.Close()
		_ = shell.Wait()
	})
}

// environ keeps Wine from looking for a display and from printing what it lacks.
func (m *machine) environ() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "DISPLAY=") && !strings.HasPrefix(entry, "NOMAD_") && !strings.HasPrefix(entry, "DROVER_") {
			env = append(env, entry)
		}
	}
	return append(env, "WINEPREFIX="+m.prefix, "WINEDEBUG=-all", "WINEARCH=win64")
}

func (m *machine) must(cmd *exec.Cmd) string {
	m.t.Helper()
	cmd.Env = m.environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// run runs a Windows program to its end, which must be a good one.
func (m *machine) run(program string, args ...string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	return m.must(exec.CommandContext(ctx, "wine", append([]string{program}, args...)...))
}

// try runs a Windows program that may fail.
func (m *machine) try(program string, args ...string) (string, error) {
	cmd := exec.Command("wine", append([]string{program}, args...)...)
	cmd.Env = m.environ()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// file is what this system calls a file of the machine's drive C.
func (m *machine) file(name ...string) string {
	return filepath.Join(append([]string{m.prefix, "drive_c"}, name...)...)
}

// install copies plugins into a new plugin directory.
func (m *machine) install(plugins ...string) string {
	m.t.Helper()
	dir := m.file("plugins")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
	for _, name := range plugins {
		data, err := os.ReadFile(filepath.Join(m.windows, "plugins", name))
		if err != nil {
			m.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o755); err != nil {
			m.t.Fatal(err)
		}
	}
	return `C:\plugins`
}

// agent is a Windows agent. Calls and commands come from this system, over loopback, which both share.
type agent struct {
	*harness.Agent
	m   *machine
	cmd *exec.Cmd
	log *bytes.Buffer
}

// configure writes an agent's configuration to C:\agent.hcl and returns the agent's address.
func (m *machine) configure(config string) string {
	m.t.Helper()
	ports := harness.FreePorts(m.t)
	text := fmt.Sprintf("data_dir = %q\nserver { enabled = true }\nclient { enabled = true }\nports {\n http = %d\n rpc = %d\n serf = %d\n}\n%s",
		`C:\data`, ports.HTTP, ports.RPC, ports.Serf, config)
	if err := os.WriteFile(m.file("agent.hcl"), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", ports.HTTP)
}

// start runs an agent until the test ends. config is added to its configuration.
func (m *machine) start(pluginDir, config string) *agent {
	m.t.Helper()
	a := &agent{Agent: harness.Reach(m.t, m.configure(config)), m: m, log: new(bytes.Buffer)}
	a.cmd = exec.Command("wine", filepath.Join(m.windows, "drover.exe"), "agent", "-config", `C:\agent.hcl`, "-plugin-dir", pluginDir)
	a.cmd.Env = m.environ()
	a.cmd.Stdout, a.cmd.Stderr = a.log, a.log
	a.cmd.WaitDelay = time.Second // processes that outlive the agent hold its output
	if err := a.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = a.cmd.Wait()
		close(ended)
	}()
	m.t.Cleanup(func() {
		_ = a.cmd.Process.Kill()
		<-ended
		if m.t.Failed() {
			m.t.Logf("agent log:\n%s", a.log)
		}
	})
	harness.Eventually(m.t, 2*time.Minute, "agent ready", func() error {
		select {
		case <-ended:
			m.t.Fatal("the agent ended")
		default:
		}
		return a.Get("/v1/agent/health", nil)
	})
	return a
}

// waitDriver waits until the node offers a driver.
func (a *agent) waitDriver(name string) map[string]string {
	a.m.t.Helper()
	var node struct {
		Attributes map[string]string
		Drivers    map[string]struct {
			Detected, Healthy bool
			HealthDescription string
		}
	}
	harness.Eventually(a.m.t, time.Minute, "driver "+name+" healthy", func() error {
		var nodes []struct{ ID string }
		if err := a.Get("/v1/nodes", &nodes); err != nil || len(nodes) == 0 {
			return fmt.Errorf("no node: %v", err)
		}
		if err := a.Get("/v1/node/"+nodes[0].ID, &node); err != nil {
			return err
		}
		if d := node.Drivers[name]; !d.Healthy {
			return fmt.Errorf("detected %t: %s", d.Detected, d.HealthDescription)
		}
		return nil
	})
	return node.Attributes
}
