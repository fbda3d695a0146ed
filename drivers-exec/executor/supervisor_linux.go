package executor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// place completes a process's Spec by its cgroup and opens its standard files.
func place(spec *launch.Spec, c Command) (launch.Files, func(), error) {
	stdio, err := openStdio(c.Stdout, c.Stderr)
	if err != nil {
		return launch.Files{}, nil, err
	}
	spec.Cgroup, spec.Join = c.Group.Enter()
	return launch.Files{Stdio: stdio.fds(), Enter: -1}, stdio.close, nil
}

// open returns a pidfd of a process.
func open(id proc.ID) (int, error) { return id.Open() }

// sameProgram reports whether a process runs the file at path, which may have
// been removed since.
func sameProgram(path string, pid int) bool {
	mine, err := os.Stat(path)
	if err != nil {
		return true // replaced under us: leave things as they are
	}
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	return err != nil || os.SameFile(mine, theirs)
}

// stdio are the opened standard files of a task.
type stdio [3]*os.File

// openStdio opens the null device and a task's two outputs.
func openStdio(stdout, stderr string) (stdio, error) {
	var s stdio
	var err error
	for i, path := range []string{os.DevNull, stdout, stderr} {
		if path == "" {
			path = os.DevNull
		}
		// Read-write opening of a FIFO never waits for a reader, and makes the
		// task itself hold the read end.
		var fd int
		if fd, err = unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_APPEND, 0); err != nil {
			s.close()
			return s, fmt.Errorf("open standard file: %w", &os.PathError{Op: "open", Path: path, Err: err})
		}
		s[i] = os.NewFile(uintptr(fd), path)
	}
	return s, nil
}

func (s stdio) fds() (list [3]int) {
	for i, f := range s {
		list[i] = int(f.Fd())
	}
	return list
}

func (s stdio) close() {
	for _, f := range s {
		if f != nil {
			f.Close()
		}
	}
}
