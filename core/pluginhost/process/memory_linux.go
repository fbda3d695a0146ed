package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Memory is the resident memory of a process in bytes; 0 = it is gone.
func Memory(pid int) uint64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text) // size, resident, ... in pages
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize())
}
