//go:build unix

package template

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A task that puts a named pipe where a template looks does not make the node wait for a writer.
func TestNamedPipeIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := Place{Root: dir, Rel: "pipe"}.read()
		got <- err
	}()
	select {
	case err := <-got:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits")
	}
}
