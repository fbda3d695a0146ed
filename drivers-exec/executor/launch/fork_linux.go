package launch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The runtime's own preparation for a fork, which package syscall uses. The
// runtime promises to keep them for such use (see runtime/proc.go and
// go.dev/issue/67401).
//
//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// cloneArgs is struct clone_args of clone3(2), up to the cgroup of Linux 5.7.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal uint64
	stack, stackSize, tls, setTID, setTIDSize     uint64
	cgroup                                        uint64
}

// step is one system call of the child.
type step struct {
	call uintptr
	args [6]uintptr
	// from is the number of an earlier step whose result becomes args[0], or -1.
	from int
	// tolerate are errors that do not end the launch; skip steps are then
	// left out, for calls that need the result.
	tolerate [2]syscall.Errno
	skip     int
}

// failure is what the child writes to its error pipe.
type failure struct {
	step  uint32
	errno uint32
}

// fork makes the child, which runs the steps. It returns in the parent only.
//
// The child shares no memory with the parent (no CLONE_VM): a call that hangs
// in it, say a bind mount from a dead NFS server, must not stop the keeper.
// Between the fork and execve the child must neither allocate, nor grow its
// stack, nor be preempted, so this function stays free of calls other than raw
// system calls.
//
//go:noinline
//go:norace
//go:nocheckptr
func fork(c *cloneArgs, steps []step, results []uintptr, report *failure, errPipe uintptr) (pid uintptr, errno syscall.Errno) {
	var (
		i    int
		s    *step
		r    uintptr
		err  syscall.Errno
		args [6]uintptr
	)

	beforeFork()
	pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(c)), unsafe.Sizeof(*c), 0)
	if errno != 0 || pid != 0 {
		afterFork()
		return pid, errno
	}

	afterForkInChild()
	for i = 0; i < len(steps); i++ {
		s = &steps[i]
		args = s.args
		if s.from >= 0 {
			args[0] = results[s.from]
		}
		r, _, err = syscall.RawSyscall6(s.call, args[0], args[1], args[2], args[3], args[4], args[5])
		if err == 0 {
			results[i] = r
			continue
		}
		if err == s.tolerate[0] || err == s.tolerate[1] {
			i += s.skip
			continue
		}
		report.step, report.errno = uint32(i), uint32(err)
		break
	}
	syscall.RawSyscall(unix.SYS_WRITE, errPipe, uintptr(unsafe.Pointer(report)), unsafe.Sizeof(*report))
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 127, 0, 0)
	}
}
