package driver

import "sync"

const (
	// eventQueue bounds what is kept for a listener that does not keep up; the oldest events go first.
	eventQueue = 256
	// eventBacklog bounds what is kept while nobody listens, such as during a restart of the agent.
	eventBacklog = 64
)

// fanout gives every event to every listener without ever blocking the sender.
type fanout struct {
	mu        sync.Mutex
	listeners map[*listener]struct{}
	backlog   []TaskEvent
}

// listener is the queue of one event stream.
type listener struct {
	mu     sync.Mutex
	queue  []TaskEvent
	signal chan struct{} // has room for one: set when the queue is not empty
}

func newFanout() *fanout { return &fanout{listeners: map[*listener]struct{}{}} }

func (f *fanout) send(e TaskEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.listeners) == 0 {
		f.backlog = keepLast(append(f.backlog, e), eventBacklog)
		return
	}
	for l := range f.listeners {
		l.push(e)
	}
}

// listen adds a listener. The first one after a time without gets what happened meanwhile.
func (f *fanout) listen() *listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := &listener{signal: make(chan struct{}, 1)}
	for _, e := range f.backlog {
		l.push(e)
	}
	f.backlog = nil
	f.listeners[l] = struct{}{}
	return l
}

func (f *fanout) leave(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.listeners, l)
}

func (l *listener) push(e TaskEvent) {
	l.mu.Lock()
	l.queue = keepLast(append(l.queue, e), eventQueue)
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

func (l *listener) take() []TaskEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.queue
	l.queue = nil
	return taken
}

func keepLast(events []TaskEvent, n int) []TaskEvent {
	if len(events) <= n {
		return events
	}
	return append(events[:0], events[len(events)-n:]...)
}
