package state

import (
	"context"
	"errors"
	"sync"

	"github.com/droverhq/drover/core/model"
)

// Topics of the event stream.
const (
	TopicJob        = "Job"
	TopicEvaluation = "Evaluation"
	TopicAllocation = "Allocation"
	TopicDeployment = "Deployment"
	TopicNode       = "Node"
	TopicNodePool   = "NodePool"
	TopicService    = "Service"
)

// Event is one changed object.
type Event struct {
	Topic      string
	Type       string
	Key        string
	Namespace  string
	FilterKeys []string
	Index      uint64
	Payload    any
}

// What events of each topic carry.
type (
	JobPayload struct {
		Job     *model.Job
		Deleted bool `json:",omitempty"`
	}
	EvaluationPayload struct{ Evaluation *model.Evaluation }
	AllocationPayload struct{ Allocation *model.Allocation }
	DeploymentPayload struct{ Deployment *model.Deployment }
	NodePayload       struct{ Node *model.Node }
	NodePoolPayload   struct{ NodePool *model.NodePool }
	ServicePayload    struct{ Service *model.ServiceRegistration }
)

// EventBatch is what one entry changed.
type EventBatch struct {
	Index  uint64
	Events []Event
}

// Why a subscription ended.
var (
	// ErrBehind says that the reader was slower than the writer for longer than the buffer holds.
	ErrBehind = errors.New("the reader fell behind: events were dropped from the buffer before they were read")
	// ErrRestored says that the whole state was replaced.
	ErrRestored = errors.New("the state was restored from a snapshot: start the stream anew")
)

// eventLog keeps the events of the last entries.
type eventLog struct {
	mu      sync.Mutex
	ring    []*EventBatch // batch number n is at n % len
	first   uint64        // number of the oldest batch kept
	next    uint64        // number of the next batch
	index   uint64        // of the last entry, events or not
	life    uint64        // grows with every restore
	changed chan struct{} // closed and replaced by append
}

func newEventLog(size int) *eventLog {
	return &eventLog{ring: make([]*EventBatch, size), changed: make(chan struct{})}
}

func (l *eventLog) append(index uint64, events []Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.index = index
	if len(events) > 0 {
		size := uint64(len(l.ring))
		l.ring[l.next%size] = &EventBatch{index, events}
		l.next++
		if l.next-l.first > size {
			l.first = l.next - size
		}
	}
	l.wake()
}

func (l *eventLog) reset(index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.ring)
	l.first, l.index = l.next, index
	l.life++
	l.wake()
}

func (l *eventLog) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *eventLog) waitIndex(ctx context.Context, index uint64) error {
	for {
		l.mu.Lock()
		have, changed := l.index, l.changed
		l.mu.Unlock()
		if have >= index {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Subscription reads the event log from some place on. It is for one goroutine.
type Subscription struct {
	log  *eventLog
	at   uint64
	life uint64
}

// Events starts reading at the oldest kept batch whose index is fromIndex or above; with 0, at what comes from now on.
func (s *Store) Events(fromIndex uint64) *Subscription {
	l := s.events
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.next
	if fromIndex > 0 {
		for at > l.first && l.ring[(at-1)%uint64(len(l.ring))].Index >= fromIndex {
			at--
		}
	}
	return &Subscription{log: l, at: at, life: l.life}
}

// Next waits for the next batch.
func (sub *Subscription) Next(ctx context.Context) (*EventBatch, error) {
	l := sub.log
	for {
		l.mu.Lock()
		if sub.life != l.life {
			l.mu.Unlock()
			return nil, ErrRestored
		}
		if sub.at < l.first {
			l.mu.Unlock()
			return nil, ErrBehind
		}
		if sub.at < l.next {
			b := l.ring[sub.at%uint64(len(l.ring))]
			sub.at++
			l.mu.Unlock()
			return b, nil
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
