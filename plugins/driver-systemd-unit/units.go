//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
)

// look is how often the manager is asked whether a task has ended.
const look = 500 * time.Millisecond

type pluginConfig struct {
	Enabled    bool   `config:"enabled" default:"true"`
	BusAddress string `config:"bus_address"` // empty: the system's bus
}

type taskConfig struct {
	Command string   `config:"command,required"`
	Args    []string `config:"args"`
	Slice   string   `config:"slice"` // such as system.slice
}

// state finds a unit again. The invocation tells it from a later one of the same name.
type state struct{ Unit, Invocation string }

// units runs tasks as transient units.
type units struct {
	mu      sync.Mutex
	config  pluginConfig
	manager *manager
	tasks   map[string]state
	used    map[string]usage
}

type usage struct {
	at  time.Time
	cpu uint64
}

var (
	_ driver.Driver[taskConfig, state] = (*units)(nil)
	_ driver.WithConfig                = (*units)(nil)
	_ driver.WithSignals               = (*units)(nil)
	_ driver.WithStats                 = (*units)(nil)
)

func newUnits() *units {
	return &units{config: pluginConfig{Enabled: true}, manager: &manager{}, tasks: map[string]state{}, used: map[string]usage{}}
}

func (u *units) Config() driver.ConfigHandler {
	return driver.Configure(func(_ context.Context, c *driver.Configuration[pluginConfig]) error {
		if c.Node == nil {
			return nil // it was only checked
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		if c.Config.BusAddress != u.config.BusAddress {
			u.manager = &manager{address: c.Config.BusAddress}
		}
		u.config = c.Config
		return nil
	})
}

func (u *units) systemd() *manager {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.manager
}

func (u *units) Fingerprint(ctx context.Context) (*driver.Fingerprint, error) {
	u.mu.Lock()
	enabled := u.config.Enabled
	u.mu.Unlock()
	if !enabled {
		return &driver.Fingerprint{Description: "disabled: set enabled in the plugin's config"}, nil
	}
	version, err := u.systemd().version(ctx)
	if err != nil {
		return &driver.Fingerprint{Health: driver.Undetected, Description: err.Error()}, nil
	}
	return &driver.Fingerprint{Health: driver.Healthy, Attributes: map[string]attribute.Value{
		"driver.systemd-unit": attribute.Truth(true), "driver.systemd-unit.version": attribute.Text(version),
	}}, nil
}

func (u *units) Start(ctx context.Context, r *driver.StartRequest[taskConfig]) (*driver.StartResponse[state], error) {
	properties, err := describe(r.Task, r.Config)
	if err != nil {
		return nil, err
	}
	s := state{Unit: unitName(r.Task.ID)}
	m := u.systemd()
	if err := m.start(ctx, s.Unit, properties); err != nil {
		return nil, driver.Recoverable(fmt.Errorf("start unit %s: %w", s.Unit, err))
	}
	found, err := m.unit(ctx, s.Unit)
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return nil, driver.Recoverable(errors.Join(fmt.Errorf("look at unit %s: %w", s.Unit, err), m.forget(undo, s.Unit)))
	}
	s.Invocation = found.invocation
	u.keep(r.Task.ID, s)
	return &driver.StartResponse[state]{State: s}, nil
}

// unitName is the task's id in the characters that units' names may have.
func unitName(id string) string {
	return "drover-" + regexp.MustCompile(`[^A-Za-z0-9_.-]`).ReplaceAllString(id, "-") + ".service"
}

// describe is the unit. It stays after its end until Destroy, so that the exit code can be read whenever.
func describe(task *driver.TaskConfig, c taskConfig) ([]property, error) {
	program := c.Command
	if !filepath.IsAbs(program) {
		program = filepath.Join(task.TaskDir(), c.Command)
		if !strings.Contains(c.Command, "/") {
			found, err := exec.LookPath(c.Command)
			if err != nil {
				return nil, err
			}
			program = found
		}
	}
	var env []string
	for name, value := range task.Env {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	type command struct {
		Path          string
		Args          []string
		IgnoreFailure bool
	}
	var all []property
	set := func(name string, value any) { all = append(all, property{name, dbus.MakeVariant(value)}) }
	set("Description", fmt.Sprintf("Drover task %s of allocation %s", task.Name, task.AllocID))
	set("ExecStart", []command{{program, append([]string{c.Command}, c.Args...), false}})
	set("Environment", env)
	set("WorkingDirectory", task.TaskDir())
	set("RemainAfterExit", true)
	set("KillMode", "control-group")
	set("SendSIGKILL", true)
	if task.StdoutPath != "" {
		set("StandardOutputFile", task.StdoutPath)
	}
	if task.StderrPath != "" {
		set("StandardErrorFile", task.StderrPath)
	}
	if task.User != "" {
		set("User", task.User)
	}
	if c.Slice != "" {
		set("Slice", c.Slice)
	}
	if mb := max(task.Resources.MemoryMB, task.Resources.MemoryMaxMB); mb > 0 && task.Resources.MemoryMaxMB >= 0 {
		set("MemoryMax", uint64(mb)<<20)
		set("MemoryLow", uint64(task.Resources.MemoryMB)<<20)
	}
	if shares := task.Resources.CPUShares; shares > 0 {
		set("CPUWeight", uint64(min(max(shares/10, 1), 10000)))
	}
	set("CPUAccounting", true)
	set("MemoryAccounting", true)
	return all, nil
}

func (u *units) Recover(ctx context.Context, r *driver.RecoverRequest[taskConfig, state]) error {
	found, err := u.systemd().unit(ctx, r.State.Unit)
	if err != nil {
		return fmt.Errorf("unit %s: %w", r.State.Unit, err)
	}
	if found.invocation != r.State.Invocation {
		return fmt.Errorf("unit %s was started again by somebody else", r.State.Unit)
	}
	u.keep(r.Task.ID, r.State)
	return nil
}

func (u *units) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	s, err := u.task(id)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		found, err := u.systemd().unit(ctx, s.Unit)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errGone):
			return &driver.ExitResult{Err: "unit " + s.Unit + " was removed from systemd"}, nil
		case err == nil && found.ended():
			return found.exit(), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C: // a manager that is restarted answers again
		}
	}
}

func (f *unit) ended() bool {
	return f.active == "failed" || f.active == "inactive" || f.active == "active" && f.sub == "exited"
}

// What ExecMainCode says; see waitid(2).
const (
	childKilled = 2
	childDumped = 3
)

func (f *unit) exit() *driver.ExitResult {
	r := &driver.ExitResult{ExitCode: int(f.status), OOMKilled: f.result == "oom-kill"}
	switch {
	case f.code == childKilled || f.code == childDumped:
		r.ExitCode, r.Signal = 128+int(f.status), int(f.status)
	case f.code == 0:
		r.Err = "systemd could not run it: " + f.result
	case f.result == "exec-condition" || f.result == "resources":
		r.Err = f.result
	}
	return r
}

func (u *units) Stop(ctx context.Context, r *driver.StopRequest) error {
	s, err := u.task(r.TaskID)
	if err != nil {
		return err
	}
	signal := int32(syscall.SIGTERM)
	if r.Signal != "" {
		if signal, err = number(r.Signal); err != nil {
			return err
		}
	}
	m := u.systemd()
	for begun, end := false, time.Now().Add(r.Timeout); time.Now().Before(end); begun = true {
		found, err := m.unit(ctx, s.Unit)
		if errors.Is(err, errGone) || err == nil && found.ended() {
			return nil
		}
		if err != nil {
			return err
		}
		if !begun {
			if err := m.kill(ctx, s.Unit, "main", signal); err != nil && !errors.Is(err, errGone) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look / 5):
		}
	}
	if err := m.kill(ctx, s.Unit, "all", int32(syscall.SIGKILL)); err != nil && !errors.Is(err, errGone) {
		if found, lookErr := m.unit(ctx, s.Unit); lookErr == nil && found.ended() {
			return nil
		}
		return err
	}
	return nil
}

func (u *units) Destroy(ctx context.Context, r *driver.DestroyRequest) error {
	s, err := u.task(r.TaskID)
	if err != nil {
		return err
	}
	m := u.systemd()
	if r.Force {
		_ = m.kill(ctx, s.Unit, "all", int32(syscall.SIGKILL)) // a unit without processes has none to kill
	}
	if err := m.forget(ctx, s.Unit); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.tasks, r.TaskID)
	delete(u.used, r.TaskID)
	return nil
}

func (u *units) Signal(ctx context.Context, r *driver.SignalRequest) error {
	s, err := u.task(r.TaskID)
	if err != nil {
		return err
	}
	signal, err := number(r.Signal)
	if err != nil {
		return err
	}
	return u.systemd().kill(ctx, s.Unit, "main", signal)
}

func number(name string) (int32, error) {
	name = strings.ToUpper(name)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if n := unix.SignalNum(name); n != 0 {
		return int32(n), nil
	}
	return 0, fmt.Errorf("there is no signal %s", name)
}

func (u *units) Stats(ctx context.Context, id string) (*driver.TaskStats, error) {
	s, err := u.task(id)
	if err != nil {
		return nil, err
	}
	found, err := u.systemd().unit(ctx, s.Unit)
	if err != nil {
		return nil, err
	}
	stats := &driver.TaskStats{}
	if found.memory != math.MaxUint64 { // "not set"
		stats.Usage.Memory = driver.MemoryUsage{Usage: found.memory, Measured: []driver.MemoryField{driver.MemoryUsageField}}
	}
	now := usage{time.Now(), found.cpu}
	u.mu.Lock()
	before, known := u.used[id]
	u.used[id] = now
	u.mu.Unlock()
	stats.Usage.CPU.Measured = []driver.CPUField{driver.CPUPercent}
	if passed := now.at.Sub(before.at); known && passed > 0 && now.cpu >= before.cpu && now.cpu != math.MaxUint64 {
		stats.Usage.CPU.Percent = 100 * float64(now.cpu-before.cpu) / float64(passed)
	}
	return stats, nil
}

func (u *units) keep(id string, s state) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tasks[id] = s
}

func (u *units) task(id string) (state, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s, ok := u.tasks[id]; ok {
		return s, nil
	}
	return state{}, driver.ErrTaskNotFound
}
