//go:build linux

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// servePlugin makes this test binary a driver plugin. What it does besides comes from the environment, which the script
// in plugin_dir sets.
func servePlugin() {
	if text := os.Getenv("T_WAIL"); text != "" {
		go wail(text)
	}
	d := &testDriver{tasks: map[string]chan struct{}{}}
	info := driver.Info{Name: envOr("T_NAME", "test"), Version: envOr("T_VERSION", "1.0.0")}
	if os.Getenv("T_HAND_OVER") != "" {
		plugin.Serve(driver.New(info, movingDriver{d}))
		return
	}
	plugin.Serve(driver.New(info, d))
}

func envOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// wail writes to stderr every 10 ms and dies of a broken pipe, as plugins do that know nothing of us.
func wail(text string) {
	for i := 0; ; i++ {
		_, err := syscall.Write(2, fmt.Appendf(nil, "[INFO] %s %d %d\n", text, os.Getpid(), i))
		if errors.Is(err, syscall.EPIPE) {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// testDriver keeps tasks in its memory; they end when they are stopped.
type testDriver struct {
	mu      sync.Mutex
	configs int
	looks   int
	config  testPluginConfig
	tasks   map[string]chan struct{}
}

type testPluginConfig struct {
	Mood   string `config:"mood" default:"calm"`
	Refuse bool   `config:"refuse"`
}

type testTaskConfig struct {
	Command string `config:"command,required"`
	Events  int    `config:"events"`
}

type testState struct{ Started int64 }

func (d *testDriver) Config() driver.ConfigHandler { return driver.Configure(d.configure) }

func (d *testDriver) configure(_ context.Context, c *driver.Configuration[testPluginConfig]) error {
	if os.Getenv("T_HANG") == "SetConfig" {
		select {}
	}
	if c.Config.Refuse {
		return errors.New("I was told to refuse")
	}
	if c.Node == nil || c.Node.Topology == nil || c.Node.Topology.UsableCores() == 0 {
		return errors.New("no topology")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.configs++
	d.config = c.Config
	return nil
}

func (d *testDriver) FingerprintInterval() time.Duration {
	if os.Getenv("T_FLOOD") != "" {
		return time.Millisecond
	}
	return 30 * time.Second
}

func (d *testDriver) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	if os.Getenv("T_HANG") == "Fingerprint" {
		select {}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	health := driver.Healthy
	if os.Getenv("T_FLOOD") != "" && d.looks%2 == 0 {
		health = driver.Unhealthy
	}
	return &driver.Fingerprint{Health: health, Attributes: map[string]attribute.Value{
		"driver.test.configs": attribute.Int(int64(d.configs), ""),
		"driver.test.mood":    attribute.Text(d.config.Mood),
		"driver.test.args":    attribute.Text(strings.Join(os.Args[1:], " ")),
		"driver.test.env":     attribute.Text(strings.Join(os.Environ(), "\n")),
		"driver.test.exe":     attribute.Text(os.Getenv("T_SCRIPT")),
	}}, nil
}

func (d *testDriver) add(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tasks[id] == nil {
		d.tasks[id] = make(chan struct{})
	}
}

func (d *testDriver) Start(_ context.Context, req *driver.StartRequest[testTaskConfig]) (*driver.StartResponse[testState], error) {
	if req.Config.Command == "fail" {
		return nil, driver.Recoverable(errors.New("told to fail"))
	}
	d.add(req.Task.ID)
	if os.Getenv("T_FLOOD") != "" {
		go func() {
			for i := 0; ; i++ {
				req.Emit(strings.Repeat("flood ", 1000), nil)
				fmt.Fprintln(os.Stderr, "flood", i)
			}
		}()
	}
	for i := range req.Config.Events {
		req.Emit(fmt.Sprintf("event %d", i), nil)
	}
	return &driver.StartResponse[testState]{State: testState{Started: 7}}, nil
}

func (d *testDriver) Recover(_ context.Context, req *driver.RecoverRequest[testTaskConfig, testState]) error {
	if req.State.Started != 7 {
		return errors.New("not my state")
	}
	switch os.Getenv("T_RECOVER") {
	case "fail":
		if strings.HasSuffix(req.Task.ID, "bad") {
			return errors.New("told not to recover it")
		}
	case "hang":
		select {}
	case "die":
		os.Exit(3)
	}
	d.add(req.Task.ID)
	return nil
}

func (d *testDriver) task(id string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.tasks[id]
}

func (d *testDriver) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	select {
	case <-d.task(id):
		return &driver.ExitResult{ExitCode: 5}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *testDriver) Stop(_ context.Context, req *driver.StopRequest) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.tasks[req.TaskID]; c != nil {
		select {
		case <-c:
		default:
			close(c)
		}
	}
	return nil
}

func (d *testDriver) Destroy(ctx context.Context, req *driver.DestroyRequest) error {
	_ = d.Stop(ctx, &driver.StopRequest{TaskID: req.TaskID})
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tasks, req.TaskID)
	return nil
}

// movingDriver can hand its tasks over, and run commands that echo their input.
type movingDriver struct{ *testDriver }

func (d movingDriver) Release(_ context.Context, id string) error {
	if os.Getenv("T_RELEASE") == "fail" {
		return errors.New("told not to release it")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tasks, id)
	return nil
}

func (movingDriver) Exec(_ context.Context, req *driver.ExecRequest) (*driver.ExitResult, error) {
	_, err := io.Copy(req.Stdout, req.Stdin)
	return &driver.ExitResult{ExitCode: 9}, err
}

func (movingDriver) Stats(context.Context, string) (*driver.TaskStats, error) {
	return &driver.TaskStats{}, nil
}
