package proc

import (
	"fmt"
	"time"

	"golang.org/x/sys/windows"
)

// access is what is asked of a process: to wait for it, to end it and to read
// its times and exit code.
const access = windows.SYNCHRONIZE | windows.PROCESS_TERMINATE | windows.PROCESS_QUERY_LIMITED_INFORMATION

// Identify names the process that has this pid now.
func Identify(pid int) (ID, error) {
	h, err := windows.OpenProcess(access, false, uint32(pid))
	if err != nil {
		return ID{}, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	defer windows.CloseHandle(h)
	return identify(h, pid)
}

func identify(h windows.Handle, pid int) (ID, error) {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return ID{}, fmt.Errorf("read times of process %d: %w", pid, err)
	}
	return ID{PID: pid, Start: uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime)}, nil
}

// Open returns a handle of the process named, or ErrGone.
func (id ID) Open() (windows.Handle, error) {
	h, err := windows.OpenProcess(access, false, uint32(id.PID))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", id.PID, ErrGone)
	}
	now, err := identify(h, id.PID)
	if err == nil && now.Start != id.Start {
		err = fmt.Errorf("process %d is another process now: %w", id.PID, ErrGone)
	}
	if err != nil {
		windows.CloseHandle(h)
		return 0, err
	}
	return h, nil
}

// Await waits for a process to end and says how it did.
func Await(h windows.Handle) Exit {
	_, _ = windows.WaitForSingleObject(h, windows.INFINITE)
	var code uint32
	if err := windows.GetExitCodeProcess(h, &code); err != nil {
		return Exit{Code: -1, At: time.Now(), Unknown: true, Reason: "read exit code: " + err.Error()}
	}
	return Exit{Code: int(int32(code)), At: time.Now()}
}
