package reconcile

import (
	"time"

	"github.com/droverhq/drover/core/model"
)

// soon is how close a reschedule time may be to count as now.
const soon = time.Second

// keptEvents is how many reschedules are remembered under a policy without limit.
const keptEvents = 5

// failTime is when the last task of a failed allocation ended.
func failTime(a *model.Allocation) time.Time {
	var last time.Time
	for _, t := range a.TaskStates {
		if t.FinishedAt.After(last) {
			last = t.FinishedAt
		}
	}
	if last.IsZero() && a.ModifyTime > 0 {
		return time.Unix(0, a.ModifyTime)
	}
	return last
}

func eventsOf(a *model.Allocation) []*model.RescheduleEvent {
	if a.RescheduleTracker == nil {
		return nil
	}
	return a.RescheduleTracker.Events
}

// attemptsLeft tells whether a policy allows one more replacement for a failure at that time.
func attemptsLeft(p *model.ReschedulePolicy, a *model.Allocation, failed time.Time) bool {
	if p.Unlimited {
		return true
	}
	since, tried := failed.Add(-p.Interval), 0
	for _, e := range eventsOf(a) {
		if time.Unix(0, e.RescheduleTime).After(since) {
			tried++
		}
	}
	return tried < p.Attempts
}

// RescheduleDelay is how long a failed allocation waits for its replacement.
func RescheduleDelay(p *model.ReschedulePolicy, a *model.Allocation) time.Duration {
	events := eventsOf(a)
	if len(events) == 0 {
		return p.Delay
	}
	last := events[len(events)-1]
	delay := p.Delay
	switch p.DelayFunction {
	case "exponential":
		delay = 2 * last.Delay
	case "fibonacci":
		if n := len(events); n >= 2 && !(events[n-2].Delay == p.MaxDelay && last.Delay == p.Delay) {
			delay = last.Delay + events[n-2].Delay
		}
	default:
		return p.Delay
	}
	if p.MaxDelay <= 0 || delay <= p.MaxDelay {
		return delay
	}
	if ran := failTime(a).Sub(time.Unix(0, last.RescheduleTime)); ran > p.MaxDelay {
		return p.Delay // it ran for long, so the failures before it say nothing any more
	}
	return p.MaxDelay
}

// TrackerAfter returns the reschedule tracker of the replacement of a.
func TrackerAfter(a *model.Allocation, p *model.ReschedulePolicy, now time.Time) *model.RescheduleTracker {
	old := eventsOf(a)
	kept := old
	switch {
	case p == nil:
	case p.Unlimited:
		kept = old[max(0, len(old)-keptEvents+1):]
	default:
		since := now.Add(-p.Interval).UnixNano()
		for len(kept) > 0 && kept[0].RescheduleTime < since {
			kept = kept[1:]
		}
	}
	var delay time.Duration
	if p != nil {
		delay = RescheduleDelay(p, a)
	}
	event := &model.RescheduleEvent{
		RescheduleTime: now.UnixNano(), PrevAllocID: a.ID, PrevNodeID: a.NodeID, Delay: delay,
	}
	return &model.RescheduleTracker{
		Events:         append(append([]*model.RescheduleEvent(nil), kept...), event),
		LastReschedule: "ok",
	}
}

// when is the answer of a reschedule policy.
type when uint8

const (
	never when = iota
	later
	now
)

// reschedule tells whether and when a failed allocation is replaced.
func (in *Input) reschedule(a *model.Allocation, p *model.ReschedulePolicy, d *model.Deployment) (when, time.Time) {
	if is(a.DesiredTransition.ForceReschedule) {
		return now, in.Now
	}
	if d.Active() && a.DeploymentID == d.ID && !is(a.DesiredTransition.Reschedule) {
		return never, time.Time{} // the deployment watcher decides first
	}
	failed := failTime(a)
	if !p.Enabled() || failed.IsZero() || !attemptsLeft(p, a, failed) {
		return never, time.Time{}
	}
	at := failed.Add(RescheduleDelay(p, a))
	if a.FollowupEvalID == in.Eval.ID && in.Eval.ID != "" || at.Sub(in.Now) <= soon {
		return now, at
	}
	return later, at
}
