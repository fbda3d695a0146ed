package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/droverhq/drover/drivers-exec/executor/keeper"
)

// interrupt is what tasks are stopped with unless the job names a signal.
const interrupt = syscall.SIGINT

// ParseSignal reads the name of what Windows has for a signal.
func ParseSignal(name string) (syscall.Signal, error) {
	switch strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(name)), "SIG") {
	case "INT", "BREAK", "TERM":
		return syscall.SIGINT, nil
	case "KILL":
		return syscall.SIGKILL, nil
	}
	return 0, fmt.Errorf("signal %q does not exist on Windows; there are SIGINT, SIGBREAK and SIGTERM, which all are Ctrl-Break, and SIGKILL", name)
}

// send sends Ctrl-Break to the task's console group, or ends the task.
func (p *Process) send(sig syscall.Signal) error {
	select {
	case <-p.done:
		return ErrEnded
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), cleanupWithin)
	defer cancel()
	c, err := p.link.connect(ctx)
	if err != nil {
		return err
	}
	if sig == syscall.SIGKILL {
		err = c.Kill(ctx, p.state.ID)
	} else {
		err = c.Signal(ctx, p.state.ID)
	}
	if err != nil {
		return fmt.Errorf("signal task %s: %w", p.state.ID, err)
	}
	return nil
}

// deaf is about pid namespaces, which Windows has not.
func (p *Process) deaf(syscall.Signal) bool { return false }

// Kill ends everything in the task's job object and returns when the process
// has ended.
func (p *Process) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killWithin)
	defer cancel()
	c, err := p.link.connect(ctx)
	if err != nil {
		return err
	}
	if err := c.Kill(ctx, p.state.ID); err != nil && !errors.Is(err, keeper.ErrUnknown) {
		return fmt.Errorf("kill task %s: %w", p.state.ID, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d of task %s was killed and does not end: %w", p.state.Proc.PID, p.state.ID, ctx.Err())
	}
}

// reopen has nothing to do: the keeper holds the process.
func (p *Process) reopen() error { return nil }

func closeHandle(int) {}
