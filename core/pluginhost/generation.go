package pluginhost

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/process"
	"github.com/droverhq/drover/sdk/driver"
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
	tasks       map[string]struct{}
	conflict    bool // refused because another file reports the same name

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

// startResult is how an attempt to bring it up ended.
type startResult struct {
	epoch   int
	session *session
	err     error
}

func newGeneration(f *family, number uint64, digest string) *generation {
	g := &generation{
		family: f, number: number, digest: digest, machine: lifecycle.New(), since: f.host.now(),
		log:        f.host.log.With("plugin", f.file, "generation", number),
		events:     make(chan happening, 16),
		kick:       make(chan struct{}, 1),
		starts:     make(chan startResult),
		done:       make(chan struct{}),
		tasks:      map[string]struct{}{},
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
	if !h.endPlugins.Load() {
		s.release()
		return
	}
	if err := s.end(context.Background(), h.config.Limits.Shutdown); err != nil {
		g.log.Error("plugin cannot be ended", "error", err)
	}
	h.forget(g)
}

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
		g.forget()
	case lifecycle.DoReport:
		g.family.host.report(g, a.Text)
	}
}

// begin brings the process up in the background; the answer comes over starts. A start that is under way is given up
// first, and the process before is gone before the next one begins: it may hold a port.
func (g *generation) begin() {
	g.giveUpStart()
	g.epoch++
	epoch, before, ending := g.epoch, g.starting, g.ending
	ctx, cancel := context.WithCancel(g.ctx)
	over := make(chan struct{})
	g.cancelStart, g.starting = cancel, over
	go func() {
		defer close(over)
		defer cancel()
		waitFor(before)
		waitFor(ending)
		s, err := g.start(ctx)
		select {
		case g.starts <- startResult{epoch, s, err}:
		case <-ctx.Done():
			if s != nil {
				g.abandon(s)
			}
		}
	}()
}

func waitFor(done <-chan struct{}) {
	if done != nil {
		<-done
	}
}

// giveUpStart cancels a start that is under way. It does not wait for it: the start may be waiting for us.
func (g *generation) giveUpStart() {
	if g.cancelStart != nil {
		g.cancelStart()
		g.cancelStart = nil
	}
}

// abandon drops a process that nobody waits for any more. If the host stops it is left to the next agent, which finds it
// by its record.
func (g *generation) abandon(s *session) {
	s.release()
	if g.stopping() {
		return
	}
	if err := s.destroy(); err != nil {
		g.log.Error("plugin cannot be ended", "error", err)
	}
}

// stopping reports whether the host stops and leaves the plugins to the next agent.
func (g *generation) stopping() bool { return g.family.host.ctx.Err() != nil }

// start takes its turn and reattaches or launches.
func (g *generation) start(ctx context.Context) (*session, error) {
	h := g.family.host
	select {
	case h.turns <- struct{}{}:
		defer func() { <-h.turns }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	g.post(lifecycle.Event{Kind: lifecycle.Launching})
	block, err := h.blockOf(g)
	if err != nil {
		return nil, final("%v", err)
	}
	s, err := g.bringUp(ctx, block)
	if err != nil {
		return nil, err
	}
	// The name is known only now: the block that goes by it may ask for other arguments or another configuration.
	if right, err := h.blockOf(g); err != nil || right.digest() != block.digest() {
		ended := s.end(ctx, h.config.Limits.Shutdown)
		if err = errors.Join(err, ended); err != nil {
			return nil, final("%v", err)
		}
		if s, err = g.bringUp(ctx, right); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (g *generation) bringUp(ctx context.Context, block Block) (*session, error) {
	h := g.family.host
	if rec, ok := h.record(g); ok {
		c, err := g.reattach(ctx, rec, block)
		if err == nil {
			var s *session
			if s, err = g.establish(ctx, c, block); err == nil {
				g.log.Info("plugin reattached", "pid", c.proc.ID().PID)
				h.remember(g, s)
				return s, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil && !errors.Is(err, process.ErrGone) {
			g.log.Warn("plugin could not be reattached", "error", err)
		}
	}
	said := g.family.stderrMark()
	c, err := g.launch(ctx, block)
	if err != nil {
		return nil, withWords(err, g.family.stderrSince(said))
	}
	s, err := g.establish(ctx, c, block)
	if errors.Is(err, ErrPluginDown) {
		return nil, withWords(err, g.family.stderrSince(said))
	}
	if err != nil {
		return nil, err
	}
	g.log.Info("plugin started", "pid", c.proc.ID().PID, "name", s.info.Name, "version", s.info.Version)
	h.remember(g, s)
	return s, nil
}

func (g *generation) started(r startResult) {
	if r.epoch != g.epoch {
		if r.session != nil {
			g.abandon(r.session)
		}
		return
	}
	g.giveUpStart() // it has ended; this only frees it
	if r.err != nil {
		var se *startError
		isFinal := errors.As(r.err, &se) && se.final
		g.apply(lifecycle.Event{Kind: lifecycle.StartFailed, Reason: r.err.Error(), Final: isFinal})
		return
	}
	h := g.family.host
	h.mu.Lock()
	g.session, g.last = r.session, r.session
	g.fingerprint = nil
	h.mu.Unlock()
	g.apply(lifecycle.Event{Kind: lifecycle.Up})
	if g.session != nil {
		g.watch(g.session)
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
	g.apply(lifecycle.Event{Kind: lifecycle.Died, Reason: s.proc.End()})
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
		if err := s.end(context.Background(), h.config.Limits.Shutdown); err != nil {
			g.log.Error("plugin cannot be ended", "error", err)
		}
	})
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

// fingerprinted takes over what the plugin found.
func (g *generation) fingerprinted(ctx context.Context, s *session, f driver.Fingerprint) {
	h := g.family.host
	h.mu.Lock()
	g.fingerprint = &f
	for key, value := range f.Attributes {
		if text := value.Format(); text != "" {
			g.attributes[key] = text
		} else {
			delete(g.attributes, key)
		}
	}
	for key := range g.attributes { // what is missing from a later message stays, within bounds
		if len(g.attributes) <= 2*maxAttributes {
			break
		}
		delete(g.attributes, key)
	}
	h.mu.Unlock()
	g.postFrom(ctx, s, healthEvent(f))
}

func healthEvent(f driver.Fingerprint) lifecycle.Event {
	if f.Err != "" {
		return lifecycle.Event{Kind: lifecycle.Lost, Reason: "failed to fingerprint: " + f.Err}
	}
	return lifecycle.Event{Kind: lifecycle.Health, Reason: f.Description,
		Healthy: f.Health == driver.Healthy, Detected: f.Health != driver.Undetected}
}

// repeatFingerprint applies the last one again, after the plugin had been out of reach.
func (g *generation) repeatFingerprint(ctx context.Context, s *session) {
	h := g.family.host
	h.mu.Lock()
	f := g.fingerprint
	h.mu.Unlock()
	if f != nil {
		g.postFrom(ctx, s, healthEvent(*f))
	}
}

func (g *generation) taskCount() int {
	g.family.host.mu.Lock()
	defer g.family.host.mu.Unlock()
	return g.taskCountLocked()
}

// taskCountLocked presumes a task while the node has not said what became of those that an earlier agent started.
func (g *generation) taskCountLocked() int {
	if g.restored && !g.family.host.recovered {
		return max(1, len(g.tasks))
	}
	return len(g.tasks)
}

// holdTask and dropTask keep count of the tasks that are bound to this generation.
func (g *generation) holdTask(id string) {
	g.family.host.mu.Lock()
	g.tasks[id] = struct{}{}
	g.family.host.mu.Unlock()
	g.tasksChanged()
}

func (g *generation) dropTask(id string) {
	g.family.host.mu.Lock()
	delete(g.tasks, id)
	g.family.host.mu.Unlock()
	g.tasksChanged()
}

func (g *generation) tasksChanged() {
	select {
	case g.kick <- struct{}{}:
	default: // it will look anyway
	}
}
