package qemu

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"
)

// What spins is ended by the time it used, however busy the node is.
func TestRunBounded(t *testing.T) {
	_, err := runBounded(exec.Command("sh", "-c", "while :; do :; done"), 1)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("ended by %v", err)
	}
	text, err := runBounded(exec.Command("sh", "-c", "echo why >&2; exit 3"), 1)
	if text != "why\n" || !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("%q %v", text, err)
	}
}
