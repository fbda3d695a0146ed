package tasklog

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

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
	forgetText()
}

// forgetText drops this process's mapping of code pages that were only needed to get started, which is most of a large binary. The
// kernel keeps the pages in its cache and maps again what is used. Only mappings that nobody can have written to are touched.
func forgetText() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		var perms string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &perms); err == nil && perms == "r-xp" && strings.Contains(line, "/") {
			unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
	}
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
