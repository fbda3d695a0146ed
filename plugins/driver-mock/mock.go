package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
)

// Interface guards: the mock has every ability a driver can have.
var (
	_ driver.Driver[taskConfig, taskState] = (*mock)(nil)
	_ driver.WithConfig                    = (*mock)(nil)
	_ driver.WithSignals                   = (*mock)(nil)
	_ driver.WithExec                      = (*mock)(nil)
	_ driver.WithStats                     = (*mock)(nil)
	_ driver.WithInspect                   = (*mock)(nil)
	_ driver.WithFingerprintTrigger        = (*mock)(nil)
	_ driver.WithHandOver                  = (*mock)(nil)
)

// taskState is all that is needed to go on with a task.
type taskState struct{ StartedAt time.Time }

type mock struct {
	trigger chan struct{} // a new configuration changes the fingerprint

	mu     sync.Mutex
	config pluginConfig
	tasks  map[string]*task
}

func newMock() *mock {
	return &mock{trigger: make(chan struct{}, 1), tasks: map[string]*task{}}
}

func (m *mock) Config() driver.ConfigHandler { return driver.Configure(m.configure) }

func (m *mock) configure(_ context.Context, c *driver.Configuration[pluginConfig]) error {
	if err := failure(c.Config.SetConfigError); err != nil {
		return err
	}
	if c.Node == nil {
		return nil // it was only checked
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.config = c.Config
	select {
	case m.trigger <- struct{}{}:
	default:
	}
	return nil
}

func (m *mock) FingerprintTrigger() <-chan struct{} { return m.trigger }

func (m *mock) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := failure(m.config.FingerprintError); err != nil {
		return nil, err
	}
	attributes := map[string]attribute.Value{}
	for name, value := range m.config.Attributes {
		attributes[name] = attribute.Text(value)
	}
	return &driver.Fingerprint{
		Health:      healthOf(m.config.Health),
		Description: m.config.HealthDescription,
		Attributes:  attributes,
	}, nil
}

func (m *mock) Start(ctx context.Context, r *driver.StartRequest[taskConfig]) (*driver.StartResponse[taskState], error) {
	if err := pause(ctx, r.Config.StartBlockFor); err != nil {
		return nil, err
	}
	if err := failure(r.Config.StartError); err != nil {
		if r.Config.StartErrorRecoverable {
			return nil, driver.Recoverable(err)
		}
		return nil, err
	}
	state := taskState{StartedAt: time.Now()}
	t := newTask(r.Config, state)
	if err := t.openOutput(r.Task); err != nil {
		return nil, driver.Recoverable(err)
	}
	go t.print()
	m.add(r.Task.ID, t)
	for _, message := range r.Config.Events {
		r.Emit(message, nil)
	}
	return &driver.StartResponse[taskState]{State: state, Network: r.Config.override()}, nil
}

// Recover goes on with a task; what it had left to print is lost with the process that printed.
func (m *mock) Recover(_ context.Context, r *driver.RecoverRequest[taskConfig, taskState]) error {
	if err := failure(r.Config.RecoverError); err != nil {
		return err
	}
	m.add(r.Task.ID, newTask(r.Config, r.State))
	return nil
}

// Release forgets a task. What it had left to print is lost, as when the plugin is killed.
func (m *mock) Release(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tasks[id]
	if t == nil {
		return driver.ErrTaskNotFound
	}
	if err := failure(t.config.ReleaseError); err != nil {
		return err
	}
	delete(m.tasks, id)
	t.end(nil) // only what prints for it
	return nil
}

func (m *mock) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	t, err := m.task(id)
	if err != nil {
		return nil, err
	}
	return t.wait(ctx)
}

func (m *mock) Stop(ctx context.Context, r *driver.StopRequest) error {
	t, err := m.task(r.TaskID)
	if err != nil {
		return err
	}
	if err := failure(t.config.StopError); err != nil {
		return err
	}
	// A task that takes longer than its timeout is killed.
	if err := t.pauseOrEnd(ctx, min(t.config.KillAfter, r.Timeout)); err != nil {
		return err
	}
	if t.config.KillAfter > r.Timeout {
		t.end(&driver.ExitResult{ExitCode: 137, Signal: 9})
	}
	t.end(t.config.exit())
	return nil
}

func (m *mock) Destroy(_ context.Context, r *driver.DestroyRequest) error {
	t, err := m.task(r.TaskID)
	if err != nil {
		return err
	}
	if err := failure(t.config.DestroyError); err != nil {
		return err
	}
	t.end(&driver.ExitResult{ExitCode: 137, Signal: 9})
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.tasks, r.TaskID)
	return nil
}

func (m *mock) Signal(_ context.Context, r *driver.SignalRequest) error {
	t, err := m.task(r.TaskID)
	if err != nil {
		return err
	}
	return failure(t.config.SignalError)
}

// Exec prints the command it was given, or its input if the command is "cat".
func (m *mock) Exec(_ context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
	t, err := m.task(r.TaskID)
	if err != nil {
		return nil, err
	}
	if err := failure(t.config.ExecError); err != nil {
		return nil, err
	}
	if r.Command[0] == "cat" {
		_, err = io.Copy(r.Stdout, r.Stdin)
	} else {
		_, err = fmt.Fprintln(r.Stdout, strings.Join(r.Command, " "))
	}
	return &driver.ExitResult{ExitCode: t.config.ExecExitCode}, err
}

func (m *mock) Stats(_ context.Context, id string) (*driver.TaskStats, error) {
	t, err := m.task(id)
	if err != nil {
		return nil, err
	}
	if err := failure(t.config.StatsError); err != nil {
		return nil, err
	}
	return &driver.TaskStats{Usage: driver.ResourceUsage{
		CPU:    driver.CPUUsage{Percent: 1, TotalTicks: 10, Measured: []driver.CPUField{driver.CPUPercent, driver.CPUTotalTicks}},
		Memory: driver.MemoryUsage{RSS: 1 << 20, Measured: []driver.MemoryField{driver.MemoryRSS}},
	}}, nil
}

func (m *mock) Inspect(_ context.Context, id string) (*driver.Inspection, error) {
	t, err := m.task(id)
	if err != nil {
		return nil, err
	}
	if err := failure(t.config.InspectError); err != nil {
		return nil, err
	}
	return &driver.Inspection{StartedAt: t.state.StartedAt, Network: t.config.override()}, nil
}

func (m *mock) add(id string, t *task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks[id] = t
}

func (m *mock) task(id string) (*task, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.tasks[id]; t != nil {
		return t, nil
	}
	return nil, driver.ErrTaskNotFound
}

// failure makes an error of a configured text.
func failure(text string) error {
	if text == "" {
		return nil
	}
	return errors.New(text)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
