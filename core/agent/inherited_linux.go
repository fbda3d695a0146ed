package agent

import (
	"os"
	"strconv"
	"syscall"
)

// keepInherited keeps what the agent was started with from its plugins and their tasks: descriptors beyond the three
// standard ones that whoever started it left open.
func keepInherited() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return // no /proc: nothing that could be done about it
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
