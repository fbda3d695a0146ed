package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

// What a driver may say of its tasks, at most. What is beyond is dropped and counted.
const (
	eventBurst         = 100 // of one task
	eventsPerSecond    = 1   // of one task, after the burst: each one is stored and goes to the servers
	maxAnnotations     = 32
	maxAnnotationKey   = 128
	tellDropsEvery     = time.Minute
	maxEventTasks      = 4096 // budgets kept; more are begun anew
	readGap            = 5 * time.Millisecond
	readGapPerByte     = readGap / (4 << 10) // so that 1 MiB takes 1.3 s
	unlimitedReads     = 200                 // before the gaps begin
	readsWithoutGapPer = 50                  // per second, that are allowed again
)

// reading slows down the reading of a stream by what comes through it, so that a flood costs the agent little.
type reading struct{ free *bucket }

func newReading() *reading {
	return &reading{newBucket(unlimitedReads, readsWithoutGapPer, time.Now())}
}

// pause waits as long as reading a message of about that size must take.
func (r *reading) pause(ctx context.Context, size int) error {
	if r.free.take(time.Now()) && size <= maxAttributeText {
		return nil
	}
	return pause(ctx, readGap+time.Duration(size)*readGapPerByte)
}

// taskEvents hands on what a driver says of its tasks.
func (g *generation) taskEvents(ctx context.Context, s *session) {
	slow := newReading()
	post := eventPost{g: g, budgets: map[string]*bucket{}}
	g.reopen(ctx, func() error {
		return s.client.Driver().TaskEvents(ctx, func(e driver.TaskEvent) error {
			size := eventSize(e)
			post.deliver(e, time.Now())
			return slow.pause(ctx, size)
		})
	}, func(err error) {
		if err != nil && !errors.Is(err, host.ErrPluginDown) && !errors.Is(err, host.ErrUnimplemented) {
			g.log.Warn("plugin's task event stream broke", "error", cut(err.Error(), maxDescription))
		}
	})
}

func eventSize(e driver.TaskEvent) int {
	size := len(e.Message) + len(e.TaskID) + len(e.AllocID) + len(e.TaskName)
	for k, v := range e.Annotations {
		size += len(k) + len(v)
	}
	return size
}

// eventPost delivers one process' task events within each task's budget.
type eventPost struct {
	g       *generation
	budgets map[string]*bucket // by allocation and task
	dropped int
	told    time.Time
}

func (p *eventPost) deliver(e driver.TaskEvent, now time.Time) {
	lost := 1
	if e, ours := p.g.about(e); ours && p.budget(e, now).take(now) {
		lost = p.g.family.host.events.publish(trimEvent(e))
	}
	if lost == 0 {
		return
	}
	p.g.tally.drop(lost)
	p.dropped += lost
	if now.Sub(p.told) >= tellDropsEvery {
		p.told = now
		p.g.family.host.report(p.g, fmt.Sprintf("sends more task events than are kept, or events of tasks that it does not have: %d dropped", p.dropped))
	}
}

func (p *eventPost) budget(e driver.TaskEvent, now time.Time) *bucket {
	key := e.AllocID + "/" + e.TaskName
	b := p.budgets[key]
	if b == nil {
		if len(p.budgets) >= maxEventTasks {
			clear(p.budgets)
		}
		b = newBucket(eventBurst, eventsPerSecond, now)
		p.budgets[key] = b
	}
	return b
}

// about finds out which task an event is about; false: none of this generation's, and nobody speaks of others' tasks.
// The task's id says it; what plugins write beside it is for those that leave it out.
func (g *generation) about(e driver.TaskEvent) (driver.TaskEvent, bool) {
	h := g.family.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := g.tasks[e.TaskID]; ok {
		if alloc, task, ok := splitTaskID(e.TaskID); ok {
			e.AllocID, e.TaskName = alloc, task
		}
		return e, true
	}
	for id := range g.tasks {
		alloc, task, ok := splitTaskID(id)
		if ok && e.TaskID == "" && alloc == e.AllocID && task == e.TaskName {
			return e, true
		}
	}
	return e, false
}

// splitTaskID takes apart what the node makes: allocation, task and a suffix, with slashes between.
func splitTaskID(id string) (alloc, task string, ok bool) {
	first, last := strings.IndexByte(id, '/'), strings.LastIndexByte(id, '/')
	if first <= 0 || last <= first+1 {
		return "", "", false
	}
	return id[:first], id[first+1 : last], true
}

func trimEvent(e driver.TaskEvent) driver.TaskEvent {
	e.Message = cut(e.Message, maxDescription)
	for i, key := range sortedKeys(e.Annotations) {
		if i >= maxAnnotations || len(key) > maxAnnotationKey {
			delete(e.Annotations, key)
			continue
		}
		e.Annotations[key] = cut(e.Annotations[key], maxDescription)
	}
	return e
}
