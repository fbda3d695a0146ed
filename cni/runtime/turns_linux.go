package runtime

import (
	"context"
	"fmt"
	goruntime "runtime"
	"sync"
)

// turns lets a bounded number through per network: one whose plugins hang holds up no other.
type turns struct {
	most int

	mu    sync.Mutex
	slots map[string]chan struct{} // by mode; full = all are taken
}

func newTurns() *turns {
	const least, greatest = 4, 16
	return &turns{most: max(least, min(greatest, 2*goruntime.NumCPU())), slots: map[string]chan struct{}{}}
}

// take waits for a turn and returns what ends it.
func (t *turns) take(ctx context.Context, mode string) (done func(), err error) {
	t.mu.Lock()
	slot := t.slots[mode]
	if slot == nil {
		slot = make(chan struct{}, t.most)
		t.slots[mode] = slot
	}
	t.mu.Unlock()
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("network %s: %d others are worked on: %w", mode, t.most, ctx.Err())
	}
}
