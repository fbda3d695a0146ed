package pluginhost

import (
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/driver"
)

const (
	maxNodeEvents = 256 // unread life-cycle events
	maxTaskEvents = 64  // unread events per subscription
)

// router hands drivers' task events to those who subscribed.
type router struct {
	mu   sync.Mutex
	subs map[taskKey]map[chan driver.TaskEvent]struct{}
}

// taskKey with empty fields stands for every task.
type taskKey struct{ alloc, task string }

func newRouter() *router { return &router{subs: map[taskKey]map[chan driver.TaskEvent]struct{}{}} }

// publish never blocks: a subscriber that does not read loses the oldest event. It returns how many were lost.
func (r *router) publish(e driver.TaskEvent) (lost int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range []taskKey{{e.AllocID, e.TaskName}, {}} {
		for c := range r.subs[key] {
			lost += push(c, e)
		}
	}
	return lost
}

// push puts v into the channel, in the place of the oldest if it is full. It returns how many had to go.
func push[T any](c chan T, v T) (lost int) {
	for {
		select {
		case c <- v:
			return lost
		default:
		}
		select {
		case <-c:
			lost++
		default:
		}
	}
}

// Subscribe returns the events of one task; with two empty names those of all tasks. The channel holds 64 events; when
// nobody reads, the oldest are dropped. cancel closes it.
func (h *Host) Subscribe(allocID, task string) (events <-chan driver.TaskEvent, cancel func()) {
	r, key := h.events, taskKey{allocID, task}
	c := make(chan driver.TaskEvent, maxTaskEvents)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.subs[key] == nil {
		r.subs[key] = map[chan driver.TaskEvent]struct{}{}
	}
	r.subs[key][c] = struct{}{}
	var once sync.Once
	return c, func() {
		once.Do(func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			delete(r.subs[key], c)
			if len(r.subs[key]) == 0 {
				delete(r.subs, key)
			}
			close(c)
		})
	}
}

// Events are the steps of plugins' lives, for the node's event list. The oldest are dropped when nobody reads.
func (h *Host) Events() <-chan *model.NodeEvent { return h.nodeEvents }

func (h *Host) emit(e *model.NodeEvent) { push(h.nodeEvents, e) }

func nodeEvent(subsystem, message string, details map[string]string) *model.NodeEvent {
	return &model.NodeEvent{Message: message, Subsystem: subsystem, Details: details, Timestamp: time.Now()}
}
