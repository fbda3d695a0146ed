package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// manager is the service manager. It does one thing at a time, and so does this: its calls that come together only wait for
// each other, and in Wine's some fail.
type manager struct{ mu sync.Mutex }

// create makes a service and starts it; after an error there is none.
func (m *manager) create(name, program string, c mgr.Config, args []string, env map[string]string, r *recovery) error {
	return m.connected(func(all *mgr.Mgr) error {
		service, err := all.CreateService(name, program, c, args...)
		if err != nil {
			return fmt.Errorf("make service %s: %w", name, err)
		}
		defer service.Close()
		if err = setEnvironment(name, env); err == nil && r != nil {
			err = arm(service, r)
		}
		if err == nil {
			err = service.Start()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("start service %s: %w", name, err), service.Delete())
		}
		return nil
	})
}

// connected runs f with a connection to the manager.
func (m *manager) connected(f func(*mgr.Mgr) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("connect to the service manager (this needs an administrator): %w", err)
	}
	defer all.Disconnect()
	return f(all)
}

// setEnvironment gives a service variables of its own: the manager reads them from the service's key.
func setEnvironment(service string, env map[string]string) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\`+service, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("open the service's key: %w", err)
	}
	defer key.Close()
	var all []string
	for name, value := range env {
		all = append(all, name+"="+value)
	}
	slices.Sort(all)
	return key.SetStringsValue("Environment", all)
}

// with opens a service for f.
func (m *manager) with(name string, f func(*mgr.Service) error) error {
	return m.connected(func(all *mgr.Mgr) error {
		service, err := all.OpenService(name)
		if err != nil {
			return err
		}
		defer service.Close()
		return f(service)
	})
}

func gone(err error) bool { return errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) }

// ended reports whether a control failed because there is nothing to control any more.
func ended(err error) bool {
	return gone(err) || errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE)
}

func (m *manager) send(name string, control svc.Cmd) error {
	return m.with(name, func(service *mgr.Service) error {
		_, err := service.Control(control)
		return err
	})
}

// terminate ends the service's process.
func (m *manager) terminate(name string) error {
	_, status, err := m.sight(name)
	if err != nil || status.ProcessId == 0 {
		return err
	}
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, status.ProcessId)
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return nil // it has just ended
	}
	if err != nil {
		return fmt.Errorf("open the process of service %s: %w", name, err)
	}
	defer windows.CloseHandle(h)
	return windows.TerminateProcess(h, 1)
}

// sight is what can be said of a service now. status has no process once it stands still.
func (m *manager) sight(name string) (seen sighting, status svc.Status, err error) {
	err = m.with(name, func(service *mgr.Service) error {
		var err error
		if status, err = service.Query(); err != nil {
			return err
		}
		if status.ProcessId != 0 && !alive(status.ProcessId) { // which the manager has yet to notice; Wine's never does
			status.State, status.Win32ExitCode, status.ProcessId = svc.Stopped, uint32(windows.ERROR_PROCESS_ABORTED), 0
		}
		if status.State != svc.Stopped {
			return nil
		}
		seen.stopped, seen.failed, status.ProcessId = true, status.Win32ExitCode != 0, 0
		actions, err := service.RecoveryActions()
		seen.recovers = err == nil && slices.ContainsFunc(actions, func(a mgr.RecoveryAction) bool { return a.Type == mgr.ServiceRestart })
		return nil
	})
	if gone(err) {
		return sighting{gone: true}, svc.Status{}, nil
	}
	return seen, status, err
}

// alive reports whether there is a process with this id that has not ended. One that may not be looked at lives.
func alive(pid uint32) bool {
	h, err := windows.OpenProcess(windows.SYNCHRONIZE, false, pid)
	if err != nil {
		return !errors.Is(err, windows.ERROR_INVALID_PARAMETER)
	}
	defer windows.CloseHandle(h)
	event, err := windows.WaitForSingleObject(h, 0)
	return err != nil || event == uint32(windows.WAIT_TIMEOUT)
}

// arm sets what the manager does about failures, those that the service reports itself included. The manager takes the
// action with the number of the failure, and the last one for all that follow.
func arm(service *mgr.Service, r *recovery) error {
	actions := slices.Repeat([]mgr.RecoveryAction{{Type: mgr.ServiceRestart, Delay: r.Delay}}, r.Attempts)
	actions = append(actions, mgr.RecoveryAction{Type: mgr.NoAction})
	if err := service.SetRecoveryActions(actions, uint32(r.Reset/time.Second)); err != nil {
		return fmt.Errorf("set recovery actions: %w", err)
	}
	err := service.SetRecoveryActionsOnNonCrashFailures(true)
	if err != nil && !errors.Is(err, windows.ERROR_INVALID_LEVEL) { // which Wine's manager says of the flag
		return fmt.Errorf("set recovery from failures that are reported: %w", err)
	}
	return nil
}

// disarm has the manager leave a service alone that is stopped on purpose: its exit code may be one of failure, and the
// end of a process that is killed always is.
func (m *manager) disarm(name string) error {
	err := m.with(name, func(service *mgr.Service) error { return service.ResetRecoveryActions() })
	if gone(err) {
		return nil
	}
	return err
}
