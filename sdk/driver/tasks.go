package driver

import (
	"context"
	"sync"
	"time"
)

// tracked is one task as the SDK follows it: from a successful Start or Recover to Destroy.
type tracked struct {
	id        string
	name      string
	startedAt time.Time

	cancel context.CancelFunc // ends the driver's Wait
	done   chan struct{}      // closed when the driver's Wait has returned

	released bool // let go of by a hand-over; written before cancel, read after done
	// Written before done is closed, read after it.
	exit        *ExitResult // nil if Wait was ended by cancel: how the task ended is not known
	completedAt time.Time
}

// ended reports whether the driver has said how the task ended.
func (t *tracked) ended() bool {
	select {
	case <-t.done:
		return t.exit != nil
	default:
		return false
	}
}

// registry holds the tasks and keeps operations on the same id apart.
type registry struct {
	mu    sync.Mutex
	tasks map[string]*tracked
	busy  map[string]chan struct{} // ids that a Start, Recover or Destroy is working on
	// released refuses everything: another process of the plugin has the tasks.
	released bool
}

func newRegistry() *registry {
	return &registry{tasks: map[string]*tracked{}, busy: map[string]chan struct{}{}}
}

func (r *registry) get(id string) (*tracked, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch t := r.tasks[id]; {
	case t != nil:
		return t, nil
	case r.released:
		return nil, errReleased
	}
	return nil, ErrTaskNotFound
}

func (r *registry) add(t *tracked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks[t.id] = t
}

func (r *registry) remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tasks, id)
}

// claim waits until no other operation works on the id and takes it. The returned function gives it back.
func (r *registry) claim(ctx context.Context, id string) (release func(), err error) {
	for {
		r.mu.Lock()
		if r.released {
			r.mu.Unlock()
			return nil, errReleased
		}
		taken := r.busy[id]
		if taken == nil {
			mine := make(chan struct{})
			r.busy[id] = mine
			r.mu.Unlock()
			return func() {
				r.mu.Lock()
				delete(r.busy, id)
				r.mu.Unlock()
				close(mine)
			}, nil
		}
		r.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
