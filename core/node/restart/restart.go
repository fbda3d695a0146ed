// Package restart decides whether a task that ended, or could not be started, is started again on this node.
// It holds no clock and no randomness.
package restart

import (
	"fmt"
	"time"

	"github.com/droverhq/drover/core/model"
)

// Reasons shown to users.
const (
	reasonNotAllowed    = "Policy allows no restarts"
	reasonUnrecoverable = "Error was unrecoverable"
	reasonDelay         = "Exceeded allowed attempts, applying a delay"
)

// Tracker counts attempts within the policy's interval. It is stored with the task, so an agent restart does not give
// a crashing task new attempts.
type Tracker struct {
	Count int
	Start time.Time // of the interval; zero before the first attempt
}

// Cause is why a decision is needed.
type Cause struct {
	StartFailed bool // the task did not start; Recoverable tells whether another attempt may help
	Recoverable bool
	Success     bool // the task ended as it should
	Forced      bool // a user or a template wants a restart: not counted, no delay
}

// Policy is what applies to a task.
type Policy struct {
	model.RestartPolicy
	OnSuccess bool // restart a task that ended successfully too
}

// For returns the task's policy: service and system jobs run for ever, and so do sidecars of any job.
func For(jobType string, group *model.TaskGroup, task *model.Task) Policy {
	var p Policy
	switch {
	case task.RestartPolicy != nil:
		p.RestartPolicy = *task.RestartPolicy
	case group.RestartPolicy != nil:
		p.RestartPolicy = *group.RestartPolicy
	}
	if task.Lifecycle != nil && task.Lifecycle.Hook != "" {
		p.OnSuccess = task.Lifecycle.Sidecar
	} else {
		p.OnSuccess = jobType == model.JobTypeService || jobType == model.JobTypeSystem
	}
	return p
}

// Decision is what to do with the task.
type Decision struct {
	Restart bool
	Delay   time.Duration
	Reason  string // for the event; empty when there is nothing to explain
	Failed  bool   // without Restart: the task counts as failed
}

// Decide returns what to do and the tracker to keep. jitter is in [0, 1): up to a quarter is added to the delay.
func Decide(t Tracker, p Policy, c Cause, now time.Time, jitter float64) (Decision, Tracker) {
	switch {
	case c.Forced:
		return Decision{Restart: true}, t
	case c.StartFailed && !c.Recoverable:
		return Decision{Reason: reasonUnrecoverable, Failed: true}, t
	case c.Success && !p.OnSuccess:
		return Decision{}, t
	case p.Attempts == 0:
		return Decision{Reason: reasonNotAllowed, Failed: !c.Success}, t
	}
	if t.Start.IsZero() || now.After(t.Start.Add(p.Interval)) {
		t = Tracker{Start: now}
	}
	t.Count++
	if t.Count <= p.Attempts {
		return Decision{Restart: true, Delay: p.Delay + time.Duration(jitter*float64(p.Delay)/4)}, t
	}
	if p.Mode == model.RestartModeDelay {
		return Decision{Restart: true, Delay: t.Start.Add(p.Interval).Sub(now), Reason: reasonDelay}, t
	}
	reason := fmt.Sprintf("Exceeded allowed attempts %d in interval %v and mode is %q", p.Attempts, p.Interval, p.Mode)
	return Decision{Reason: reason, Failed: true}, t
}
