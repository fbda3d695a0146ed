package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

type manager struct{}

func thisWindows() windowsService { return manager{} }

// restartAfter is how long the service manager waits before it starts a failed agent again, and after how long without
// failures it forgets earlier ones.
const (
	restartAfter = 5 * time.Second
	forgetAfter  = 24 * time.Hour
)

// stopWithin is how long uninstall waits for the service to stop.
const stopWithin = time.Minute

func (manager) install(name, display, account, password string, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("connect to the service manager (this needs an administrator): %w", err)
	}
	defer m.Disconnect()
	config := mgr.Config{DisplayName: display, Description: "Runs workloads on this machine.", StartType: mgr.StartAutomatic,
		ServiceStartName: account, Password: password}
	s, err := m.CreateService(name, program, config, append([]string{"windows", "service", "run", "--name", name, "--"}, args...)...)
	if err != nil {
		return err
	}
	defer s.Close()
	again := mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: restartAfter}
	err = s.SetRecoveryActions([]mgr.RecoveryAction{again, again, again}, uint32(forgetAfter/time.Second))
	if err == nil { // an agent that fails says so before it ends, which is no failure otherwise
		err = s.SetRecoveryActionsOnNonCrashFailures(true)
	}
	if err != nil && !errors.Is(err, windows.ERROR_INVALID_LEVEL) { // which Wine's manager says of the flag
		return errors.Join(fmt.Errorf("have it started again when it fails: %w", err), s.Delete())
	}
	return nil
}

func (manager) uninstall(name string) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("connect to the service manager (this needs an administrator): %w", err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(name)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Control(svc.Stop); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return fmt.Errorf("stop it: %w", err)
	}
	for end := time.Now().Add(stopWithin); ; time.Sleep(100 * time.Millisecond) {
		status, err := s.Query()
		if err != nil {
			return err
		}
		if status.State == svc.Stopped {
			return s.Delete()
		}
		if time.Now().After(end) {
			return fmt.Errorf("it did not stop within %s", stopWithin)
		}
	}
}

// run is the service. A service has no console: what the agent prints goes to a file beside its program, which is begun
// anew with each start.
func (manager) run(a *app, name string, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(filepath.Dir(program), name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	return svc.Run(name, &service{run: func(ctx context.Context) int { return a.Agent(ctx, args, log, log) }})
}

// service runs an agent under the service manager's control.
type service struct {
	run func(ctx context.Context) int
}

// Execute ends with the agent. An agent that ends by itself has failed, so that the manager starts it again.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan int, 1)
	go func() { ended <- s.run(ctx) }()
	running := svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	status <- running
	for {
		select {
		case code := <-ended:
			if ctx.Err() != nil {
				return false, 0
			}
			return true, uint32(max(code, 1))
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopWithin / time.Millisecond)}
				cancel()
			}
		}
	}
}
