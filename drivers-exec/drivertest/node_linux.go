// Package drivertest runs a driver of this module as a real plugin process for
// tests: with an allocation directory, FIFOs and somebody who reads them, and
// an audit of what is left when the test ends.
package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/keeper"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

// PluginVerb makes a test binary serve its driver; see [Main].
const PluginVerb = "plugin"

// Main is a TestMain: the test binary is also the driver's plugin and keeper.
func Main(m *testing.M, name string, serve func()) {
	if code, ok := executor.Main(name, os.Args[1:]); ok {
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == PluginVerb {
		serve()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Node is a machine with one driver plugin and one allocation.
type Node struct {
	testing.TB
	Name   string
	Config map[string]any
	// Dir is the run directory, AllocDir the allocation's.
	Dir      string
	AllocDir string
	Plugin   *host.Process

	id    string // begins the tasks' ids: nodes run side by side
	mu    sync.Mutex
	next  int
	tasks map[string]*output
}

// output reads what a task writes.
type output struct {
	fifo *os.File
	mu   sync.Mutex
	text bytes.Buffer
}

// New makes a node and launches its plugin with a configuration. When the test
// ends it destroys all tasks and checks that nothing is left.
func New(t testing.TB, name string, config map[string]any) *Node {
	t.Helper()
	dir, err := os.MkdirTemp("", "node")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n := &Node{TB: t, id: filepath.Base(dir), Name: name, Config: config, Dir: filepath.Join(dir, "run"), AllocDir: filepath.Join(dir, "alloc", "a1b2"), tasks: map[string]*output{}}
	for _, d := range []string{"alloc/data", "alloc/logs", "alloc/tmp"} {
		n.mkdir(filepath.Join(n.AllocDir, d), 0o777)
	}
	t.Cleanup(func() {
		n.audit()
		os.RemoveAll(dir)
	})
	n.Launch()
	return n
}

func (n *Node) mkdir(path string, mode os.FileMode) {
	n.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		n.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		n.Fatal(err)
	}
}

// Launch starts the plugin and configures it.
func (n *Node) Launch() {
	n.Helper()
	self, err := os.Executable()
	if err != nil {
		n.Fatal(err)
	}
	n.LaunchBinary(self, PluginVerb)
}

// LaunchBinary starts another build of the plugin.
func (n *Node) LaunchBinary(path string, args ...string) {
	n.Helper()
	ctx := context.Background()
	p, err := host.Launch(ctx, host.LaunchConfig{
		Path: path, Args: args, Stderr: os.Stderr,
		Env: append(host.HandshakeEnv(), executor.RunDirVariable+"="+n.Dir),
	})
	if err != nil {
		n.Fatal(err)
	}
	n.Plugin = p
	spec, err := p.Client.ConfigSchema(ctx)
	if err != nil {
		n.Fatal(err)
	}
	raw := &plugin.RawConfig{Node: &plugin.NodeConfig{MinPort: 14000, MaxPort: 14512, Topology: plugintest.OneCore()}}
	if raw.Msgpack, err = spec.Encode(n.Config, nil); err != nil {
		n.Fatal(err)
	}
	if err := p.Client.SetConfig(ctx, raw); err != nil {
		n.Fatal(err)
	}
	if err := p.Client.Driver().Init(ctx); err != nil {
		n.Fatal(err)
	}
}

// Kill ends the plugin with SIGKILL.
func (n *Node) Kill() {
	n.Helper()
	if err := n.Plugin.Process().Kill(); err != nil {
		n.Fatal(err)
	}
	<-n.Plugin.Done()
	n.Plugin.Client.Close()
}

// Driver is the plugin's driver.
func (n *Node) Driver() *host.Driver { return n.Plugin.Client.Driver() }

// KeeperDir is the directory of the driver's keeper.
func (n *Node) KeeperDir() string { return filepath.Join(n.Dir, n.Name) }

// Keeper returns the process of the keeper that runs.
func (n *Node) Keeper() proc.ID {
	n.Helper()
	c, err := keeper.Dial(context.Background(), n.KeeperDir(), func(keeper.Task) {})
	if err != nil {
		n.Fatal(err)
	}
	defer c.Close()
	return c.Keeper()
}

// Task makes a task's directories, FIFOs and config. The config is that of the
// driver, as in a job.
func (n *Node) Task(config map[string]any) *driver.TaskConfig {
	n.Helper()
	n.mu.Lock()
	n.next++
	name := fmt.Sprintf("task%d", n.next)
	n.mu.Unlock()
	t := &driver.TaskConfig{
		ID: fmt.Sprintf("%s/%s/%08x", n.id, name, time.Now().UnixNano()&0xffffffff), Name: name, AllocID: "a1b2", AllocDir: n.AllocDir,
		Env:       map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "GREETING": "hello"},
		Resources: driver.Resources{CPUShares: 100, MemoryMB: 64, Linux: driver.LinuxResources{CPUShares: 100, MemoryLimitBytes: 64 << 20}},
	}
	for dir, mode := range map[string]os.FileMode{"local": 0o777, "secrets": 0o777, "private": 0o777, "tmp": 0o1777} {
		n.mkdir(filepath.Join(t.TaskDir(), dir), mode)
		if mode == 0o1777 {
			os.Chmod(filepath.Join(t.TaskDir(), dir), 0o777|os.ModeSticky)
		}
	}
	spec, err := n.Driver().TaskConfigSchema(context.Background())
	if err != nil {
		n.Fatal(err)
	}
	if t.DriverConfig, err = spec.Encode(config, nil); err != nil {
		n.Fatal(err)
	}
	t.StdoutPath, t.StderrPath = n.fifo(t, "stdout"), n.fifo(t, "stderr")
	return t
}

func (n *Node) fifo(t *driver.TaskConfig, stream string) string {
	path := filepath.Join(n.AllocDir, "alloc", "logs", "."+t.Name+"."+stream+".fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		n.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		n.Fatal(err)
	}
	o := &output{fifo: f}
	n.mu.Lock()
	n.tasks[t.ID+stream] = o
	n.mu.Unlock()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			k, err := f.Read(buf)
			if err != nil {
				return
			}
			o.mu.Lock()
			o.text.Write(buf[:k])
			o.mu.Unlock()
		}
	}()
	return path
}

// Start starts a task, which the end of the test destroys.
func (n *Node) Start(t *driver.TaskConfig) *driver.TaskHandle {
	n.Helper()
	r, err := n.Driver().StartTask(context.Background(), t)
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() {
		err := n.Driver().DestroyTask(context.Background(), t.ID, true)
		if err != nil && !errors.Is(err, host.ErrTaskNotFound) {
			n.Errorf("destroy task: %v", err)
		}
	})
	return &r.Handle
}

// Run starts a task, waits for its end and destroys it. The output is
// stdout's, complete.
func (n *Node) Run(t *driver.TaskConfig) (*driver.ExitResult, string) {
	n.Helper()
	n.Start(t)
	exit := n.Wait(t)
	out := n.Drained(t)
	if err := n.Driver().DestroyTask(context.Background(), t.ID, true); err != nil {
		n.Fatal(err)
	}
	return exit, out
}

// Wait waits for a task's end.
func (n *Node) Wait(t *driver.TaskConfig) *driver.ExitResult {
	n.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	exit, err := n.Driver().WaitTask(ctx, t.ID)
	if err != nil {
		n.Fatal(err)
	}
	return exit
}

// PID is the task's process as the plugin tells it.
func (n *Node) PID(t *driver.TaskConfig) int {
	n.Helper()
	st, err := n.Driver().InspectTask(context.Background(), t.ID)
	if err != nil {
		n.Fatal(err)
	}
	var pid int
	fmt.Sscan(st.Attributes["pid"], &pid)
	return pid
}

// Output waits until the task's stdout contains a text and returns all of it.
func (n *Node) Output(t *driver.TaskConfig, want string) string {
	n.Helper()
	return n.until(t, "stdout", func(s string) bool { return strings.Contains(s, want) }, want)
}

// Drained returns stdout when a task has ended and its pipe is empty.
func (n *Node) Drained(t *driver.TaskConfig) string {
	n.Helper()
	n.mu.Lock()
	o := n.tasks[t.ID+"stdout"]
	n.mu.Unlock()
	if o == nil {
		return "" // nobody reads
	}
	return n.until(t, "stdout", func(string) bool {
		k, err := unix.IoctlGetInt(int(o.fifo.Fd()), unix.TIOCINQ)
		return err == nil && k == 0
	}, "an empty pipe")
}

func (n *Node) until(t *driver.TaskConfig, stream string, ok func(string) bool, want string) string {
	n.Helper()
	n.mu.Lock()
	o := n.tasks[t.ID+stream]
	n.mu.Unlock()
	deadline := time.Now().Add(60 * time.Second)
	for {
		o.mu.Lock()
		text := o.text.String()
		o.mu.Unlock()
		if ok(text) {
			return text
		}
		if time.Now().After(deadline) {
			n.Fatalf("output of %s lacks %q:\n%s", t.ID, want, text)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// audit stops the plugin and fails the test for anything that is left.
func (n *Node) audit() {
	k, _ := keeper.Dial(context.Background(), n.KeeperDir(), func(keeper.Task) {})
	if n.Plugin != nil {
		n.Plugin.Kill(context.Background())
	}
	if k != nil {
		for _, t := range k.Held() {
			n.Errorf("keeper still holds %s: %+v", t.ID, t)
		}
		pidfd, err := k.Keeper().Open()
		k.Close()
		if err == nil {
			p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
			if m, _ := unix.Poll(p, 10000); m == 0 {
				n.Errorf("keeper %d does not end", k.Keeper().PID)
				_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
			}
			unix.Close(pidfd)
		}
	}
	if left, err := keeper.Records(n.KeeperDir()); err != nil || len(left) > 0 {
		n.Errorf("records left: %v %v", left, err)
	}
	host, err := cgroup.Detect()
	if err != nil {
		n.Error(err)
	}
	for _, base := range append([]string{host.Unified}, values(host.V1)...) {
		if left, _ := filepath.Glob(filepath.Join(base, cgroup.Parent, n.id+".*")); len(left) > 0 {
			n.Errorf("cgroups left: %v", left)
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	if strings.Contains(string(mounts), filepath.Dir(n.Dir)) {
		n.Errorf("mounts left under %s", filepath.Dir(n.Dir))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.tasks {
		o.fifo.Close()
	}
}

func values(m map[string]string) (list []string) {
	for _, v := range m {
		list = append(list, v)
	}
	return list
}
