package tasklog

import (
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// beHelper makes the process small and the last that the kernel kills for memory. Both are wishes: without privilege the
// score stays as it is.
func beHelper() {
	os.WriteFile("/proc/self/oom_score_adj", []byte("-900"), 0)
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil && l.Cur < l.Max {
		l.Cur = l.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
	}
	debug.SetGCPercent(25)
	debug.FreeOSMemory()
}

// releaseStdout closes the pipe that is our stdout and keeps its number taken.
func releaseStdout() {
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		os.Stdout.Close()
		return
	}
	unix.Dup3(null, 1, 0)
	unix.Close(null)
}
