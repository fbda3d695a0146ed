package pluginhost

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/sdk/host"
)

// errMoved answers calls to a process whose tasks another one has. They were not carried out.
var errMoved = fmt.Errorf("%w: %w; ask for the process that has them", ErrPluginDown, host.ErrReleased)

// barrier is what calls about tasks pass on their way to a process. A hand-over holds them back until it is known which
// process they go to.
type barrier struct {
	mu    sync.Mutex
	held  chan struct{} // closed when calls may go on; nil = they may
	moved bool
	calls map[*call]struct{} // under way
	less  chan struct{}      // closed when a call ends; nil = nobody waits for that
}

// call is one that is under way.
type call struct {
	what    string
	changes bool // it changes what the process does for tasks; otherwise it only must not be cut off
}

func newBarrier() *barrier { return &barrier{calls: map[*call]struct{}{}} }

// enter waits while calls are held back and registers one. The error is errMoved or that of ctx.
func (b *barrier) enter(ctx context.Context, what string, changes bool) (leave func(), err error) {
	for {
		b.mu.Lock()
		held := b.held
		if held == nil && !b.moved {
			c := &call{what: what, changes: changes}
			b.calls[c] = struct{}{}
			b.mu.Unlock()
			return func() { b.leave(c) }, nil
		}
		b.mu.Unlock()
		if err := b.settled(ctx); err != nil {
			return nil, err
		}
	}
}

func (b *barrier) leave(c *call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.calls, c)
	if b.less != nil {
		close(b.less)
		b.less = nil
	}
}

// settled waits while calls are held back.
func (b *barrier) settled(ctx context.Context) error {
	b.mu.Lock()
	held, moved := b.held, b.moved
	b.mu.Unlock()
	if moved {
		return errMoved
	}
	if held == nil {
		return nil
	}
	select {
	case <-held:
		return b.settled(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hold holds calls back from now on and waits until those under way that change something are over, for a while. It
// names one that is not.
func (b *barrier) hold(patience time.Duration) (busy string) {
	b.mu.Lock()
	if b.held == nil {
		b.held = make(chan struct{})
	}
	b.mu.Unlock()
	return b.quiet(patience, func(c *call) bool { return c.changes })
}

// over waits until all calls are over, for a while. It names one that is not.
func (b *barrier) over(patience time.Duration) (busy string) {
	return b.quiet(patience, func(*call) bool { return true })
}

func (b *barrier) quiet(patience time.Duration, counts func(*call) bool) (busy string) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		b.mu.Lock()
		busy = ""
		for c := range b.calls {
			if counts(c) {
				busy = c.what
			}
		}
		if busy != "" && b.less == nil {
			b.less = make(chan struct{})
		}
		less := b.less
		b.mu.Unlock()
		if busy == "" {
			return ""
		}
		select {
		case <-less:
		case <-timer.C:
			return busy
		}
	}
}

// pass lets calls go on.
func (b *barrier) pass() { b.end(false) }

// move sends calls to the process that has the tasks now.
func (b *barrier) move() { b.end(true) }

func (b *barrier) end(moved bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.moved = b.moved || moved
	if b.held != nil {
		close(b.held)
		b.held = nil
	}
}
