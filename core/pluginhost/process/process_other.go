//go:build !linux && !windows

package process

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// watch asks for the process twice a second; it is for development machines.
type watch struct {
	pid   int
	child *exec.Cmd
}

func start(cmd *exec.Cmd, as *Credential) (watch, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as.system()}
	if err := cmd.Start(); err != nil {
		return watch{}, err
	}
	return watch{pid: cmd.Process.Pid, child: cmd}, nil
}

func open(pid int) (watch, error) {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return watch{}, fmt.Errorf("%w: no process has pid %d", ErrGone, pid)
	}
	return watch{pid: pid}, nil
}

func (w watch) wait() {
	if w.child != nil {
		return // Wait of the command blocks
	}
	for syscall.Kill(w.pid, 0) == nil {
		time.Sleep(500 * time.Millisecond)
	}
}

func (w watch) kill() error {
	if err := syscall.Kill(w.pid, syscall.SIGKILL); errors.Is(err, syscall.ESRCH) {
		return ErrGone
	} else {
		return err
	}
}

func (w watch) close() error { return nil }

func identify(pid int) (Identity, error) {
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return Identity{PID: pid}, fmt.Errorf("%w: no process has pid %d", ErrGone, pid)
	}
	return Identity{PID: pid}, nil
}
