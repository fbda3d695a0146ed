package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Child is a process between its fork and the moment its program runs.
type Child struct {
	PID int
	// PIDFD refers to the process; the caller closes it.
	PIDFD int

	errors  *os.File
	program *program
}

// Fork makes the process and returns without waiting for its program to run.
// The caller is its parent and reaps it, also when [Child.Running] fails.
func Fork(s *Spec, f Files) (*Child, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	c := &cloneArgs{
		flags:      uint64(s.Namespaces.flags()) | unix.CLONE_PIDFD,
		exitSignal: uint64(unix.SIGCHLD),
	}
	if s.Cgroup != "" {
		dir, err := unix.Open(s.Cgroup, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open cgroup", Path: s.Cgroup, Err: err}
		}
		defer unix.Close(dir)
		c.flags |= unix.CLONE_INTO_CGROUP
		c.cgroup = uint64(dir)
	}
	p := compile(s, f.Stdio, f.Enter)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make error pipe: %w", err)
	}
	defer unix.Close(pipe[1])
	pid, pidfd, err := clone(s, c, p, f.Enter, uintptr(pipe[1]))
	if err != nil {
		unix.Close(pipe[0])
		return nil, err
	}
	_ = unix.SetNonblock(pipe[0], true)
	return &Child{PID: pid, PIDFD: pidfd, errors: os.NewFile(uintptr(pipe[0]), "launch errors"), program: p}, nil
}

// Running waits until the program runs, or says which step of the launch
// failed; the process has then ended or is about to.
func (c *Child) Running() error {
	defer c.errors.Close()
	var f failure
	buf := unsafe.Slice((*byte)(unsafe.Pointer(&f)), unsafe.Sizeof(f))
	switch _, err := io.ReadFull(c.errors, buf); {
	case errors.Is(err, io.EOF):
		return nil // closed by execve
	case err != nil:
		return fmt.Errorf("read error pipe of process %d: %w", c.PID, err)
	case int(f.step) >= len(c.program.names):
		return fmt.Errorf("process %d ended before its program ran", c.PID)
	}
	err := syscall.Errno(f.errno)
	if hint := executeHints[err]; hint != "" && int(f.step) == len(c.program.names)-1 {
		return fmt.Errorf("%s: %w (%s)", c.program.names[f.step], err, hint)
	}
	return fmt.Errorf("%s: %w", c.program.names[f.step], err)
}

// executeHints say what the kernel means when it does not execute a file, the last step of a launch.
var executeHints = map[syscall.Errno]string{
	unix.ENOENT:  "the file, or the interpreter or loader that it names, is not there",
	unix.ENOEXEC: "neither a program for this kind of machine nor a script that begins with #!",
	unix.EACCES:  "the task's user may not execute it or not reach it, or its file system is mounted noexec",
}

// clone runs fork, in a thread of its own where the thread must change first.
func clone(s *Spec, c *cloneArgs, p *program, enter int, pipe uintptr) (pid, pidfd int, err error) {
	if !s.Enter.PID {
		return cloneHere(c, p, pipe)
	}
	// The kernel puts only children into another pid namespace, so a thread
	// has to enter it for its children. It is left locked and so ends with
	// its goroutine instead of serving others.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(enter, unix.CLONE_NEWPID); err != nil {
			err = fmt.Errorf("enter the task's pid namespace: %w", err)
			return
		}
		pid, pidfd, err = cloneHere(c, p, pipe)
	}()
	<-done
	return pid, pidfd, err
}

func cloneHere(c *cloneArgs, p *program, pipe uintptr) (int, int, error) {
	fd := int32(-1)
	where := ref(p, fd) // on the heap: the kernel writes to it by number
	c.pidfd = uint64(where)
	results := make([]uintptr, len(p.steps))
	report := new(failure)
	report.step = ^uint32(0)
	syscall.ForkLock.Lock()
	pid, errno := fork(c, p.steps, results, report, pipe)
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(p)
	if errno != 0 {
		return 0, -1, fmt.Errorf("make a process: %w", errno)
	}
	return int(pid), int(*p.keep[len(p.keep)-1].(*int32)), nil
}

func sliceAddr(list []uint32) uintptr { return uintptr(unsafe.Pointer(&list[0])) }
