// Package health decides when an allocation counts as healthy in its deployment or migration: all tasks that should run
// have been running without interruption for long enough, before a deadline. It holds no clock.
package health

import (
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/lifecycle"
)

// Verdict is what is known.
type Verdict uint8

// The verdicts. Healthy and Unhealthy are final.
const (
	Undecided Verdict = iota
	Healthy
	Unhealthy
)

// Rule is how health is judged.
type Rule struct {
	Mode           string // checks, task_states or manual
	MinHealthyTime time.Duration
	Deadline       time.Time
}

// RuleFor returns the rule of an allocation placed at the given time. ok is false for allocations whose health nobody
// waits for and for those that are judged by hand.
func RuleFor(a *model.Allocation, job *model.Job, group *model.TaskGroup, start time.Time) (r Rule, ok bool) {
	if d := a.DeploymentStatus; d != nil && d.Healthy != nil {
		return Rule{}, false
	}
	switch {
	case a.DeploymentID != "" && group.Update != nil:
		u := group.Update
		if u.HealthCheck == "manual" {
			return Rule{}, false
		}
		return Rule{u.HealthCheck, u.MinHealthyTime, start.Add(u.HealthyDeadline)}, true
	case a.DeploymentID == "" && job.Type == model.JobTypeService && group.Migrate != nil:
		m := group.Migrate
		return Rule{m.HealthCheck, m.MinHealthyTime, start.Add(m.HealthyDeadline)}, true
	}
	return Rule{}, false
}

// Tracker remembers since when all has been well; zero: it is not.
type Tracker struct{ since time.Time }

// Task is the state of one task.
type Task struct {
	lifecycle.Task
	State  model.TaskState
	Checks bool // the task's checks pass; true without checks
}

// Step judges the tasks now. wake is when to ask again if nothing changes before; zero with a final verdict.
func Step(t Tracker, r Rule, tasks []Task, now time.Time) (next Tracker, v Verdict, wake time.Time) {
	well := true
	since := t.since
	for _, task := range tasks {
		switch {
		case task.Hook == model.LifecyclePoststop:
			continue
		case task.State.Failed:
			return Tracker{}, Unhealthy, time.Time{}
		case task.Hook != "" && !task.Sidecar:
			// Prestart work must have succeeded before main tasks run; poststart work may still be going on.
			if task.Hook == model.LifecyclePrestart && !task.State.Successful() {
				well = false
			}
			continue
		case task.State.State != model.TaskRunning, r.Mode != "task_states" && !task.Checks:
			well = false
			continue
		}
		if task.State.StartedAt.After(since) {
			since = task.State.StartedAt // started again in between
		}
	}
	if !well {
		t.since = time.Time{}
	} else if t.since.IsZero() {
		t.since = now
	} else {
		t.since = since
	}
	if well && !now.Before(t.since.Add(r.MinHealthyTime)) {
		return t, Healthy, time.Time{}
	}
	if !now.Before(r.Deadline) {
		return t, Unhealthy, time.Time{}
	}
	wake = r.Deadline
	if ready := t.since.Add(r.MinHealthyTime); well && ready.Before(wake) {
		wake = ready
	}
	return t, Undecided, wake
}
