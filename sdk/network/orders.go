package network

import (
	"context"
	"sync"
)

// orders lets requests about one allocation through one after the other, and drops those that a later one overtook.
type orders struct {
	mu  sync.Mutex
	all map[string]*order
}

// order is the latest about one allocation.
type order struct {
	turn     chan struct{} // holds one while nobody works on the allocation
	revision uint64        // of the latest that was let through
	users    int           // that work on it or wait for their turn; guarded by orders.mu
}

func newOrders() *orders { return &orders{all: map[string]*order{}} }

// do calls f when it is its turn. Revision 0 is never overtaken.
func (o *orders) do(ctx context.Context, id string, revision uint64, f func() error) error {
	mine := o.enter(id)
	defer o.leave(mine)
	select {
	case <-mine.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { mine.turn <- struct{}{} }()
	if revision != 0 {
		if revision < mine.revision {
			return ErrOvertaken
		}
		mine.revision = revision
	}
	return f()
}

// enter keeps the order from being forgotten until leave.
func (o *orders) enter(id string) *order {
	o.mu.Lock()
	defer o.mu.Unlock()
	mine := o.all[id]
	if mine == nil {
		mine = &order{turn: make(chan struct{}, 1)}
		mine.turn <- struct{}{}
		o.all[id] = mine
	}
	mine.users++
	return mine
}

func (o *orders) leave(mine *order) {
	o.mu.Lock()
	defer o.mu.Unlock()
	mine.users--
}

// prune forgets allocations that the latest reconciliation neither wanted nor found: nothing older can still come.
func (o *orders) prune(known map[string]bool, revision uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, one := range o.all {
		// Without users nobody changes the revision: they take their turn between enter and leave.
		if one.users == 0 && !known[id] && one.revision < revision {
			delete(o.all, id)
		}
	}
}
