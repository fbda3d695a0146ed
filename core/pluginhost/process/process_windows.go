package process

import (
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/windows"
)

// watch is a handle of the process: it stays that process even when the pid is given away.
type watch struct{ *handle }

type handle struct {
	h    windows.Handle
	once sync.Once
}

func start(cmd *exec.Cmd, as *Credential) (watch, error) {
	if as != nil {
		return watch{}, errors.New("a process cannot be started as another user on Windows")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW}
	if err := cmd.Start(); err != nil {
		return watch{}, err
	}
	w, err := open(cmd.Process.Pid)
	if err != nil {
		return watch{}, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return w, nil
}

func open(pid int) (watch, error) {
	h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_TERMINATE|windows.PROCESS_QUERY_LIMITED_INFORMATION,
		false, uint32(pid))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return watch{}, fmt.Errorf("%w: no process has pid %d", ErrGone, pid)
	}
	if err != nil {
		return watch{}, fmt.Errorf("open process %d: %w", pid, err)
	}
	return watch{&handle{h: h}}, nil
}

func (w watch) wait() {
	windows.WaitForSingleObject(w.h, windows.INFINITE)
}

func (w watch) kill() error {
	err := windows.TerminateProcess(w.h, 1)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		if n, _ := windows.WaitForSingleObject(w.h, 0); n == windows.WAIT_OBJECT_0 {
			return ErrGone
		}
	}
	return err
}

func (w watch) close() error {
	var err error
	w.once.Do(func() { err = windows.CloseHandle(w.h) })
	return err
}

func identify(pid int) (Identity, error) {
	w, err := open(pid)
	if err != nil {
		return Identity{PID: pid}, err
	}
	defer w.close()
	if n, _ := windows.WaitForSingleObject(w.h, 0); n == windows.WAIT_OBJECT_0 {
		return Identity{PID: pid}, fmt.Errorf("%w: pid %d", ErrGone, pid)
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(w.h, &created, &exited, &kernel, &user); err != nil {
		return Identity{PID: pid}, fmt.Errorf("times of process %d: %w", pid, err)
	}
	// The creation time is absolute, so no boot id is needed.
	return Identity{PID: pid, StartTime: uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime)}, nil
}

// killGroup: Windows does not tell what a process started.
func killGroup(int) {}
