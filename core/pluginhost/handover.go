package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

const (
	// holdFor is how long calls are held back for others to end, before another attempt.
	holdFor = 300 * time.Millisecond
	// recoveries is how many tasks are recovered at a time.
	recoveries = 16
	// lingerFor is how long a process that handed its tasks over may go on for the commands that run inside them.
	lingerFor = time.Hour
)

// passage brings all tasks of a generation to the next one: it does what lifecycle.HandOver decides.
type passage struct {
	host      *Host
	old, next *generation
	from, to  *session // the processes; when one ends, the passage does

	machine lifecycle.HandOver
	events  chan lifecycle.HandOverEvent
	ctx     context.Context // of the calls to plugins; ends with the passage
	work    sync.WaitGroup

	released map[string]host.Released
	heldAt   time.Time     // since when calls are held back
	pause    time.Duration // how long they were, in all
}

// offersHandOver reports whether the process can take part.
func (s *session) offersHandOver() bool { return s.extensions.Has(plugin.ExtensionHandOver) }

// handOver runs a passage. Both generations were usable when it was decided on.
func (h *Host) handOver(old, next *generation) {
	ctx, cancel := context.WithCancel(h.ctx)
	p := &passage{host: h, old: old, next: next, events: make(chan lifecycle.HandOverEvent), ctx: ctx}
	h.mu.Lock()
	p.from, p.to = old.session, next.session
	h.mu.Unlock()
	if p.from != nil && p.to != nil {
		// From here until the commit is on disk, an agent that comes after us ends the new process and has the old one
		// take its tasks back. It is written before calls are held back, because a disk may take its time.
		h.rememberTaking(next, true)
		p.run()
	}
	cancel()
	p.work.Wait()
	h.mu.Lock()
	old.moving, next.moving = false, false
	h.mu.Unlock()
	h.changed()
}

func (p *passage) run() {
	began := time.Now()
	limits := p.host.config.Limits.HandOver
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	fromGone, toGone := p.from.proc.Done(), p.to.proc.Done()
	event := lifecycle.HandOverEvent{Kind: lifecycle.Begin}
	for {
		if p.ctx.Err() != nil { // the host stops; the next agent sees by the records how far it was
			p.from.barrier.pass()
			return
		}
		var actions []lifecycle.HandOverAction
		before := p.machine
		p.machine, actions = p.machine.Step(event, p.host.now(), limits)
		if p.machine.Phase == lifecycle.Waiting && before.Reason != p.machine.Reason {
			p.next.log.Info("hand-over waits", "from", p.old.number, "for", p.machine.Reason)
		}
		for _, a := range actions {
			p.do(a)
		}
		if p.machine.Over() {
			p.report(time.Since(began))
			return
		}
		if at := p.machine.Deadline(); !at.IsZero() {
			timer.Reset(time.Until(at))
		} else {
			timer.Stop()
		}
		select {
		case event = <-p.events:
		case <-fromGone:
			fromGone = nil
			event = lifecycle.HandOverEvent{Kind: lifecycle.OldGone, Reason: p.from.proc.End()}
		case <-toGone:
			toGone = nil
			event = lifecycle.HandOverEvent{Kind: lifecycle.NewGone, Reason: p.to.proc.End()}
		case <-timer.C:
			event = lifecycle.HandOverEvent{Kind: lifecycle.Late}
		case <-p.ctx.Done():
		}
	}
}

// do begins an action. Those that are answered run beside.
func (p *passage) do(a lifecycle.HandOverAction) {
	switch a {
	case lifecycle.DoHold:
		p.heldAt = time.Now()
		p.answer(p.hold)
	case lifecycle.DoLetPass:
		p.from.barrier.pass()
		p.pause += time.Since(p.heldAt)
	case lifecycle.DoRelease:
		p.answer(func() lifecycle.HandOverEvent { return p.release(false) })
	case lifecycle.DoReleaseAll:
		p.answer(func() lifecycle.HandOverEvent { return p.release(true) })
	case lifecycle.DoRecover:
		p.answer(p.recover)
	case lifecycle.DoEndNew:
		p.next.post(lifecycle.Event{Kind: lifecycle.GiveUp, Reason: p.undone()})
		p.kill(p.to)
	case lifecycle.DoRestartNew:
		p.kill(p.to) // its goroutine launches it again
	case lifecycle.DoReturn:
		p.answer(p.takeBack)
	case lifecycle.DoEndOld:
		p.kill(p.from)
	case lifecycle.DoCommit:
		p.commit()
		p.pause += time.Since(p.heldAt)
	}
}

func (p *passage) answer(f func() lifecycle.HandOverEvent) {
	p.work.Go(func() {
		e := f()
		select {
		case p.events <- e:
		case <-p.ctx.Done():
		}
	})
}

func (p *passage) kill(s *session) {
	if err := s.proc.Kill(); err != nil {
		p.next.log.Error("plugin cannot be ended", "pid", s.proc.ID().PID, "error", err)
	}
}

func (p *passage) hold() lifecycle.HandOverEvent {
	if busy := p.from.barrier.hold(holdFor); busy != "" {
		return lifecycle.HandOverEvent{Kind: lifecycle.Busy, Reason: busy + " is under way"}
	}
	return lifecycle.HandOverEvent{Kind: lifecycle.Still}
}

// release has the old process let go.
func (p *passage) release(all bool) lifecycle.HandOverEvent {
	list, err := p.from.client.Release(p.ctx, all)
	switch {
	case errors.Is(err, host.ErrBusy):
		return lifecycle.HandOverEvent{Kind: lifecycle.Busy, Reason: err.Error()}
	case err != nil:
		return lifecycle.HandOverEvent{Kind: lifecycle.ReleaseFailed, Reason: err.Error()}
	}
	p.released = map[string]host.Released{}
	for _, r := range list {
		p.released[r.TaskID] = r
	}
	return lifecycle.HandOverEvent{Kind: lifecycle.Freed, Tasks: len(list)}
}

// handles are all tasks of the old generation, with their state as it was released. Tasks that the process did not know,
// because the node has not recovered them there yet, are among them.
func (p *passage) handles() []*driver.TaskHandle {
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	var list []*driver.TaskHandle
	for id, stored := range p.old.tasks {
		if stored == nil {
			continue // a start whose answer never came: the node destroys it
		}
		if r, ok := p.released[id]; ok {
			stored = r.Into(stored)
		}
		list = append(list, stored)
	}
	return list
}

func (p *passage) recover() lifecycle.HandOverEvent {
	if err := p.recoverIn(p.to); err != nil {
		return lifecycle.HandOverEvent{Kind: lifecycle.RecoverFailed, Reason: err.Error()}
	}
	return lifecycle.HandOverEvent{Kind: lifecycle.Taken}
}

func (p *passage) takeBack() lifecycle.HandOverEvent {
	err := p.from.client.Resume(p.ctx)
	if err == nil {
		err = p.recoverIn(p.from)
	}
	if err != nil {
		return lifecycle.HandOverEvent{Kind: lifecycle.ReturnFailed, Reason: err.Error()}
	}
	return lifecycle.HandOverEvent{Kind: lifecycle.Returned}
}

// recoverIn has a process recover all tasks. The first failure counts; the rest is not tried any more.
func (p *passage) recoverIn(s *session) error {
	ctx, cancel := context.WithCancelCause(p.ctx)
	defer cancel(nil)
	turns := make(chan struct{}, recoveries)
	var work sync.WaitGroup
	for _, handle := range p.handles() {
		turns <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		work.Go(func() {
			defer func() { <-turns }()
			if err := s.client.Driver().RecoverTask(ctx, handle); err != nil {
				cancel(err)
			}
		})
	}
	work.Wait()
	return context.Cause(ctx)
}

// commit makes the tasks the new generation's. The records say so before the old process is told to end.
func (p *passage) commit() {
	h := p.host
	h.mu.Lock()
	for id, stored := range p.old.tasks {
		p.next.tasks[id] = stored
	}
	p.old.tasks = map[string]*driver.TaskHandle{}
	p.old.handedTo = p.next.number
	h.rememberHandOver(p.old, p.next)
	h.mu.Unlock()
	p.from.barrier.move()
	p.from.leave()
	p.old.post(lifecycle.Event{Kind: lifecycle.Drain, Reason: fmt.Sprintf("handed over to generation %d", p.next.number)})
	p.old.tasksChanged()
	p.next.tasksChanged()
}

func (p *passage) undone() string {
	return fmt.Sprintf("generation %d keeps its tasks: %s", p.old.number, p.machine.Reason)
}

// report tells how it went.
func (p *passage) report(took time.Duration) {
	switch p.machine.Phase {
	case lifecycle.Done:
		p.host.reportMore(p.next, fmt.Sprintf("took over %d tasks of generation %d in %s, starts waited %s", p.machine.Tasks,
			p.old.number, took.Round(time.Millisecond), p.pause.Round(time.Millisecond)), p.figures())
	case lifecycle.Undone:
		p.host.rememberTaking(p.next, false)
		p.host.reportMore(p.old, fmt.Sprintf("goes on with its tasks, generation %d could not take them: %s", p.next.number,
			p.machine.Reason), p.figures())
	case lifecycle.Dropped:
		p.host.rememberTaking(p.next, false)
		p.next.log.Info("hand-over begins again when both processes are up", "from", p.old.number)
	}
}

// figures are in milliseconds.
func (p *passage) figures() map[string]string {
	return map[string]string{"from": fmt.Sprint(p.old.number), "to": fmt.Sprint(p.next.number), "hand_over": string(p.machine.Phase),
		"pause_ms": fmt.Sprint(p.pause.Milliseconds()),
		"tasks":    fmt.Sprint(p.machine.Tasks)}
}
