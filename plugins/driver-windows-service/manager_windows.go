package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

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

// with opens a task's service.
func with(name string, f func(*mgr.Service) error) error {
	m, err := mgr.Connect()
	if err != nil {
		return err
	}
	defer m.Disconnect()
	service, err := m.OpenService(name)
	if err != nil {
		return err
	}
	defer service.Close()
	return f(service)
}

func query(name string) (svc.Status, error) {
	var status svc.Status
	err := with(name, func(service *mgr.Service) error {
		var err error
		status, err = service.Query()
		return err
	})
	return status, err
}

func gone(err error) bool { return errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) }

// ended reports whether a control failed because there is nothing to control any more.
func ended(err error) bool {
	return gone(err) || errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE)
}

func send(name string, control svc.Cmd) error {
	return with(name, func(service *mgr.Service) error {
		_, err := service.Control(control)
		return err
	})
}

// terminate ends the service's process.
func terminate(name string) error {
	status, err := query(name)
	if gone(err) || err == nil && (status.State == svc.Stopped || status.ProcessId == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, status.ProcessId)
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return nil // it has just ended
	}
	if err != nil {
		return err
	}
	defer windows.CloseHandle(h)
	return windows.TerminateProcess(h, 1)
}

// sight is what the service manager says of a service now.
func sight(name string) (seen sighting, status svc.Status, err error) {
	err = with(name, func(service *mgr.Service) error {
		var err error
		if status, err = service.Query(); err != nil || status.State != svc.Stopped {
			return err
		}
		seen.stopped, seen.failed = true, status.Win32ExitCode != 0
		actions, err := service.RecoveryActions()
		seen.recovers = err == nil && slices.ContainsFunc(actions, func(a mgr.RecoveryAction) bool { return a.Type == mgr.ServiceRestart })
		return nil
	})
	if gone(err) {
		return sighting{gone: true}, status, nil
	}
	return seen, status, err
}

// arm sets what the manager does about failures, those that the service reports itself included. The manager takes the
// action with the number of the failure, and the last one for all that follow.
func arm(service *mgr.Service, r *recovery) error {
	actions := slices.Repeat([]mgr.RecoveryAction{{Type: mgr.ServiceRestart, Delay: r.Delay}}, r.Attempts)
	actions = append(actions, mgr.RecoveryAction{Type: mgr.NoAction})
	if err := service.SetRecoveryActions(actions, uint32(r.Reset/time.Second)); err != nil {
		return fmt.Errorf("set recovery actions: %w", err)
	}
	if err := service.SetRecoveryActionsOnNonCrashFailures(true); err != nil {
		return fmt.Errorf("set recovery from failures that are reported: %w", err)
	}
	return nil
}

// disarm has the manager leave a service alone that is stopped on purpose: its exit code may be one of failure, and the
// end of a process that is killed always is.
func disarm(name string) error {
	return with(name, func(service *mgr.Service) error { return service.ResetRecoveryActions() })
}
