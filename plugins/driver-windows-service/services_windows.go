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
	mu      sync.Mutex
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
		s.mu.Lock()
		defer s.mu.Unlock()
		s.enabled = c.Config.Enabled
		return nil
	})
}

func (s *services) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	s.mu.Lock()
	enabled := s.enabled
	s.mu.Unlock()
	if !enabled {
		return &driver.Fingerprint{Description: "disabled: set enabled in the plugin's config"}, nil
	}
	m, err := mgr.Connect()
	if err != nil {
		return &driver.Fingerprint{Health: driver.Undetected, Description: "connect to the service manager (this needs an administrator): " + err.Error()}, nil
	}
	defer m.Disconnect()
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
	m, err := mgr.Connect()
	if err != nil {
		return nil, driver.Recoverable(err)
	}
	defer m.Disconnect()
	service, err := m.CreateService(st.Service, program, mgr.Config{StartType: mgr.StartManual, ServiceStartName: r.Config.Account, Password: r.Config.Password,
		DisplayName: "Drover task " + r.Task.Name + " " + r.Task.AllocID}, r.Config.Args...)
	if err != nil {
		return nil, driver.Recoverable(fmt.Errorf("make service %s: %w", st.Service, err))
	}
	defer service.Close()
	if err = setEnvironment(st.Service, r.Task.Env); err == nil && st.Recovery != nil {
		err = arm(service, st.Recovery)
	}
	if err == nil {
		err = service.Start()
	}
	if err != nil {
		return nil, driver.Recoverable(errors.Join(fmt.Errorf("start service %s: %w", st.Service, err), service.Delete()))
	}
	s.keep(r.Task.ID, st)
	return &driver.StartResponse[state]{State: st}, nil
}

func (s *services) Recover(_ context.Context, r *driver.RecoverRequest[taskConfig, state]) error {
	if _, err := query(r.State.Service); err != nil {
		return fmt.Errorf("service %s: %w", r.State.Service, err)
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
		seen, status, err := sight(st.Service)
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
	if st.Recovery != nil {
		if err := disarm(st.Service); err != nil && !ended(err) {
			return err
		}
	}
	if err := send(st.Service, control); err != nil && !ended(err) && !errors.Is(err, windows.ERROR_INVALID_SERVICE_CONTROL) {
		return err
	}
	for end := time.Now().Add(r.Timeout); time.Now().Before(end); {
		status, err := query(st.Service)
		if gone(err) || err == nil && status.State == svc.Stopped {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(look / 5):
		}
	}
	return terminate(st.Service)
}

func (s *services) Destroy(ctx context.Context, r *driver.DestroyRequest) error {
	st, err := s.task(r.TaskID)
	if err != nil {
		return err
	}
	if r.Force {
		if st.Recovery != nil {
			if err := disarm(st.Service); err != nil && !ended(err) {
				return err
			}
		}
		if err := terminate(st.Service); err != nil {
			return err
		}
	}
	err = with(st.Service, func(service *mgr.Service) error { return service.Delete() })
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
		return terminate(st.Service)
	}
	control, err := controlOf(r.Signal)
	if err != nil {
		return err
	}
	return send(st.Service, control)
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
