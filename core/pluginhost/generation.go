package pluginhost

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/network"
)

// generation is one binary with one configuration. Its goroutine is the only one that changes its state and its session;
// readers hold the host's lock.
type generation struct {
	family   *family
	number   uint64
	digest   string
	restored bool // it was there before this agent began: it may hold tasks that nobody has claimed yet
	log      hclog.Logger

	events chan happening
	kick   chan struct{} // the number of tasks changed
	starts chan startResult
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // its goroutine has ended

	tally *tally // of calls to its processes

	// Guarded by host.mu.
	machine     lifecycle.Generation
	since       time.Time // of the state and reason
	name        string    // as it reports itself; known before the first launch from a record
	version     string
	kind        string // driver, device; empty while not known
	session     *session
	last        *session // the latest there was, for what is still shown of it
	fingerprint *driver.Fingerprint
	attributes  map[string]string
	devices     []*model.NodeDevice           // as last listed; replaced, never changed
	deviceWords string                        // how many there are, for people; empty before the first list
	deviceStats []device.GroupStats           // latest sample
	modes       []network.Mode                // as last offered; replaced, never changed
	tasks       map[string]*driver.TaskHandle // those it holds; nil until it answered the start
	offers      bool                          // has the hand-over extension, as far as is known
	moving      bool                          // takes part in a hand-over that is under way
	handedTo    uint64                        // the generation that has its tasks; 0 = itself
	trust       string                        // what it rests on; empty = nothing was asked for
	conflict    bool                          // refused because another file reports the same name

	// Its goroutine's own.
	epoch       int // of the start that counts
	cancelStart context.CancelFunc
	starting    <-chan struct{} // closed when the latest start has ended; nil if there was none
	ending      <-chan struct{} // closed when the previous process is gone; nil if there was none
}

// happening is an event and the session it is about; nil = not about one.
type happening struct {
	session *session
	event   lifecycle.Event
}

func newGeneration(f *family, number uint64, digest string) *generation {
	g := &generation{
		family: f, number: number, digest: digest, machine: lifecycle.New(), since: f.host.now(),
		log:        f.host.log.With("plugin", f.file, "generation", number),
		events:     make(chan happening, 16),
		kick:       make(chan struct{}, 1),
		starts:     make(chan startResult),
		done:       make(chan struct{}),
		tasks:      map[string]*driver.TaskHandle{},
		tally:      newTally(),
		attributes: map[string]string{},
	}
	g.ctx, g.cancel = context.WithCancel(f.host.ctx)
	return g
}

// run obeys the machine until the generation is retired or the host stops.
func (g *generation) run() {
	defer close(g.done)
	defer g.letGo()
	g.apply(lifecycle.Event{Kind: lifecycle.FileVerified})
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for g.machine.State != lifecycle.Retired {
		if at := g.machine.Deadline(); at.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(time.Until(at))
		}
		var dead <-chan struct{}
		if g.session != nil {
			dead = g.session.proc.Done()
		}
		select {
		case <-g.ctx.Done():
			return
		case <-dead:
			g.died()
		case e := <-g.events:
			if e.session == nil || e.session == g.session {
				g.apply(e.event)
			}
		case r := <-g.starts:
			g.started(r)
		case <-g.kick:
			g.apply(lifecycle.Event{Kind: lifecycle.TaskCount, Tasks: g.taskCount()})
		case <-timer.C:
			g.apply(lifecycle.Event{Kind: lifecycle.Tick})
		}
	}
}

// letGo is the end of its goroutine: nothing may be left running on our side.
func (g *generation) letGo() {
	g.cancel()
	waitFor(g.starting)
	waitFor(g.ending)
	s := g.detach()
	if s == nil {
		return
	}
	h := g.family.host
	idle := h.endIdle.Load() && g.taskCount() == 0
	if !h.endPlugins.Load() && s.outlivesAgent() && !idle {
		s.release()
		return
	}
	if err := s.end(context.Background(), h.config.Limits.Shutdown); err != nil {
		g.log.Error("plugin cannot be ended", "error", err)
	}
	h.forget(g)
}

// retired reports whether nothing is left of it. The lock is held.
func (g *generation) retired() bool { return g.machine.State == lifecycle.Retired }

// post tells the goroutine that something happened. It must not be called with the host's lock held.
func (g *generation) post(e lifecycle.Event) { g.postFrom(g.ctx, nil, e) }

// postFrom is post for what belongs to a session: an event that is late by one process is dropped.
func (g *generation) postFrom(ctx context.Context, s *session, e lifecycle.Event) {
	select {
	case g.events <- happening{s, e}:
	case <-ctx.Done():
	case <-g.ctx.Done():
	case <-g.done:
	}
}

func (g *generation) apply(e lifecycle.Event) {
	h := g.family.host
	now := h.now()
	h.mu.Lock()
	before := g.machine
	next, actions := lifecycle.Step(before, e, now, h.config.Limits.Lifecycle)
	g.machine = next
	if before.State != next.State || before.Reason != next.Reason {
		g.since = now
	}
	if before.Leaving != next.Leaving {
		h.rememberLeaving(g)
	}
	h.mu.Unlock()
	for _, a := range actions {
		g.act(a)
	}
	h.changed()
}

func (g *generation) act(a lifecycle.Action) {
	switch a.Kind {
	case lifecycle.DoStart:
		g.begin()
	case lifecycle.DoStop:
		g.stop()
	case lifecycle.DoForget:
		g.giveUpStart()
		g.epoch++ // what it answers does not count
		g.forget()
	case lifecycle.DoReport:
		g.family.host.report(g, a.Text)
	}
}

// detach takes the session away from readers.
func (g *generation) detach() *session {
	h := g.family.host
	h.mu.Lock()
	defer h.mu.Unlock()
	s := g.session
	g.session = nil
	return s
}

func (g *generation) died() {
	s := g.detach()
	s.release()
	s.removeSocket()
	why, stuck := s.endReason()
	g.apply(lifecycle.Event{Kind: lifecycle.Died, Reason: why, Stuck: stuck})
}

// stop ends the process in the background; the next start waits for that.
func (g *generation) stop() {
	s := g.detach()
	if s == nil {
		return
	}
	h := g.family.host
	before, over := g.ending, make(chan struct{})
	g.ending = over
	h.background.Go(func() {
		defer close(over)
		waitFor(before)
		g.linger(s)
		if err := s.end(context.Background(), h.config.Limits.Shutdown); err != nil {
			g.log.Error("plugin cannot be ended", "error", err)
		}
	})
}

// handed reports whether another generation has its tasks.
func (g *generation) handed() bool {
	g.family.host.mu.Lock()
	defer g.family.host.mu.Unlock()
	return g.handedTo != 0
}

// linger lets the calls end that a process which handed its tasks over still has: commands inside tasks, above all.
func (g *generation) linger(s *session) {
	h, handed := g.family.host, g.handed()
	for late := time.Now().Add(lingerFor); handed && time.Now().Before(late); {
		select {
		case <-s.proc.Done():
			return
		case <-h.ctx.Done():
			return
		default:
		}
		if s.barrier.over(time.Second) == "" {
			return
		}
	}
}

// forget removes what leads to the generation's process, once that is gone.
func (g *generation) forget() {
	h := g.family.host
	starting, ending := g.starting, g.ending
	h.background.Go(func() {
		waitFor(starting)
		waitFor(ending)
		h.forget(g)
	})
}
