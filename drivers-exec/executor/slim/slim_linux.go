// Package slim keeps a mostly sleeping process small.
package slim

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Trim lets go of the pages of this program's own code that only its start
// needed, which for a plugin is most of them: the kernel maps sixteen pages
// around each one that is touched. A page that is wanted again comes back from
// the page cache.
//
// Only mappings that cannot be written and have no page of our own are given
// back; anything else (data, relocated tables) would lose its content.
func Trim() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range codeMappings(bufio.NewScanner(f), self) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

type mapping struct{ start, end uintptr }

// codeMappings reads smaps and returns the read-only mappings of a file that
// are identical to it.
func codeMappings(lines *bufio.Scanner, file string) []mapping {
	var found []mapping
	var m mapping
	wanted := false
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) >= 2 && strings.Contains(f[0], "-") && !strings.HasSuffix(f[0], ":"):
			from, to, _ := strings.Cut(f[0], "-")
			start, err1 := strconv.ParseUint(from, 16, 64)
			end, err2 := strconv.ParseUint(to, 16, 64)
			m = mapping{uintptr(start), uintptr(end)}
			wanted = err1 == nil && err2 == nil && f[1][0] == 'r' && f[1][1] == '-' && strings.HasSuffix(lines.Text(), " "+file)
		case wanted && len(f) >= 2 && f[0] == "Anonymous:":
			if f[1] == "0" {
				found = append(found, m)
			}
			wanted = false
		}
	}
	return found
}
