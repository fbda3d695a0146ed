package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

// lane is a group of calls that wait for each other. Each group has its own, so that starts that hang keep no stop from
// getting through.
type lane struct {
	most    int // calls at a time
	waiting int // calls that may wait for their turn; more are refused
}

// The lanes. Calls that last as long as a task (WaitTask) or as the host listens are in none: there is one per task.
var (
	laneStart  = lane{most: 256, waiting: 4096}
	laneEnd    = lane{most: 1024, waiting: 4096}
	laneAsk    = lane{most: 64, waiting: 256}
	laneListen = lane{most: 128, waiting: 128}
)

// method is what is known of a call of the contract.
type method struct {
	lane  *lane
	lasts bool // its time says nothing about the plugin
	// works: the driver itself has to do something, so its answer is a sign that more than the process lives.
	works bool
}

// methods by name; what is not listed is a short call of the setup.
var methods = map[string]method{
	"StartTask":         {lane: &laneStart, works: true},
	"RecoverTask":       {lane: &laneStart, works: true},
	"CreateNetwork":     {lane: &laneStart, works: true},
	"StopTask":          {lane: &laneEnd, works: true},
	"DestroyTask":       {lane: &laneEnd, works: true},
	"DestroyNetwork":    {lane: &laneEnd, works: true},
	"InspectTask":       {lane: &laneAsk, works: true},
	"SignalTask":        {lane: &laneAsk, works: true},
	"ExecTask":          {lane: &laneListen, lasts: true, works: true},
	"ExecTaskStreaming": {lane: &laneListen, lasts: true},
	"TaskStats":         {lane: &laneListen, lasts: true},
	"WaitTask":          {lasts: true},
	"Fingerprint":       {lasts: true},
	"TaskEvents":        {lasts: true},
	"StreamStdio":       {lasts: true},
	"Reserve":           {lane: &laneStart, works: true},
	"Release":           {lane: &laneEnd, works: true},
	"Stats":             {lasts: true}, // of a device plugin
}

// errBusy: too many calls wait for the plugin already.
var errBusy = errors.New("the plugin is too busy")

// turnstile lets a bounded number of calls through at a time.
type turnstile struct {
	lane    lane
	through chan struct{}
	mu      sync.Mutex
	waiting int
}

func newTurnstile(l lane) *turnstile {
	return &turnstile{lane: l, through: make(chan struct{}, l.most)}
}

// enter waits for a turn until ctx ends.
func (t *turnstile) enter(ctx context.Context) error {
	select {
	case t.through <- struct{}{}:
		return nil
	default:
	}
	if !t.queue(1) {
		return fmt.Errorf("%w: %d calls are under way and %d wait", errBusy, t.lane.most, t.lane.waiting)
	}
	defer t.queue(-1)
	select {
	case t.through <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %d calls are under way: %w", errBusy, t.lane.most, ctx.Err())
	}
}

func (t *turnstile) queue(n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > 0 && t.waiting+n > t.lane.waiting {
		return false
	}
	t.waiting += n
	return true
}

func (t *turnstile) leave() { <-t.through }

// gate bounds the calls to one process, counts them for its generation, and notices when it answers none of them.
type gate struct {
	tally *tally
	turns map[*lane]*turnstile
	stuck chan string // gets the reason when too many deadlines in a row were missed

	mu     sync.Mutex
	missed []string // calls in a row that passed their deadline
	since  time.Time
}

func newGate(t *tally) *gate {
	g := &gate{tally: t, turns: map[*lane]*turnstile{}, stuck: make(chan string, 1)}
	for _, m := range methods {
		if m.lane != nil && g.turns[m.lane] == nil {
			g.turns[m.lane] = newTurnstile(*m.lane)
		}
	}
	return g
}

// pass is the host.Gate.
func (g *gate) pass(ctx context.Context, call host.Call) (done func(error), err error) {
	m := methods[call.Method]
	turn := g.turns[m.lane]
	if turn != nil {
		if err := turn.enter(ctx); err != nil {
			g.tally.refused(call.Method)
			return nil, driver.Recoverable(err) // a start is tried again
		}
	}
	began := time.Now()
	g.tally.begin(call.Method)
	return func(err error) {
		if turn != nil {
			turn.leave()
		}
		if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, host.ErrUnimplemented) {
			err = errGivenUp
		}
		g.tally.end(call.Method, time.Since(began), err, m.lasts)
		if m.works {
			g.answered(call.Method, began, err)
		}
	}, nil
}

// errGivenUp is the outcome of a call that its caller gave up: no failure of the plugin, and no answer.
var errGivenUp = errors.New("given up")

// Calls of the driver that miss their deadline one after the other, with no answer to any of them between, mean that it
// is stuck: so many of them, over so long a time.
const (
	stuckCalls = 3
	stuckFor   = time.Minute
)

// answered counts deadlines that were missed since the driver last answered anything, an error included.
func (g *gate) answered(name string, began time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case errors.Is(err, errGivenUp):
		return
	case !errors.Is(err, context.DeadlineExceeded):
		g.missed = nil
		return
	}
	if len(g.missed) == 0 {
		g.since = began
	}
	if len(g.missed) < stuckCalls {
		g.missed = append(g.missed, name)
	}
	if len(g.missed) == stuckCalls && time.Since(g.since) >= stuckFor {
		push(g.stuck, fmt.Sprintf("it answered none of its last calls in time (%s)", countNames(g.missed)))
		g.missed = nil
	}
}

func countNames(list []string) string {
	counts := map[string]int{}
	for _, name := range list {
		counts[name]++
	}
	text := ""
	for _, name := range sortedKeys(counts) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%d x %s", counts[name], name)
	}
	return text
}
