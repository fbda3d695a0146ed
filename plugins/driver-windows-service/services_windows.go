package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/schema"
)

// look is how often the service manager is asked whether a task has ended.
const look = 500 * time.Millisecond

type pluginConfig struct {
	Enabled bool `config:"enabled" default:"true"`
}

type taskConfig struct {
	Command string   `config:"command,required"`
	Args    []string `config:"args"`
	Account string   `config:"account"` // such as NT AUTHORITY\LocalService; empty: LocalSystem
	// Password of the account; leave it out for the system's own and for managed accounts.
	Password string    `config:"password"`
	Recovery *recovery `config:"recovery,block"`
}

// state finds a service again. A service that runs under this name is the task: names are never used twice.
type state struct {
	Service  string
	Recovery *recovery `json:",omitempty"`
}

// services runs tasks as services.
type services struct {
	manager manager
	mu      sync.Mutex // guards the rest
	enabled bool
	tasks   map[string]state
}

var (
	_ driver.Driver[taskConfig, state] = (*services)(nil)
	_ driver.WithConfig                = (*services)(nil)
	_ driver.WithSignals               = (*services)(nil)
)

func newServices() *services { return &services{enabled: true, tasks: map[string]state{}} }

func (s *services) Config() driver.ConfigHandler {
	return driver.Configure(func(_ context.Context, c *driver.Configuration[pluginConfig]) error {
		if c.Node == nil {
			return nil // it was only checked
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.enabled = c.Config.Enabled
		return nil
	})
}

// CheckConfig finds at submission what Start would refuse.
func (s *services) CheckConfig(_ context.Context, c taskConfig) schema.Diagnostics {
	if err := c.Recovery.validate(); err != nil {
		return schema.Diagnostics{{Summary: "Invalid value", Detail: err.Error(), Path: "recovery"}}
	}
	return nil
}

func (s *services) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	s.mu.Lock()
	enabled := s.enabled
	s.mu.Unlock()
	if !enabled {
		return &driver.Fingerprint{Description: "disabled: set enabled in the plugin's config"}, nil
	}
	if err := s.manager.connected(func(*mgr.Mgr) error { return nil }); err != nil {
		return &driver.Fingerprint{Health: driver.Undetected, Description: err.Error()}, nil
	}
	return &driver.Fingerprint{Health: driver.Healthy, Attributes: map[string]attribute.Value{"driver.windows-service": attribute.Truth(true)}}, nil
}

// serviceName is the task's id in characters that services' names may have.
func serviceName(id string) string {
	return "drover-" + regexp.MustCompile(`[^A-Za-z0-9_.-]`).ReplaceAllString(id, "-")
}

func (s *services) Start(_ context.Context, r *driver.StartRequest[taskConfig]) (*driver.StartResponse[state], error) {
	if err := r.Config.Recovery.validate(); err != nil {
		return nil, err
	}
	program := r.Config.Command
	if !filepath.IsAbs(program) {
		program = filepath.Join(r.Task.TaskDir(), program)
	}
	if _, err := exec.LookPath(program); err != nil {
		return nil, err
	}
	st := state{Service: serviceName(r.Task.ID), Recovery: r.Config.Recovery}
	config := mgr.Config{StartType: mgr.StartManual, ServiceStartName: r.Config.Account, Password: r.Config.Password,
		DisplayName: "Drover task " + r.Task.Name + " " + r.Task.AllocID}
	if err := s.manager.create(st.Service, program, config, r.Config.Args, r.Task.Env, st.Recovery); err != nil {
		return nil, driver.Recoverable(err)
	}
	s.keep(r.Task.ID, st)
	return &driver.StartResponse[state]{State: st}, nil
}

func (s *services) Recover(_ context.Context, r *driver.RecoverRequest[taskConfig, state]) error {
	seen, _, err := s.manager.sight(r.State.Service)
	if err == nil && seen.gone {
		err = errors.New("the service manager does not know it")
	}
	if err != nil {
		return fmt.Errorf("find service %s: %w", r.State.Service, err)
	}
	s.keep(r.Task.ID, r.State)
	return nil
}

func (s *services) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	st, err := s.task(id)
	if err != nil {
		return nil, err
	}
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	w := watch{recovery: st.Recovery}
	for {
		seen, status, err := s.manager.sight(st.Service)
		if err == nil && w.ended(seen, time.Now()) {
			if seen.gone {
				return &driver.ExitResult{Err: "service " + st.Service + " was removed"}, nil
			}
			return exit(status), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
}

// exit is how a service says it ended: a code of its own, or one of Windows'.
func exit(status svc.Status) *driver.ExitResult {
	code := status.Win32ExitCode
	if code == uint32(windows.ERROR_SERVICE_SPECIFIC_ERROR) {
		code = status.ServiceSpecificExitCode
	}
	return &driver.ExitResult{ExitCode: int(code)}
}

func (s *services) Stop(ctx context.Context, r *driver.StopRequest) error {
	st, err := s.task(r.TaskID)
	if err != nil {
		return err
	}
	control := svc.Stop
	if r.Signal != "" && !strings.EqualFold(r.Signal, "SIGKILL") {
		if control, err = controlOf(r.Signal); err != nil {
			return err
		}
	}
	if err := s.leaveAlone(st); err != nil {
		return err
	}
	if err := s.manager.send(st.Service, control); err != nil && !ended(err) && !errors.Is(err, windows.ERROR_INVALID_SERVICE_CONTROL) {
		return err
	}
	for end := time.Now().Add(r.Timeout); time.Now().Before(end); {
		if seen, _, err := s.manager.sight(st.Service); err == nil && (seen.gone || seen.stopped) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look / 5):
		}
	}
	return s.manager.terminate(st.Service)
}

// leaveAlone has the manager not mend what is ended on purpose.
func (s *services) leaveAlone(st state) error {
	if st.Recovery == nil {
		return nil
	}
	return s.manager.disarm(st.Service)
}

func (s *services) Destroy(ctx context.Context, r *driver.DestroyRequest) error {
	st, err := s.task(r.TaskID)
	if err != nil {
		return err
	}
	if r.Force {
		if err := s.leaveAlone(st); err != nil {
			return err
		}
		if err := s.manager.terminate(st.Service); err != nil {
			return err
		}
	}
	err = s.manager.with(st.Service, func(service *mgr.Service) error { return service.Delete() })
	if err != nil && !gone(err) && !errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tasks, r.TaskID)
	return nil
}

func (s *services) Signal(_ context.Context, r *driver.SignalRequest) error {
	st, err := s.task(r.TaskID)
	if err != nil {
		return err
	}
	if strings.EqualFold(r.Signal, "SIGKILL") {
		return s.manager.terminate(st.Service)
	}
	control, err := controlOf(r.Signal)
	if err != nil {
		return err
	}
	return s.manager.send(st.Service, control)
}

// controlOf is what a service can be told.
func controlOf(signal string) (svc.Cmd, error) {
	switch strings.ToUpper(signal) {
	case "SIGINT", "SIGTERM", "STOP":
		return svc.Stop, nil
	case "SIGSTOP", "PAUSE":
		return svc.Pause, nil
	case "SIGCONT", "CONTINUE":
		return svc.Continue, nil
	case "SIGHUP", "PARAMCHANGE":
		return svc.ParamChange, nil
	}
	return 0, fmt.Errorf("a service understands SIGINT and SIGTERM (stop), SIGSTOP (pause), SIGCONT (continue), SIGHUP (parameters changed) and SIGKILL, not %s", signal)
}

func (s *services) keep(id string, st state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks[id] = st
}

func (s *services) task(id string) (state, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st, ok := s.tasks[id]; ok {
		return st, nil
	}
	return state{}, driver.ErrTaskNotFound
}
