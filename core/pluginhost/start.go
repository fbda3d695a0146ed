package pluginhost

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/process"
)

// startResult is how an attempt to bring it up ended.
type startResult struct {
	epoch   int
	session *session
	err     error
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
	if g.stopping() && s.outlivesAgent() {
		return
	}
	if err := s.destroy(); err != nil {
		g.log.Error("plugin cannot be ended", "error", err)
	}
}

// stopping reports whether the host stops and leaves the plugins to the next agent.
func (g *generation) stopping() bool { return g.family.host.ctx.Err() != nil }

// turnTime is how long a start keeps others from starting; an honest one takes a fraction of a second.
const turnTime = 3 * time.Second

// start takes its turn and reattaches or launches.
func (g *generation) start(ctx context.Context) (*session, error) {
	h := g.family.host
	select {
	case h.turns <- struct{}{}:
		leave := sync.OnceFunc(func() { <-h.turns })
		defer leave()
		// One that has not come up by then waits for something and costs no work: others need not wait for it.
		defer time.AfterFunc(turnTime, leave).Stop()
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
	g.session, g.last, g.offers = r.session, r.session, r.session.offersHandOver()
	g.fingerprint = nil
	h.mu.Unlock()
	g.apply(lifecycle.Event{Kind: lifecycle.Up})
	if g.session != nil {
		g.watch(g.session)
	}
}
