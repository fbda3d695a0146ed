package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/structs"
	"github.com/hashicorp/nomad/drivers/shared/eventer"
	"github.com/hashicorp/nomad/drivers/shared/executor"
	nstructs "github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	pstructs "github.com/hashicorp/nomad/plugins/shared/structs"
)

const name = "third"

// config is the plugin block.
type config struct {
	Greeting string              `codec:"greeting"`
	Tags     map[string]string   `codec:"tags"`
	Pool     []map[string]string `codec:"pool"`
}

// taskConfig is a task's config block.
type taskConfig struct {
	Command string   `codec:"command"`
	Args    []string `codec:"args"`
	// Fail makes starts fail: "recoverable", "fatal" or "plain"; FailTimes bounds how often, 0 = always.
	Fail      string            `codec:"fail"`
	FailTimes int               `codec:"fail_times"`
	Labels    []map[string]any  `codec:"labels"`
	Limits    map[string]int    `codec:"limits"`
	Pair      map[string]string `codec:"pair"`
}

func attr(name, kind string, required bool) *hclspec.Spec {
	return hclspec.NewAttr(name, kind, required)
}

var pluginSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"greeting": hclspec.NewDefault(attr("greeting", "string", false), hclspec.NewLiteral(`"hello"`)),
	"tags":     hclspec.NewBlockAttrs("tags", "string", false),
	"pool": hclspec.NewBlockList("pool", hclspec.NewObject(map[string]*hclspec.Spec{
		"name": attr("name", "string", true),
	})),
})

var taskSpec = hclspec.NewObject(map[string]*hclspec.Spec{
	"command":    attr("command", "string", true),
	"args":       attr("args", "list(string)", false),
	"fail":       attr("fail", "string", false),
	"fail_times": hclspec.NewDefault(attr("fail_times", "number", false), hclspec.NewLiteral("0")),
	"labels":     attr("labels", "list(map(string))", false),
	"limits":     hclspec.NewBlockAttrs("limits", "number", false),
	"pair": hclspec.NewBlock("pair", false, hclspec.NewObject(map[string]*hclspec.Spec{
		"left":  attr("left", "string", true),
		"right": hclspec.NewDefault(attr("right", "string", false), hclspec.NewLiteral(`"right"`)),
	})),
})

type driver struct {
	ctx    context.Context
	log    hclog.Logger
	events *eventer.Eventer
	agent  *base.ClientDriverConfig

	mu     sync.Mutex
	config config
	tasks  map[string]*task
}

func newDriver(ctx context.Context, log hclog.Logger) drivers.DriverPlugin {
	log = log.Named(name)
	return &driver{ctx: ctx, log: log, events: eventer.NewEventer(ctx, log), tasks: map[string]*task{}}
}

func (d *driver) PluginInfo() (*base.PluginInfoResponse, error) {
	return &base.PluginInfoResponse{Type: base.PluginTypeDriver, PluginApiVersions: []string{drivers.ApiVersion010}, PluginVersion: "1.2.3", Name: name}, nil
}

func (d *driver) ConfigSchema() (*hclspec.Spec, error)     { return pluginSpec, nil }
func (d *driver) TaskConfigSchema() (*hclspec.Spec, error) { return taskSpec, nil }

func (d *driver) SetConfig(c *base.Config) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config = config{}
	if len(c.PluginConfig) > 0 {
		if err := base.MsgPackDecode(c.PluginConfig, &d.config); err != nil {
			return err
		}
	}
	if d.config.Greeting == "forbidden" {
		return errors.New("this greeting is forbidden")
	}
	if c.AgentConfig != nil {
		d.agent = c.AgentConfig.Driver
	}
	return nil
}

func (d *driver) Capabilities() (*drivers.Capabilities, error) {
	return &drivers.Capabilities{SendSignals: true, Exec: true, FSIsolation: drivers.FSIsolationNone}, nil
}

func (d *driver) Fingerprint(ctx context.Context) (<-chan *drivers.Fingerprint, error) {
	ch := make(chan *drivers.Fingerprint)
	go func() {
		defer close(ch)
		timer := time.NewTimer(0)
		for {
			select {
			case <-timer.C:
				timer.Reset(30 * time.Second)
			case <-ctx.Done():
				return
			case <-d.ctx.Done():
				return
			}
			d.mu.Lock()
			attrs := map[string]*pstructs.Attribute{
				"driver.third":          pstructs.NewBoolAttribute(true),
				"driver.third.greeting": pstructs.NewStringAttribute(d.config.Greeting),
				"driver.third.tagged":   pstructs.NewStringAttribute(d.config.Tags["colour"]),
				"driver.third.pools":    pstructs.NewIntAttribute(int64(len(d.config.Pool)), ""),
				"driver.third.buffer":   pstructs.NewIntAttribute(64, pstructs.UnitMiB),
			}
			d.mu.Unlock()
			select {
			case ch <- &drivers.Fingerprint{Attributes: attrs, Health: drivers.HealthStateHealthy, HealthDescription: drivers.DriverHealthy}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, nil
}

func (d *driver) task(id string) (*task, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.tasks[id]; t != nil {
		return t, nil
	}
	return nil, drivers.ErrTaskNotFound
}

func (d *driver) keep(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tasks[t.config.ID] = t
}

func (d *driver) StartTask(c *drivers.TaskConfig) (*drivers.TaskHandle, *drivers.DriverNetwork, error) {
	if _, err := d.task(c.ID); err == nil {
		return nil, nil, fmt.Errorf("task with ID %q already started", c.ID)
	}
	var tc taskConfig
	if err := c.DecodeDriverConfig(&tc); err != nil {
		return nil, nil, fmt.Errorf("failed to decode driver config: %v", err)
	}
	if err := tc.failure(c); err != nil {
		return nil, nil, err
	}
	exec, client, err := executor.CreateExecutor(d.log, d.agent, &executor.ExecutorConfig{
		LogFile: filepath.Join(c.TaskDir().Dir, "executor.out"), LogLevel: "debug"})
	if err != nil {
		return nil, nil, fmt.Errorf("failed to create executor: %v", err)
	}
	d.mu.Lock()
	env := append(c.EnvList(), "THIRD_GREETING="+d.config.Greeting)
	d.mu.Unlock()
	ps, err := exec.Launch(&executor.ExecCommand{Cmd: tc.Command, Args: tc.Args, Env: env, User: c.User,
		TaskDir: c.TaskDir().Dir, StdoutPath: c.StdoutPath, StderrPath: c.StderrPath})
	if err != nil {
		client.Kill()
		return nil, nil, fmt.Errorf("failed to launch command: %v", err)
	}
	t := newTask(c, exec, client, ps.Pid, time.Now())
	h := drivers.NewTaskHandle(1)
	h.Config, h.State = c, drivers.TaskStateRunning
	err = h.SetDriverState(&state{Reattach: pstructs.ReattachConfigFromGoPlugin(client.ReattachConfig()), Pid: ps.Pid, StartedAt: t.startedAt})
	if err != nil {
		exec.Shutdown("", 0)
		client.Kill()
		return nil, nil, err
	}
	d.keep(t)
	d.events.EmitEvent(&drivers.TaskEvent{TaskID: c.ID, TaskName: c.Name, AllocID: c.AllocID, Timestamp: time.Now(), Message: "the third driver started pid " + strconv.Itoa(ps.Pid)})
	return h, nil, nil
}

// failure fails a start on request; a file counts across plugin processes.
func (tc *taskConfig) failure(c *drivers.TaskConfig) error {
	if tc.Fail == "" {
		return nil
	}
	count := filepath.Join(c.TaskDir().LocalDir, "starts")
	b, _ := os.ReadFile(count)
	if tc.FailTimes > 0 && len(b) >= tc.FailTimes {
		return nil
	}
	os.WriteFile(count, append(b, 'x'), 0o600)
	err := fmt.Errorf("start number %d fails as asked", len(b)+1)
	switch tc.Fail {
	case "recoverable":
		return nstructs.NewRecoverableError(err, true)
	case "fatal":
		return nstructs.NewRecoverableError(err, false)
	}
	return err
}

// state is all that a new plugin process needs to take a task over.
type state struct {
	Reattach  *pstructs.ReattachConfig
	Pid       int
	StartedAt time.Time
}

func (d *driver) RecoverTask(h *drivers.TaskHandle) error {
	if h == nil || h.Config == nil {
		return errors.New("handle without a config")
	}
	if _, err := d.task(h.Config.ID); err == nil {
		return nil
	}
	var st state
	if err := h.GetDriverState(&st); err != nil {
		return fmt.Errorf("failed to decode driver state: %v", err)
	}
	re, err := pstructs.ReattachConfigToGoPlugin(st.Reattach)
	if err != nil {
		return err
	}
	exec, client, err := executor.ReattachToExecutor(re, d.log)
	if err != nil {
		return fmt.Errorf("failed to reattach to executor: %v", err)
	}
	d.keep(newTask(h.Config, exec, client, st.Pid, st.StartedAt))
	return nil
}

func (d *driver) WaitTask(ctx context.Context, id string) (<-chan *drivers.ExitResult, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	ch := make(chan *drivers.ExitResult, 1)
	go func() {
		defer close(ch)
		select {
		case <-t.done:
			ch <- t.result()
		case <-ctx.Done():
		case <-d.ctx.Done():
		}
	}()
	return ch, nil
}

func (d *driver) StopTask(id string, timeout time.Duration, signal string) error {
	t, err := d.task(id)
	if err != nil {
		return err
	}
	if err := t.exec.Shutdown(signal, timeout); err != nil && !t.ended() {
		return fmt.Errorf("executor shutdown failed: %v", err)
	}
	return nil
}

func (d *driver) DestroyTask(id string, force bool) error {
	t, err := d.task(id)
	if err != nil {
		return err
	}
	if !t.ended() {
		if !force {
			return errors.New("cannot destroy running task")
		}
		t.exec.Shutdown("SIGKILL", 0)
	}
	t.client.Kill()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tasks, id)
	return nil
}

func (d *driver) InspectTask(id string) (*drivers.TaskStatus, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	return t.status(), nil
}

func (d *driver) TaskStats(ctx context.Context, id string, interval time.Duration) (<-chan *structs.TaskResourceUsage, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	return t.exec.Stats(ctx, interval)
}

func (d *driver) TaskEvents(ctx context.Context) (<-chan *drivers.TaskEvent, error) {
	return d.events.TaskEvents(ctx)
}

func (d *driver) SignalTask(id, signal string) error {
	t, err := d.task(id)
	if err != nil {
		return err
	}
	sig, ok := signals[signal]
	if !ok {
		return fmt.Errorf("unknown signal %q", signal)
	}
	return t.exec.Signal(sig)
}

func (d *driver) ExecTask(id string, cmd []string, timeout time.Duration) (*drivers.ExecTaskResult, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	if len(cmd) == 0 {
		return nil, errors.New("cmd is required, but was empty")
	}
	out, code, err := t.exec.Exec(time.Now().Add(timeout), cmd[0], cmd[1:])
	if err != nil {
		return nil, err
	}
	return &drivers.ExecTaskResult{Stdout: out, ExitResult: &drivers.ExitResult{ExitCode: code}}, nil
}

func (d *driver) ExecTaskStreamingRaw(ctx context.Context, id string, cmd []string, tty bool, stream drivers.ExecTaskStream) error {
	t, err := d.task(id)
	if err != nil {
		return err
	}
	return t.exec.ExecStreaming(ctx, cmd, tty, stream)
}

var _ drivers.ExecTaskStreamingRawDriver = (*driver)(nil)
