package agent

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A descriptor that was left open for the agent does not reach what it starts.
func TestInheritedDescriptors(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, w.Fd(), syscall.F_DUPFD, 50) // without close-on-exec
	if errno != 0 {
		t.Fatal(errno)
	}
	defer syscall.Close(int(fd))
	open := func() bool {
		out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), "pipe:") && strings.Contains(string(out), " 50 ->")
	}
	if !open() {
		t.Fatal("the test's own descriptor is not handed on")
	}
	keepInherited()
	if open() {
		t.Error("the descriptor is handed on")
	}
}
