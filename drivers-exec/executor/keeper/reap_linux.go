package keeper

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// childInfo is the part of siginfo_t that waitid fills, on 64-bit systems.
type childInfo struct {
	_      [4]int32
	pid    int32
	uid    uint32
	status int32
	_      [100]byte
}

// reap takes in every child that has ended, and orphans of tasks with them,
// which come to us because we are a subreaper.
//
// A task's exit is first looked at, then written down, and only then taken
// from the kernel: a keeper killed in between leaves a zombie that still
// knows its exit code.
func (s *server) reap() {
	for {
		var info childInfo
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || info.pid == 0 {
			return
		}
		s.mu.Lock()
		pid := int(info.pid)
		var status unix.WaitStatus
		if t := s.byPID[pid]; t != nil {
			delete(s.byPID, pid)
			s.ended(t, exitOf(&info))
		}
		for {
			if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != unix.EINTR {
				break
			}
		}
		s.mu.Unlock()
		s.touch()
	}
}

// exitOf reads what waitid says: a code, or the signal that ended the process.
func exitOf(info *childInfo) proc.Exit {
	const exited = 1 // CLD_EXITED
	code := (*unix.Siginfo)(unsafe.Pointer(info)).Code
	if code == exited {
		return proc.Exit{Code: int(info.status), At: time.Now()}
	}
	return proc.Exit{Code: 128 + int(info.status), Signal: int(info.status), At: time.Now()}
}
