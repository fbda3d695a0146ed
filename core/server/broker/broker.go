// Package broker hands evaluations to workers: Queue decides, Broker adds the lock, the clock and the waiting.
package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
)

// ErrDisabled says that this server hands out nothing: it is not the leader, or an operator paused it.
var ErrDisabled = errors.New("the evaluation broker is disabled")

// Broker is a Queue for many goroutines.
type Broker struct {
	limits Limits
	newID  func() string
	notify func() // something may be canceled or failed

	mu      sync.Mutex
	queue   *Queue // nil while disabled
	changed chan struct{}
	timer   *time.Timer
	paused  bool
}

// New returns a disabled broker. notify is called, without a lock held, when TakeCanceled or TakeFailed may have
// something.
func New(limits Limits, newID func() string, notify func()) *Broker {
	return &Broker{limits: limits, newID: newID, notify: notify, changed: make(chan struct{})}
}

// Enable starts with an empty queue; Disable forgets everything. Workers that wait in Dequeue go on waiting.
func (b *Broker) Enable() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue == nil {
		b.queue = NewQueue(b.limits)
	}
}

// Disable ends Enable.
func (b *Broker) Disable() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue = nil
	if b.timer != nil {
		b.timer.Stop()
	}
}

// Pause keeps evaluations from being handed out; they are still collected.
func (b *Broker) Pause(paused bool) {
	b.mu.Lock()
	b.paused = paused
	b.mu.Unlock()
	b.tick()
}

// Enqueue adds evaluations.
func (b *Broker) Enqueue(evals ...*model.Evaluation) {
	if len(evals) == 0 {
		return
	}
	b.mu.Lock()
	if b.queue != nil {
		now := time.Now()
		for _, e := range evals {
			b.queue.Enqueue(e, now)
		}
	}
	b.mu.Unlock()
	b.tick()
}

// Forget drops evaluations.
func (b *Broker) Forget(ids ...string) {
	if len(ids) == 0 {
		return
	}
	b.do(func(q *Queue, _ time.Time) {
		for _, id := range ids {
			q.Forget(id)
		}
	})
}

// Dequeue waits for an evaluation of one of the types.
func (b *Broker) Dequeue(ctx context.Context, types []string) (*Delivery, error) {
	for {
		b.mu.Lock()
		changed := b.changed
		if b.queue != nil && !b.paused {
			if d := b.queue.Dequeue(types, b.newID(), time.Now()); d != nil {
				b.mu.Unlock()
				b.tick()
				return d, nil
			}
		}
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Ack says that an evaluation is done with.
func (b *Broker) Ack(id, token string) error {
	err := ErrDisabled
	b.do(func(q *Queue, now time.Time) { err = q.Ack(id, token, now) })
	return err
}

// Nack says that a worker could not do it.
func (b *Broker) Nack(id, token string) error {
	err := ErrDisabled
	b.do(func(q *Queue, now time.Time) { err = q.Nack(id, token, now) })
	return err
}

// Outstanding tells whether the worker with that token still has the evaluation.
func (b *Broker) Outstanding(id, token string) (ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue != nil && b.queue.Outstanding(id, token)
}

// PauseClock stops the time a worker has for an evaluation until ResumeClock.
func (b *Broker) PauseClock(id, token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue != nil {
		b.queue.Pause(id, token)
	}
}

// ResumeClock ends PauseClock.
func (b *Broker) ResumeClock(id, token string) {
	b.do(func(q *Queue, now time.Time) { q.Resume(id, token, now) })
}

// TakeCanceled returns the evaluations that became useless.
func (b *Broker) TakeCanceled() (out []*model.Evaluation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue != nil {
		out = b.queue.TakeCanceled()
	}
	return out
}

// TakeFailed returns the evaluations that were handed out too often.
func (b *Broker) TakeFailed() (out []*model.Evaluation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue != nil {
		out = b.queue.TakeFailed()
	}
	return out
}

// Stats counts.
func (b *Broker) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue == nil {
		return Stats{}
	}
	return b.queue.Stats()
}

func (b *Broker) do(fn func(*Queue, time.Time)) {
	b.mu.Lock()
	if b.queue != nil {
		fn(b.queue, time.Now())
	}
	b.mu.Unlock()
	b.tick()
}

// tick does what is due, sets the timer for what comes next and wakes the workers.
func (b *Broker) tick() {
	b.mu.Lock()
	if b.queue == nil {
		b.mu.Unlock()
		return
	}
	now := time.Now()
	next := b.queue.Tick(now)
	if b.timer != nil {
		b.timer.Stop()
	}
	if !next.IsZero() {
		b.timer = time.AfterFunc(next.Sub(now), b.tick)
	}
	tell := len(b.queue.canceled) > 0 || len(b.queue.failed) > 0
	close(b.changed)
	b.changed = make(chan struct{})
	b.mu.Unlock()
	if tell {
		b.notify()
	}
}
