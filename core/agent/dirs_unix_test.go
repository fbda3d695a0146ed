//go:build unix

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever owns the directory above can put one of their own in place of the agent's, and answer on its sockets.
func TestRunDirIsRefusedBelowSomebodyElses(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "drover-1000")
	dir := filepath.Join(parent, "r")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := ownRunDir(dir); err != nil {
		t.Errorf("an own one: %v", err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v; want mode 0700", info, err)
	}
	if err := os.Chmod(parent, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := ownRunDir(dir); err == nil || !strings.Contains(err.Error(), "written by everybody") {
		t.Errorf("parent open to all: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("the rest needs root")
	}
	if err := os.Chmod(parent, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(parent, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if err := ownRunDir(dir); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
		t.Errorf("somebody else's parent: %v", err)
	}
}
