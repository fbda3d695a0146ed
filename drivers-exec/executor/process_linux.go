package executor

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// interrupt is what tasks are stopped with unless the job names a signal.
const interrupt = unix.SIGINT

// reopen makes sure that we hold a pidfd of the process.
func (p *Process) reopen() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd >= 0 {
		return nil
	}
	fd, err := p.state.Proc.Open()
	if err == nil {
		p.pidfd = fd
	}
	return err
}

// closeHandle closes a pidfd, if it is one.
func closeHandle(pidfd int) {
	if pidfd >= 0 {
		unix.Close(pidfd)
	}
}

// send sends a signal by the pidfd, which cannot come to mean another process.
func (p *Process) send(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pidfd < 0 {
		return ErrEnded
	}
	err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0)
	if err == unix.ESRCH {
		return ErrEnded
	}
	if err != nil {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), p.state.Proc.PID, err)
	}
	return nil
}

// deaf reports whether a signal would be lost: the kernel delivers none that
// the first process of a pid namespace has no handler for. Outside a namespace
// it would end the process, so the caller ends it.
func (p *Process) deaf(sig syscall.Signal) bool {
	if !p.state.Inside.Namespaces.PID {
		return false
	}
	handled, err := handles(p.state.Proc.PID, sig)
	return err == nil && !handled
}

// Kill ends the process and everything it started, and returns when the
// process has ended. What it left in its group is gone as well.
func (p *Process) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killWithin)
	defer cancel()
	leftovers := p.family()
	if err := p.send(unix.SIGKILL); err != nil && !errors.Is(err, ErrEnded) {
		return err
	}
	if err := p.state.Group.Kill(ctx); err != nil {
		return fmt.Errorf("kill task %s: %w", p.state.ID, err)
	}
	leftovers.kill()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d of task %s was killed and does not end: %w", p.state.Proc.PID, p.state.ID, ctx.Err())
	}
}

// killAndWait ends a process that no keeper tells us about.
func (p *Process) killAndWait(ctx context.Context) error {
	if err := p.send(unix.SIGKILL); err != nil && !errors.Is(err, ErrEnded) {
		return err
	}
	poll := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	for ctx.Err() == nil {
		if n, err := unix.Poll(poll, 100); n > 0 || err != nil && err != unix.EINTR {
			return nil
		}
	}
	return fmt.Errorf("process %d was killed and does not end: %w", p.state.Proc.PID, ctx.Err())
}
