package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/keeper"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/sdk/failpoint"
)

// Process is a task's process and what belongs to it.
type Process struct {
	link  *link
	state State

	mu    sync.Mutex
	pidfd int // on Linux; -1 once the process is known to have ended
	exit  proc.Exit
	done  chan struct{}
	once  sync.Once
	meter meter
}

// How long the kernel gets to end killed processes, and how long cleaning up
// after a failed start may take.
const (
	killWithin    = 15 * time.Second
	cleanupWithin = 5 * time.Second
)

// sigkill is the signal that nobody survives, and that the kernel sends when
// memory has run out.
const sigkill = 9

// NotItsLimit says of a process that the kernel ended for want of memory whose.
const NotItsLimit = "the machine ran out of memory, not the task's own limit"

func newProcess(l *link, st State) *Process {
	return &Process{link: l, state: st, pidfd: -1, done: make(chan struct{})}
}

// State is what Recover needs.
func (p *Process) State() State { return p.state }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// begin enters what the keeper says about a process just started.
func (p *Process) begin(t keeper.Task, pidfd int) {
	p.mu.Lock()
	p.state.Proc, p.state.Started = t.Proc, t.Started
	select {
	case <-p.done: // ended already, and told so before the answer was read
		closeHandle(pidfd)
	default:
		p.pidfd = pidfd
	}
	p.mu.Unlock()
	if t.Exit != nil {
		p.finish(*t.Exit)
	}
}

// recover hands the process to the keeper, if it does not hold it already.
func (p *Process) recover(ctx context.Context, c *keeper.Client) error {
	p.reopen()
	p.adopt(ctx, c)
	select {
	case <-p.done:
		return nil
	default:
		return p.reopen()
	}
}

// adopt makes sure that a keeper knows the process. If this fails the process
// is left alone: the connection is about to be made again.
func (p *Process) adopt(ctx context.Context, c *keeper.Client) {
	p.mu.Lock()
	pidfd, known := p.pidfd, p.state.Proc.PID != 0
	p.mu.Unlock()
	if !known {
		return // still starting; whoever starts it finds the connection lost
	}
	t, err := c.Adopt(ctx, keeper.Task{ID: p.state.ID, Proc: p.state.Proc, Started: p.state.Started}, pidfd)
	if err != nil {
		p.link.log.Warn("keeper does not adopt a task", "task", p.state.ID, "error", err)
		return
	}
	if t.Exit != nil {
		p.finish(*t.Exit)
	}
}

// finish records the end, once.
func (p *Process) finish(e proc.Exit) {
	p.once.Do(func() {
		// The code also of a shell whose child was killed.
		if e.Code == 128+sigkill && p.state.Group.OOMKills() > 0 {
			e.OOMKilled = true
			if !p.state.Group.LimitReached() {
				e.Reason = NotItsLimit
			}
		}
		p.mu.Lock()
		p.exit = e
		closeHandle(p.pidfd)
		p.pidfd = -1
		close(p.done)
		p.mu.Unlock()
	})
}

// Wait blocks until the process has ended and says how.
func (p *Process) Wait(ctx context.Context) (proc.Exit, error) {
	select {
	case <-p.done:
		return p.exit, nil
	case <-ctx.Done():
		return proc.Exit{}, ctx.Err()
	}
}

// Signal sends a signal, by name, to the process itself.
func (p *Process) Signal(name string) error {
	sig, err := ParseSignal(name)
	if err != nil {
		return err
	}
	failpoint.Here("SignalTask.middle")
	return p.send(sig)
}

// Stop asks the process to end, by a signal that is SIGINT if not named, and
// after the timeout ends it and everything it started. It returns when the
// process has ended.
func (p *Process) Stop(ctx context.Context, name string, timeout time.Duration) error {
	sig := interrupt
	if name != "" {
		var err error
		if sig, err = ParseSignal(name); err != nil {
			return err
		}
	}
	if timeout > 0 && !p.deaf(sig) {
		if err := p.send(sig); err != nil && !errors.Is(err, ErrEnded) {
			return p.Kill(ctx) // who cannot be asked is not waited for
		}
		failpoint.Here("StopTask.middle")
		select {
		case <-p.done:
		case <-time.After(timeout):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return p.Kill(ctx)
}

// Destroy ends the process if it runs and removes everything that is left of
// it: cgroups, its record, and the standard files the keeper holds for it.
func (p *Process) Destroy(ctx context.Context) error {
	if err := p.Kill(ctx); err != nil {
		return err
	}
	failpoint.Here("DestroyTask.middle")
	client, err := p.link.connect(ctx)
	if err == nil {
		err = client.Release(ctx, p.state.ID)
	}
	if err := errors.Join(err, p.state.Group.Remove()); err != nil {
		return fmt.Errorf("clean up after task %s: %w", p.state.ID, err)
	}
	p.link.forget(p.state.ID)
	return nil
}
