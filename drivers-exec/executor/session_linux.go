package executor

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/drivers-exec/executor/seccomp"
)

// Run runs a command inside the task to its end. When ctx ends the command is
// killed.
func (p *Process) Run(ctx context.Context, s Session) (proc.Exit, error) {
	client, err := p.link.connect(ctx)
	if err != nil {
		return proc.Exit{}, err
	}
	enter, err := p.dupPidfd()
	if err != nil {
		return proc.Exit{}, err
	}
	defer unix.Close(enter)
	in := p.state.Inside
	spec := &launch.Spec{
		Path: s.Path, Args: s.Args, Env: s.Env, Dir: in.Dir, TTY: s.TTY, NoFile: in.NoFile,
		User: in.User, Capabilities: in.Capabilities, NoNewPrivileges: in.NoNewPrivileges, Enter: in.Namespaces,
	}
	if in.Seccomp && in.Capabilities != nil {
		spec.Seccomp = seccomp.Default(*in.Capabilities)
	}
	spec.Cgroup, spec.Join = p.state.Group.Enter()
	id := fmt.Sprintf("%s/session/%d/%d", p.state.ID, os.Getpid(), p.link.count.n.Add(1))
	ended := make(chan proc.Exit, 1)
	p.link.mu.Lock()
	p.link.sessions[id] = ended
	p.link.mu.Unlock()
	_, pidfd, err := client.Session(ctx, id, spec, launch.Files{Stdio: [3]int{int(s.Stdin.Fd()), int(s.Stdout.Fd()), int(s.Stderr.Fd())}, Enter: enter})
	if err != nil {
		p.link.mu.Lock()
		delete(p.link.sessions, id)
		p.link.mu.Unlock()
		return proc.Exit{}, err
	}
	defer unix.Close(pidfd)
	select {
	case e := <-ended:
		return e, nil
	case <-ctx.Done():
		killGroup(pidfd)
		select {
		case <-ended:
		case <-time.After(killWithin):
		}
		return proc.Exit{}, ctx.Err()
	}
}

// killGroup ends a command and what it started, as far as that is in its
// process group and the kernel (Linux 6.9) lets us name that by a pidfd.
func killGroup(pidfd int) {
	if unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP) != nil {
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	}
}

func (p *Process) dupPidfd() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd < 0 {
		return -1, ErrEnded
	}
	return unix.FcntlInt(uintptr(p.pidfd), unix.F_DUPFD_CLOEXEC, 0)
}

// OpenTerminal makes a terminal in the task's own /dev/pts if it has one, so
// that its name means something inside.
func (p *Process) OpenTerminal() (*Terminal, error) {
	path := "/dev/ptmx"
	if p.state.Inside.Namespaces.Mount {
		path = fmt.Sprintf("/proc/%d/root/dev/pts/ptmx", p.state.Proc.PID)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	if err := isTerminalMaster(fd); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open terminal %s: %w", path, err)
	}
	unlock := int32(0)
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, int(unlock)); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("unlock terminal: %w", err)
	}
	// By ioctl and not by name: a name could lead elsewhere inside the task.
	user, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		unix.Close(fd)
		return nil, fmt.Errorf("open terminal's user side: %w", errno)
	}
	return &Terminal{Control: os.NewFile(uintptr(fd), "terminal"), User: os.NewFile(user, "terminal")}, nil
}

// isTerminalMaster makes sure that a task did not put something else there.
func isTerminalMaster(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || unix.Major(st.Rdev) != 5 || unix.Minor(st.Rdev) != 2 {
		return fmt.Errorf("not a terminal device")
	}
	return nil
}

// Resize tells the terminal its size in characters.
func (t *Terminal) Resize(rows, columns int) error {
	return unix.IoctlSetWinsize(int(t.Control.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)})
}
