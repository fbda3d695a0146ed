package tasklog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A task can put a link in the place of its allocation's log directory; nothing is written where it leads.
func TestLogDirectoryIsNoLink(t *testing.T) {
	host := t.TempDir()
	link := filepath.Join(t.TempDir(), "logs")
	if err := os.Symlink(host, link); err != nil {
		t.Fatal(err)
	}
	f, _, err := openLogFile(Stream{Dir: link, Prefix: "web.stdout", Mode: 0o644}, directoryID{})
	if err == nil {
		f.close()
		t.Fatal("opened a log through a link")
	}
	if !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ELOOP) {
		t.Error(err)
	}
	if left, err := os.ReadDir(host); err != nil || len(left) > 0 {
		t.Errorf("written where the link leads: %v %v", left, err)
	}
}
