package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// DirLock marks a directory as used by this process. The operating system drops it when the process ends, however it
// does.
type DirLock struct{ file *os.File }

// errLocked says that another process has the lock.
var errLocked = errors.New("locked")

// LockDir takes a directory for this process alone, with a file "lock" in it that holds the process id.
func LockDir(dir string) (*DirLock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	if err := lockFile(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
		}
		return nil, fmt.Errorf("data directory %s is in use by %s: stop it or give this agent a data_dir of its own", dir, holder(f))
	}
	// The id is for people: the lock is what counts.
	if err := f.Truncate(0); err == nil {
		f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &DirLock{f}, nil
}

func holder(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return "process " + pid
	}
	return "another process"
}

// Unlock gives the directory up.
func (l *DirLock) Unlock() error { return l.file.Close() }
