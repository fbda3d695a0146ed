package paged

import "sync"

// notifier wakes those who wait for a change of something. It belongs to all versions of that thing, so it remembers
// which version changed it last: who read an older one need not wait.
type notifier struct {
	mu   sync.Mutex
	last uint64
	ch   chan struct{}
}

var closed = func() <-chan struct{} {
	ch := make(chan struct{})
	close(ch)
	return ch
}()

// wait returns what is closed when a version after this one changes the thing.
func (n *notifier) wait(version uint64) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last > version {
		return closed
	}
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *notifier) changed(version uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = version
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}
