package isolation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
)

// The tasks of an allocation can rename and replace each other's directories. Only the allocation's own directory is
// root's, so every path below it is opened from there without following a link.

// inside reports whether a path lies in a directory, by its text.
func inside(path, dir string) bool {
	return dir != "" && (path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/"))
}

// openBeneath opens a path below dir for reference only, and refuses links on the way.
func openBeneath(dir, path string) (*os.File, error) {
	below, err := filepath.Rel(dir, path)
	if err != nil {
		return nil, err
	}
	root, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(root)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(root, below, &how)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a link, or lies behind one: a task may have put it there", path)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// realDir says why a path below the allocation's directory is no directory of its own, or nil.
func realDir(allocDir, path string) error {
	f, err := openBeneath(allocDir, path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err == nil && !st.IsDir() {
		err = fmt.Errorf("%s is no directory", path)
	}
	return err
}

// OpenRoot opens the directory that a bind mount shows.
func OpenRoot(e *launch.Entry) (*os.Root, error) {
	if e.Beneath == "" {
		return os.OpenRoot(e.Source)
	}
	f, err := openBeneath(e.Beneath, e.Source)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}
