package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Stat is what /proc tells about a process.
type Stat struct {
	State   byte // 'Z' and 'X' have ended
	Parent  int
	Group   int
	Session int
	Start   uint64 // clock ticks since boot
	// Status is the wait status of a zombie; 0 without the right to see it.
	Status unix.WaitStatus
	// CPU time so far, in clock ticks of 10 ms.
	UserTicks, SystemTicks uint64
	// RSS is the resident memory in pages.
	RSS uint64
}

// ReadStat reads /proc/<pid>/stat.
func ReadStat(pid int) (Stat, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			return Stat{}, fmt.Errorf("process %d: %w", pid, ErrGone)
		}
		return Stat{}, err
	}
	return parseStat(text)
}

// parseStat reads the line behind the command name, which may itself contain
// spaces and brackets. Field numbers are those of proc_pid_stat(5).
func parseStat(text []byte) (Stat, error) {
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return Stat{}, fmt.Errorf("no command name in process state %q", text)
	}
	f := strings.Fields(string(text[end+1:]))
	if len(f) < 22 {
		return Stat{}, fmt.Errorf("process state has %d fields after the name, want 22 or more", len(f))
	}
	num := func(field int) uint64 {
		if field-3 >= len(f) {
			return 0
		}
		n, _ := strconv.ParseUint(f[field-3], 10, 64)
		return n
	}
	return Stat{
		State: f[0][0], Parent: int(num(4)), Group: int(num(5)), Session: int(num(6)),
		UserTicks: num(14), SystemTicks: num(15), Start: num(22), RSS: num(24), Status: unix.WaitStatus(num(52)),
	}, nil
}

// Ended reports whether the process is a zombie: it runs no more.
func (s Stat) Ended() bool { return s.State == 'Z' || s.State == 'X' }

// BootID returns the id of this boot.
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// Identify names the process that has this pid now.
func Identify(pid int) (ID, error) {
	boot, err := BootID()
	if err != nil {
		return ID{}, err
	}
	s, err := ReadStat(pid)
	return ID{PID: pid, Start: s.Start, Boot: boot}, err
}

// Open returns a pidfd of the process named, or ErrGone. A zombie is opened as
// well: its exit can still be read.
func (id ID) Open() (int, error) {
	boot, err := BootID()
	if err != nil {
		return -1, err
	}
	if id.Boot != "" && id.Boot != boot {
		return -1, fmt.Errorf("process %d ran before this boot: %w", id.PID, ErrGone)
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err == unix.ESRCH || err == unix.EINVAL {
		return -1, fmt.Errorf("process %d: %w", id.PID, ErrGone)
	}
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", id.PID, err)
	}
	// The pidfd is fixed by now, so what /proc says about the pid is about
	// the process behind it, unless that has been reaped since.
	s, err := ReadStat(id.PID)
	if err == nil && s.Start != id.Start {
		err = fmt.Errorf("process %d is another process now: %w", id.PID, ErrGone)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ExitOf says how the process behind a pidfd ended, as well as the kernel
// tells: from the pidfd itself (Linux 6.15 and later), else from the zombie.
// ok is false while it runs.
func ExitOf(pidfd int, pid int) (e Exit, ok bool) {
	p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	if n, err := unix.Poll(p, 0); err != nil || n == 0 {
		return Exit{}, false
	}
	now := time.Now()
	info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
	if err := unix.IoctlPidfdInfo(pidfd, &info); err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
		return FromStatus(unix.WaitStatus(info.Exit_code), now), true
	}
	// Not reaped yet: the zombie cannot lose its pid while we look, or it is
	// reaped while we look and the state is gone.
	if s, err := ReadStat(pid); err == nil && s.Ended() && mayRead(pid) {
		again := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID}
		if err := unix.IoctlPidfdInfo(pidfd, &again); err != nil || int(again.Pid) == pid {
			return FromStatus(s.Status, now), true
		}
	}
	return Exit{Code: -1, At: now, Unknown: true, Reason: "the process ended while no keeper was there to take its exit code, and this kernel does not tell it afterwards"}, true
}

// mayRead reports whether we see a process's wait status: without the right to,
// /proc shows 0, which is also that of a success. This file is refused where
// the status is hidden.
func mayRead(pid int) bool {
	_, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/personality")
	return err == nil
}

// FromStatus reads a wait status.
func FromStatus(s unix.WaitStatus, at time.Time) Exit {
	if s.Signaled() {
		return Exit{Code: 128 + int(s.Signal()), Signal: int(s.Signal()), At: at}
	}
	return Exit{Code: s.ExitStatus(), At: at}
}
