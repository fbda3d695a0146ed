package health

import (
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/lifecycle"
)

var zero = time.Unix(1000, 0)

func at(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }

func running(since int) Task {
	return Task{State: model.TaskState{State: model.TaskRunning, StartedAt: at(since)}, Checks: true}
}

func as(t Task, hook string, sidecar bool) Task {
	t.Task = lifecycle.Task{Hook: hook, Sidecar: sidecar}
	return t
}

func dead(failed bool) Task {
	return Task{State: model.TaskState{State: model.TaskDead, Failed: failed}, Checks: true}
}

func TestStep(t *testing.T) {
	rule := Rule{Mode: "checks", MinHealthyTime: 10 * time.Second, Deadline: at(60)}
	pending := Task{State: model.TaskState{State: model.TaskPending}, Checks: true}
	failing := running(0)
	failing.Checks = false
	for name, c := range map[string]struct {
		tracker Tracker
		rule    Rule
		tasks   []Task
		now     int
		want    Verdict
		wake    int // -1: none
	}{
		"just started":                  {Tracker{}, rule, []Task{running(0)}, 0, Undecided, 10},
		"long enough":                   {Tracker{at(0)}, rule, []Task{running(0)}, 10, Healthy, -1},
		"not long enough":               {Tracker{at(0)}, rule, []Task{running(0)}, 9, Undecided, 10},
		"restarted in between":          {Tracker{at(0)}, rule, []Task{running(8)}, 12, Undecided, 18},
		"pending":                       {Tracker{}, rule, []Task{running(0), pending}, 20, Undecided, 60},
		"pending resets":                {Tracker{at(0)}, rule, []Task{pending}, 11, Undecided, 60},
		"failed":                        {Tracker{at(0)}, rule, []Task{running(0), dead(true)}, 5, Unhealthy, -1},
		"deadline":                      {Tracker{}, rule, []Task{pending}, 60, Unhealthy, -1},
		"healthy at the deadline":       {Tracker{at(50)}, rule, []Task{running(50)}, 60, Healthy, -1},
		"deadline before it could be":   {Tracker{at(55)}, rule, []Task{running(55)}, 56, Undecided, 60},
		"checks fail":                   {Tracker{at(0)}, rule, []Task{failing}, 30, Undecided, 60},
		"checks do not count":           {Tracker{at(0)}, Rule{Mode: "task_states", MinHealthyTime: 10 * time.Second, Deadline: at(60)}, []Task{failing}, 30, Healthy, -1},
		"prestart work done":            {Tracker{at(0)}, rule, []Task{running(0), as(dead(false), "prestart", false)}, 10, Healthy, -1},
		"prestart work going on":        {Tracker{}, rule, []Task{as(running(0), "prestart", false)}, 20, Undecided, 60},
		"prestart sidecar must run":     {Tracker{}, rule, []Task{running(0), as(pending, "prestart", true)}, 20, Undecided, 60},
		"poststart work may go on":      {Tracker{at(0)}, rule, []Task{running(0), as(pending, "poststart", false)}, 10, Healthy, -1},
		"poststop task does not matter": {Tracker{at(0)}, rule, []Task{running(0), as(pending, "poststop", false)}, 10, Healthy, -1},
		"ended without failure":         {Tracker{at(0)}, rule, []Task{dead(false)}, 30, Undecided, 60},
	} {
		t.Run(name, func(t *testing.T) {
			_, got, wake := Step(c.tracker, c.rule, c.tasks, at(c.now))
			want := time.Time{}
			if c.wake >= 0 {
				want = at(c.wake)
			}
			if got != c.want || !wake.Equal(want) {
				t.Errorf("got %v, wake %v; want %v, wake %v", got, wake.Sub(zero), c.want, want.Sub(zero))
			}
		})
	}
}

func TestRuleFor(t *testing.T) {
	yes := true
	update := &model.Update{HealthCheck: "checks", MinHealthyTime: time.Second, HealthyDeadline: time.Minute}
	migrate := &model.Migrate{HealthCheck: "task_states", MinHealthyTime: 2 * time.Second, HealthyDeadline: time.Hour}
	for name, c := range map[string]struct {
		alloc model.Allocation
		kind  string
		group model.TaskGroup
		want  Rule
		ok    bool
	}{
		"deployment":        {model.Allocation{DeploymentID: "d"}, "service", model.TaskGroup{Update: update, Migrate: migrate}, Rule{"checks", time.Second, at(60)}, true},
		"judged by hand":    {model.Allocation{DeploymentID: "d"}, "service", model.TaskGroup{Update: &model.Update{HealthCheck: "manual"}}, Rule{}, false},
		"migration":         {model.Allocation{}, "service", model.TaskGroup{Update: update, Migrate: migrate}, Rule{"task_states", 2 * time.Second, at(3600)}, true},
		"batch":             {model.Allocation{}, "batch", model.TaskGroup{Migrate: migrate}, Rule{}, false},
		"already decided":   {model.Allocation{DeploymentID: "d", DeploymentStatus: &model.AllocDeploymentStatus{Healthy: &yes}}, "service", model.TaskGroup{Update: update}, Rule{}, false},
		"canary, undecided": {model.Allocation{DeploymentID: "d", DeploymentStatus: &model.AllocDeploymentStatus{Canary: true}}, "service", model.TaskGroup{Update: update}, Rule{"checks", time.Second, at(60)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := RuleFor(&c.alloc, &model.Job{Type: c.kind}, &c.group, zero)
			if got != c.want || ok != c.ok {
				t.Errorf("got %+v %v", got, ok)
			}
		})
	}
}
