package docker

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

// patience bounds every wait of the tests.
const patience = 60 * time.Second

// rig is a node: a plugin process, an allocation, a log collector and the tests' dockerd.
type rig struct {
	*testing.T
	daemon    *daemon
	nodeID    string
	dir       string
	config    map[string]any
	env       []string
	collector *collector // nil: FIFOs

	process   *host.Process
	driver    *host.Driver
	processes []*host.Process
	tasks     []*driver.TaskConfig

	mu     sync.Mutex
	events []driver.TaskEvent
	next   int
}

func newRig(t *testing.T, config map[string]any) *rig {
	t.Helper()
	r := &rig{T: t, daemon: docker(t), nodeID: "node-" + strings.ReplaceAll(t.Name(), "/", "-"), config: map[string]any{}}
	dir, err := os.MkdirTemp("", "rig")
	if err != nil {
		t.Fatal(err)
	}
	r.dir = dir
	maps.Copy(r.config, config)
	r.config["endpoint"] = r.daemon.endpoint()
	r.collector = newCollector(t, filepath.Join(dir, "logs.sock"))
	r.env = []string{LogSocketVariable + "=" + r.collector.path}
	t.Cleanup(func() {
		for _, task := range r.tasks {
			r.destroy(task)
		}
		for _, p := range r.processes {
			r.kill(p)
		}
		r.audit()
		_ = os.RemoveAll(dir)
	})
	return r
}

// launch starts a plugin process; before it there may have been others.
func (r *rig) launch() *rig {
	r.Helper()
	self, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stderr, err := os.OpenFile(filepath.Join(r.dir, "stderr"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.Fatal(err)
	}
	defer stderr.Close()
	p, err := host.Launch(ctx, host.LaunchConfig{
		Path: self, Args: []string{pluginVerb}, Stderr: stderr, Env: append(host.HandshakeEnv(), append(r.env, "PATH="+os.Getenv("PATH"))...),
	})
	if err != nil {
		r.Fatal(err)
	}
	r.process, r.driver = p, p.Client.Driver()
	r.processes = append(r.processes, p)
	schema, err := p.Client.ConfigSchema(ctx)
	if err != nil {
		r.Fatal(err)
	}
	raw := &plugin.RawConfig{Node: &plugin.NodeConfig{Topology: plugintest.OneCore()}}
	if raw.Msgpack, err = schema.Encode(r.config, nil); err != nil {
		r.Fatal(err)
	}
	if err := p.Client.SetConfig(ctx, raw); err != nil {
		r.Fatal(err)
	}
	follow, stop := context.WithCancel(context.Background())
	r.Cleanup(stop)
	d := r.driver
	go func() { _ = d.Fingerprint(follow, func(driver.Fingerprint) error { return nil }) }()
	go func() {
		_ = d.TaskEvents(follow, func(e driver.TaskEvent) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.events = append(r.events, e)
			return nil
		})
	}()
	return r
}

func (r *rig) kill(p *host.Process) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p.Kill(ctx)
	<-p.Done()
}

func (r *rig) allocDir() string { return filepath.Join(r.dir, "alloc") }

// task makes a task of one shell script.
func (r *rig) task(script string, more map[string]any) *driver.TaskConfig {
	r.Helper()
	config := map[string]any{"image": busybox, "command": "/bin/sh", "args": []any{"-c", script}}
	maps.Copy(config, more)
	return r.plainTask(config)
}

func (r *rig) plainTask(config map[string]any) *driver.TaskConfig {
	r.Helper()
	r.next++
	name := fmt.Sprintf("web%d", r.next)
	t := &driver.TaskConfig{
		ID: fmt.Sprintf("%s/%s/%08x", r.nodeID, name, r.next), Name: name, AllocID: r.nodeID, NodeID: r.nodeID, JobName: "job", Namespace: "default",
		AllocDir: r.allocDir(), Env: map[string]string{"NOMAD_ALLOC_DIR": "/alloc", "NOMAD_TASK_DIR": "/local", "NOMAD_SECRETS_DIR": "/secrets"},
		Resources: driver.Resources{CPUShares: 100, MemoryMB: 64, Linux: driver.LinuxResources{CPUShares: 100, PercentTicks: 0.1}},
	}
	for _, dir := range []string{t.SharedDir() + "/logs", t.LocalDir(), t.SecretsDir()} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			r.Fatal(err)
		}
	}
	t.StdoutPath, t.StderrPath = r.dir+"/"+name+".out", r.dir+"/"+name+".err"
	if r.collector != nil {
		r.collector.open(t.StdoutPath)
		r.collector.open(t.StderrPath)
	}
	r.configure(t, config)
	return t
}

func (r *rig) configure(t *driver.TaskConfig, config map[string]any) {
	r.Helper()
	schema, err := r.driver.TaskConfigSchema(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	if t.DriverConfig, err = schema.Encode(config, nil); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) start(t *driver.TaskConfig) *host.StartResult {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	started, err := r.driver.StartTask(ctx, t)
	if err != nil {
		r.Fatal(err)
	}
	r.tasks = append(r.tasks, t)
	return started
}

// refused starts a task that must not start and returns why.
func (r *rig) refused(t *driver.TaskConfig) error {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	_, err := r.driver.StartTask(ctx, t)
	if err == nil {
		r.destroy(t)
		r.Fatal("the task was started")
	}
	return err
}

func (r *rig) destroy(t *driver.TaskConfig) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = r.driver.DestroyTask(ctx, t.ID, true)
}

func (r *rig) wait(t *driver.TaskConfig) *driver.ExitResult {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	exit, err := r.driver.WaitTask(ctx, t.ID)
	if err != nil {
		r.Fatal(err)
	}
	return exit
}

func (r *rig) exec(t *driver.TaskConfig, argv ...string) (string, *driver.ExitResult) {
	r.Helper()
	done, err := r.driver.ExecTask(r.Context(), t.ID, argv, patience)
	if err != nil {
		r.Fatal(err)
	}
	return string(done.Stdout), &done.Exit
}

func (r *rig) out(t *driver.TaskConfig) string { return r.collector.text(t.StdoutPath) }
func (r *rig) err(t *driver.TaskConfig) string { return r.collector.text(t.StderrPath) }

// inspect is the engine's own view of a task's container.
func (r *rig) inspect(t *driver.TaskConfig) container.InspectResponse {
	r.Helper()
	found, err := r.daemon.client.ContainerInspect(r.Context(), spec.Name(t), client.ContainerInspectOptions{})
	if err != nil {
		r.Fatal(err)
	}
	return found.Container
}

// until waits for something that will happen.
func (r *rig) until(what string, f func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !f(); {
		if time.Now().After(end) {
			text, _ := os.ReadFile(filepath.Join(r.dir, "stderr"))
			r.Fatalf("not within %s: %s\n%s", patience, what, text[max(0, len(text)-3000):])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (r *rig) sawEvent(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.events, func(e driver.TaskEvent) bool { return strings.Contains(e.Message, part) })
}

// containers of this rig's node, whatever their state.
func (r *rig) containers() []container.Summary {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	list, err := r.daemon.client.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", spec.LabelAlloc+"="+r.nodeID)})
	if err != nil {
		r.Error(err)
	}
	return list.Items
}

// audit finds what a test left.
func (r *rig) audit() {
	for _, c := range r.containers() {
		r.Errorf("container %v is left: %s", c.Names, c.Status)
		_ = removeContainer(context.Background(), r.daemon.client, c.ID)
	}
}

func (r *rig) hasImage(name string) bool {
	_, err := r.daemon.client.ImageInspect(context.Background(), name)
	return err == nil
}

func lines(prefix string, n int) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "%s %d\n", prefix, i)
	}
	return b.String()
}
