package pluginhost

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/pluginhost/process"
	"github.com/droverhq/drover/sdk/driver"
)

// tally is what was counted of a generation's processes since this agent began. It is safe for concurrent use.
type tally struct {
	mu      sync.Mutex
	methods map[string]*model.PluginCalls
	dropped uint64 // task events
}

func newTally() *tally { return &tally{methods: map[string]*model.PluginCalls{}} }

// of is called with the lock held. The names are ours, so there are not many.
func (t *tally) of(name string) *model.PluginCalls {
	c := t.methods[name]
	if c == nil {
		c = &model.PluginCalls{Method: name}
		t.methods[name] = c
	}
	return c
}

func (t *tally) begin(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of(name)
	c.Calls++
	c.InFlight++
}

func (t *tally) end(name string, took time.Duration, err error, lasts bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.of(name)
	c.InFlight--
	if !lasts {
		c.Seconds += took.Seconds()
		c.Slowest = max(c.Slowest, took.Seconds())
	}
	if err == nil || errors.Is(err, errGivenUp) || errors.Is(err, driver.ErrTaskNotFound) {
		return
	}
	c.Errors++
	c.LastError = cut(err.Error(), maxDescription)
	if errors.Is(err, context.DeadlineExceeded) {
		c.Timeouts++
	}
}

func (t *tally) refused(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(name).Refused++
}

// drop counts task events that nobody gets.
func (t *tally) drop(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropped += uint64(n)
}

// usage is a copy of what was counted.
func (t *tally) usage() *model.PluginUsage {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := &model.PluginUsage{EventsDropped: t.dropped}
	for _, name := range sortedKeys(t.methods) {
		c := *t.methods[name]
		u.Methods = append(u.Methods, &c)
		u.Calls, u.Errors, u.Timeouts = u.Calls+c.Calls, u.Errors+c.Errors, u.Timeouts+c.Timeouts
	}
	return u
}

// Measured is Plugins with what each of them costs and did.
func (h *Host) Measured() []*model.PluginInfo {
	h.mu.Lock()
	shown := h.snapshot.Plugins
	usage := map[string]*model.PluginUsage{}
	for _, f := range h.families {
		for _, g := range f.generations {
			usage[recordKey(f.file, g.number)] = g.tally.usage()
		}
	}
	h.mu.Unlock()
	list := make([]*model.PluginInfo, len(shown))
	for i, p := range shown {
		c := *p
		if c.Usage = usage[recordKey(p.File, p.Generation)]; c.Usage != nil && p.PID != 0 {
			c.Usage.MemoryBytes = process.Memory(p.PID)
		}
		list[i] = &c
	}
	return list
}
