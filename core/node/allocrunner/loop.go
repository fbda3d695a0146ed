package allocrunner

import (
	"context"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/core/node/health"
	"github.com/droverhq/drover/core/node/lifecycle"
	"github.com/droverhq/drover/core/node/taskrunner"
)

// loop turns changes into actions until all tasks are dead (true) or ctx ends (false).
func (r *Runner) loop(ctx context.Context) bool {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := r.step(r.node.Now())
		if r.machine.Phase == lifecycle.Done {
			return true
		}
		if next > 0 {
			timer.Reset(next)
		}
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
}

// step acts on how things are now. It returns when to look again if nothing happens before; 0: not needed.
func (r *Runner) step(now time.Time) time.Duration {
	w := wakes{now: now}
	r.wantStop(now, &w)
	status := r.statuses()
	var actions []lifecycle.Action
	r.machine, actions = lifecycle.Next(r.order, r.machine, status)
	for _, a := range actions {
		t := r.tasks[a.Task]
		switch a.Verb {
		case lifecycle.VerbStart:
			t.Start()
		case lifecycle.VerbKill:
			t.Kill(r.killFor(a.Why, now))
		}
	}
	r.showGroup()
	r.judge(now, &w)
	r.publish(status)
	return w.next
}

// wakes collects when to look again.
type wakes struct {
	now  time.Time
	next time.Duration
}

func (w *wakes) at(t time.Time) {
	if t.IsZero() {
		return
	}
	d := max(t.Sub(w.now), time.Millisecond)
	if w.next == 0 || d < w.next {
		w.next = d
	}
}

// wantStop hands a wish to stop to the machine, after the group's shutdown delay.
func (r *Runner) wantStop(now time.Time, w *wakes) {
	r.mu.Lock()
	stop, group := r.stop, r.alloc.Job.Group(r.alloc.TaskGroup)
	if stop == nil && !r.maxRunAt.IsZero() {
		if now.Before(r.maxRunAt) {
			w.at(r.maxRunAt)
		} else {
			r.failure = "max_run_duration of " + group.MaxRunDuration.String() + " exceeded"
			stop = &stopWish{reason: r.failure, noDelay: true, poststop: true}
			r.stop = stop
		}
	}
	r.mu.Unlock()
	if stop == nil {
		return
	}
	if r.machine.Kill != nil {
		if stop.poststop && !r.machine.Kill.Poststop {
			k := *r.machine.Kill
			k.Poststop = true
			r.machine.Kill = &k
		}
		return
	}
	if r.stopAt.IsZero() {
		r.stopAt = now
		r.services.group(false)
		if !stop.noDelay && r.machine.Phase >= lifecycle.Main {
			r.stopAt = now.Add(group.ShutdownDelay)
		}
	}
	if now.Before(r.stopAt) && !stop.noDelay {
		w.at(r.stopAt)
		return
	}
	r.machine.Kill = &lifecycle.Kill{Reason: lifecycle.Stopped, Poststop: stop.poststop}
}

func (r *Runner) statuses() map[string]lifecycle.Status {
	out := make(map[string]lifecycle.Status, len(r.tasks))
	for name, t := range r.tasks {
		st := t.State()
		out[name] = lifecycle.Status{State: st.State, Failed: st.Failed}
	}
	return out
}

// killFor says to a task why it has to end.
func (r *Runner) killFor(why lifecycle.Kill, now time.Time) taskrunner.Kill {
	r.mu.Lock()
	defer r.mu.Unlock()
	var k taskrunner.Kill
	switch why.Reason {
	case lifecycle.SiblingFailed:
		k.Event = event.SiblingFailed(now, why.Task)
	case lifecycle.LeaderDead:
		k.Event = event.LeaderDead(now)
	case lifecycle.MainDead:
		k.Event = event.MainDead(now)
	}
	if r.stop != nil {
		k.NoShutdownDelay = r.stop.noDelay
		k.Reason = r.stop.reason
	}
	return k
}

// showGroup registers the group's services once the main tasks have been started.
func (r *Runner) showGroup() {
	switch {
	case r.machine.Kill != nil:
		if r.groupShown {
			r.groupShown = false
			r.services.group(false)
		}
	case r.groupShown && r.refresh.Swap(false):
		r.services.group(true)
	case !r.groupShown && r.stopAt.IsZero() && r.machine.Phase >= lifecycle.Poststart && r.machine.Phase < lifecycle.Poststop:
		r.groupShown = true
		r.services.group(true)
	}
}

// judge finds out whether the allocation is healthy, if somebody waits for it.
func (r *Runner) judge(now time.Time, w *wakes) {
	r.mu.Lock()
	a := r.alloc
	decided := r.health != nil && r.health.Healthy != nil
	r.mu.Unlock()
	if decided || r.machine.Kill != nil {
		return
	}
	if r.rule == nil || r.ruleFor != a.DeploymentID {
		rule, ok := health.RuleFor(a, a.Job, a.Job.Group(a.TaskGroup), now)
		if !ok {
			return
		}
		r.rule, r.ruleFor, r.tracker = &rule, a.DeploymentID, health.Tracker{}
	}
	pass := r.services.pass()
	tasks := make([]health.Task, 0, len(r.order))
	for _, t := range r.order {
		tasks = append(tasks, health.Task{Task: t, State: *r.tasks[t.Name].State(), Checks: pass})
	}
	var verdict health.Verdict
	var wake time.Time
	r.tracker, verdict, wake = health.Step(r.tracker, *r.rule, tasks, now)
	w.at(wake)
	if verdict == health.Undecided {
		return
	}
	healthy := verdict == health.Healthy
	found := &model.AllocDeploymentStatus{Healthy: &healthy, Timestamp: now}
	if a.DeploymentStatus != nil {
		found.Canary = a.DeploymentStatus.Canary
	}
	if err := r.node.Store.PutHealth(r.id, found); err != nil {
		r.logger.Error("health not stored", "error", err)
	}
	r.mu.Lock()
	r.health = found
	r.mu.Unlock()
	r.reportNow = true
}

// publish derives the client status and reports what changed.
func (r *Runner) publish(status map[string]lifecycle.Status) {
	cs, descr := lifecycle.ClientStatus(r.order, r.machine, status)
	r.mu.Lock()
	terminal := cs == model.AllocClientComplete || cs == model.AllocClientFailed
	switch {
	case r.recycle && terminal:
		cs, descr = model.AllocClientPending, "Restarting all tasks"
	case r.failure != "" && terminal:
		cs, descr = model.AllocClientFailed, r.failure
	}
	urgent := cs != r.status || r.reportNow || r.doubted.Swap(false)
	r.status, r.descr, r.reportNow = cs, descr, false
	r.mu.Unlock()
	changed := urgent
	states := make(map[string]*model.TaskState, len(r.tasks))
	for name, t := range r.tasks {
		states[name] = t.State()
		changed = changed || states[name] != r.published[name]
	}
	if r.published = states; changed {
		r.node.Report(r, urgent)
	}
}
