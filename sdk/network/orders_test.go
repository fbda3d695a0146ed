package network

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// TestOneAtATime: however often what is known is forgotten, two requests about one allocation never overlap.
func TestOneAtATime(t *testing.T) {
	const workers, requests = 4, 2000
	o := newOrders()
	var inside atomic.Int32
	var overlaps atomic.Int32
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range requests {
				_ = o.do(t.Context(), "a", 0, func() error {
					if inside.Add(1) > 1 {
						overlaps.Add(1)
					}
					inside.Add(-1)
					return nil
				})
			}
		})
	}
	wg.Go(func() {
		for range workers * requests {
			o.prune(nil, 1)
		}
	})
	wg.Wait()
	if n := overlaps.Load(); n > 0 {
		t.Errorf("%d requests overlapped others", n)
	}
	o.prune(nil, 1)
	if len(o.all) > 0 {
		t.Errorf("%d allocations are remembered that nobody wants", len(o.all))
	}
}

// TestWaitingIsNotForgotten: whoever waits for its turn finds the order that the one before it leaves.
func TestWaitingIsNotForgotten(t *testing.T) {
	o := newOrders()
	mine := o.enter("a")
	o.prune(nil, 1)
	if other := o.enter("a"); other != mine {
		t.Error("there are two orders about one allocation")
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	<-mine.turn
	if err := o.do(over, "a", 0, func() error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting in vain: %v", err)
	}
	if mine.users != 2 {
		t.Errorf("%d users, want the two that did not leave", mine.users)
	}
}
