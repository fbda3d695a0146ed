package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// watch is a pidfd in Go's poller: waiting takes no thread, and a signal cannot reach another process.
type watch struct{ *pidfd }

type pidfd struct {
	file *os.File
	once sync.Once
}

func start(cmd *exec.Cmd, as *Credential) (watch, error) {
	fd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, PidFD: &fd, Credential: as.system()}
	if err := startUnlessBusy(cmd); err != nil {
		return watch{}, err
	}
	if fd < 0 {
		var err error
		if fd, err = unix.PidfdOpen(cmd.Process.Pid, 0); err != nil {
			return watch{}, errors.Join(fmt.Errorf("pidfd_open: %w", err), cmd.Process.Kill(), cmd.Wait())
		}
	}
	return newWatch(fd), nil
}

// startUnlessBusy tries again while another thread's child, between its fork and exec, still holds a descriptor of the
// freshly written program (ETXTBSY). That takes moments.
func startUnlessBusy(cmd *exec.Cmd) error {
	const attempts = 50
	for i := 1; ; i++ {
		err := cmd.Start()
		if !errors.Is(err, syscall.ETXTBSY) || i == attempts {
			return err
		}
		time.Sleep(10 * time.Millisecond)
		again := exec.Command(cmd.Path, cmd.Args[1:]...)
		again.Env, again.Stdout, again.Stderr, again.SysProcAttr, again.Dir = cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr, cmd.Dir
		*cmd = *again
	}
}

func open(pid int) (watch, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return watch{}, fmt.Errorf("%w: no process has pid %d", ErrGone, pid)
	}
	if err != nil {
		return watch{}, fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	return newWatch(fd), nil
}

func newWatch(fd int) watch {
	unix.CloseOnExec(fd)
	unix.SetNonblock(fd, true) // so that os.NewFile puts it into the poller
	return watch{&pidfd{file: os.NewFile(uintptr(fd), "pidfd")}}
}

// wait blocks until the process has ended; for a child it is then a zombie.
func (w watch) wait() {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	err = conn.Read(func(fd uintptr) bool { return ended(int(fd)) })
	if err != nil {
		// The poller does not take this kind of descriptor (kernels before 5.3 do not have it at all).
		for !w.endedWithin(time.Second) {
		}
	}
}

func (w watch) endedWithin(d time.Duration) bool {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return true
	}
	over := false
	err = conn.Control(func(fd uintptr) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(d.Milliseconds()))
		over = err == nil && n > 0
	})
	return over || err != nil
}

func ended(fd int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		return err != nil || n > 0
	}
}

func (w watch) kill() error {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := conn.Control(func(fd uintptr) {
		sent = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0)
	}); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return ErrGone
	}
	return sent
}

func (w watch) close() error {
	var err error
	w.once.Do(func() { err = w.file.Close() })
	return err
}

// identify reads who has the pid now.
func identify(pid int) (Identity, error) {
	id := Identity{PID: pid}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id, fmt.Errorf("read boot id: %w", err)
	}
	id.BootID = strings.TrimSpace(string(boot))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return id, fmt.Errorf("%w: no process has pid %d", ErrGone, pid)
	}
	if err != nil {
		return id, fmt.Errorf("read state of pid %d: %w", pid, err)
	}
	// The program's name in parentheses may hold anything; what follows the last one is fields 3, 4, ...
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const state, startTime = 0, 19 // fields 3 and 22
	if len(fields) <= startTime {
		return id, fmt.Errorf("state of pid %d is malformed", pid)
	}
	id.StartTime, err = strconv.ParseUint(fields[startTime], 10, 64)
	if err != nil {
		return id, fmt.Errorf("start time of pid %d: %w", pid, err)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return id, fmt.Errorf("%w: pid %d is a zombie", ErrGone, pid)
	}
	return id, nil
}
