package deploy

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

var now = time.Unix(1700000000, 0)

func job(version uint64, env string) *model.Job {
	return &model.Job{
		ID: "web", Type: model.JobTypeService, Version: version, Meta: map[string]string{"v": env},
		TaskGroups: []*model.TaskGroup{{Name: "g", ReschedulePolicy: &model.ReschedulePolicy{Attempts: 1, Interval: time.Hour}}},
	}
}

func rollout(change func(*model.DeploymentState)) *model.Deployment {
	g := &model.DeploymentState{DesiredTotal: 2, ProgressDeadline: time.Minute, RequireProgressBy: now.Add(time.Minute)}
	if change != nil {
		change(g)
	}
	return &model.Deployment{ID: "d", JobID: "web", JobVersion: 1, Status: model.DeploymentRunning, TaskGroups: map[string]*model.DeploymentState{"g": g}}
}

func alloc(id string, healthy *bool, change func(*model.Allocation)) *model.Allocation {
	a := &model.Allocation{
		ID: id, TaskGroup: "g", DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientRunning,
		DeploymentStatus: &model.AllocDeploymentStatus{Healthy: healthy, ModifyIndex: 5},
	}
	if change != nil {
		change(a)
	}
	return a
}

func TestStep(t *testing.T) {
	yes, no := true, false
	tried := func(a *model.Allocation) {
		a.RescheduleTracker = &model.RescheduleTracker{Events: []*model.RescheduleEvent{{RescheduleTime: now.Add(-time.Minute).UnixNano()}}}
	}
	stable := func(env string) []*model.Job {
		v := job(0, env)
		v.Stable = true
		return []*model.Job{job(1, "b"), v}
	}
	canary := func(g *model.DeploymentState) {
		g.DesiredCanaries, g.PlacedCanaries, g.HealthyAllocs = 1, []string{"c"}, 1
	}
	for name, c := range map[string]struct {
		view   View
		want   Actions
		reason string
	}{
		"nothing happened": {
			view: View{Deployment: rollout(nil), Job: job(1, "b")},
			want: Actions{Next: now.Add(time.Minute)},
		},
		"one became healthy": {
			view: View{Deployment: rollout(nil), Job: job(1, "b"), Allocs: []*model.Allocation{alloc("a", &yes, nil)}},
			want: Actions{Evaluate: true, Seen: 5, Next: now.Add(time.Minute)},
		},
		"that was acted on": {
			view: View{Deployment: rollout(nil), Job: job(1, "b"), Allocs: []*model.Allocation{alloc("a", &yes, nil)}, Seen: 5},
			want: Actions{Seen: 5, Next: now.Add(time.Minute)},
		},
		"one is unhealthy and may be tried again": {
			view: View{Deployment: rollout(nil), Job: job(1, "b"), Allocs: []*model.Allocation{alloc("a", &no, nil)}},
			want: Actions{Evaluate: true, Seen: 5, Reschedule: []string{"a"}, Next: now.Add(time.Minute)},
		},
		"one is unhealthy and was tried often enough": {
			view: View{Deployment: rollout(nil), Job: job(1, "b"), Allocs: []*model.Allocation{alloc("a", &no, tried)}},
			want: Actions{Evaluate: true, Seen: 5}, reason: DescUnhealthy,
		},
		"no deadline: the first unhealthy one ends it": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.ProgressDeadline = 0 }), Job: job(1, "b"), Allocs: []*model.Allocation{alloc("a", &no, nil)}},
			want: Actions{Evaluate: true, Seen: 5}, reason: DescUnhealthy,
		},
		"one that was replaced is not to blame": {
			view: View{Deployment: rollout(nil), Job: job(1, "b"), Seen: 5, Allocs: []*model.Allocation{alloc("a", &no, func(a *model.Allocation) { a.NextAllocation = "b" })}},
			want: Actions{Seen: 5, Next: now.Add(time.Minute)},
		},
		"the deadline passed": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.RequireProgressBy = now }), Job: job(1, "b")},
			want: Actions{Evaluate: true}, reason: DescDeadline,
		},
		"the deadline passed and all are healthy": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.RequireProgressBy = now }), Job: job(1, "b"), Seen: 5,
				Allocs: []*model.Allocation{alloc("a", &yes, nil), alloc("b", &yes, nil)}},
			want: Actions{Evaluate: true, Seen: 5}, reason: DescDone,
		},
		"the deadline passed and one that was healthy is lost": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.RequireProgressBy, g.HealthyAllocs = now, 2 }), Job: job(1, "b"), Seen: 5,
				Allocs: []*model.Allocation{alloc("a", &yes, nil), alloc("b", &yes, func(a *model.Allocation) { a.ClientStatus = model.AllocClientLost })}},
			want: Actions{Evaluate: true, Seen: 5}, reason: DescDeadline,
		},
		"one that was healthy fails": {
			view: View{Deployment: rollout(nil), Job: job(1, "b"), Seen: 5,
				Allocs: []*model.Allocation{alloc("a", &yes, func(a *model.Allocation) { a.ClientStatus = model.AllocClientFailed })}},
			want: Actions{Evaluate: true, Seen: 5, Reschedule: []string{"a"}, Next: now.Add(time.Minute)},
		},
		"the deadline passed and only the promotion is missing": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { canary(g); g.RequireProgressBy = now }), Job: job(1, "b"), Seen: 5,
				Allocs: []*model.Allocation{alloc("c", &yes, nil)}},
			want: Actions{Seen: 5},
		},
		"it failed and goes back": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.RequireProgressBy, g.AutoRevert = now, true }), Job: job(1, "b"), Versions: stable("a")},
			want: Actions{Evaluate: true, Revert: job(0, "a")}, reason: DescDeadline + " - rolling back to job version 0",
		},
		"it failed and the stable version is the same": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.RequireProgressBy, g.AutoRevert = now, true }), Job: job(1, "b"), Versions: stable("b")},
			want: Actions{Evaluate: true}, reason: DescDeadline + " - not rolling back to stable job version 0 as current job has same specification",
		},
		"it failed and no version is stable": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.RequireProgressBy, g.AutoRevert = now, true }), Job: job(1, "b"), Versions: []*model.Job{job(1, "b")}},
			want: Actions{Evaluate: true}, reason: DescDeadline + " - no stable job version to auto revert to",
		},
		"on_deadline = fail stays in spite of auto_revert": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) {
				g.RequireProgressBy, g.AutoRevert, g.OnDeadline = now, true, model.OnDeadlineFail
			}), Job: job(1, "b"), Versions: stable("a")},
			want: Actions{Evaluate: true}, reason: DescDeadline,
		},
		"on_deadline = revert goes back without auto_revert": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) {
				g.RequireProgressBy, g.OnDeadline = now, model.OnDeadlineRevert
			}), Job: job(1, "b"), Versions: stable("a")},
			want: Actions{Evaluate: true, Revert: job(0, "a")}, reason: DescDeadline + " - rolling back to job version 0",
		},
		"on_deadline = revert says nothing about unhealthy ones": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.OnDeadline = model.OnDeadlineRevert }),
				Job: job(1, "b"), Versions: stable("a"), Seen: 5, Allocs: []*model.Allocation{alloc("a", &no, tried)}},
			want: Actions{Evaluate: true, Seen: 5}, reason: DescUnhealthy,
		},
		"healthy canaries are promoted where that is wished": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { canary(g); g.AutoPromote = true }), Job: job(1, "b"), Seen: 5, Allocs: []*model.Allocation{alloc("c", &yes, nil)}},
			want: Actions{Promote: true, Evaluate: true, Seen: 5},
		},
		"and wait where it is not": {
			view: View{Deployment: rollout(canary), Job: job(1, "b"), Seen: 5, Allocs: []*model.Allocation{alloc("c", &yes, nil)}},
			want: Actions{Seen: 5},
		},
		"paused": {
			view: View{Deployment: func() *model.Deployment {
				d := rollout(func(g *model.DeploymentState) { g.RequireProgressBy = now })
				d.Status = model.DeploymentPaused
				return d
			}(), Job: job(1, "b"), Allocs: []*model.Allocation{alloc("a", &yes, nil)}},
			want: Actions{Seen: 5},
		},
		"a newer version is there": {
			view: View{Deployment: rollout(func(g *model.DeploymentState) { g.RequireProgressBy, g.AutoRevert = now, true }), Job: job(2, "c"), Versions: stable("a"), Allocs: []*model.Allocation{alloc("a", &no, tried)}},
		},
		"ended": {
			view: View{Deployment: func() *model.Deployment { d := rollout(nil); d.Status = model.DeploymentFailed; return d }(), Job: job(1, "b")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Step(c.view, now)
			switch {
			case c.reason == "" && got.Update != nil, c.reason != "" && (got.Update == nil || got.Update.StatusDescription != c.reason),
				c.reason != "" && (got.Update.Status == model.DeploymentSuccessful) != (c.reason == DescDone):
				t.Errorf("update: %+v, want %q", got.Update, c.reason)
			}
			got.Update = nil
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// With on_deadline = "keep_trying" the roll-out goes on, says so once, and takes it back when it makes progress again.
func TestKeepTrying(t *testing.T) {
	d := rollout(func(g *model.DeploymentState) { g.RequireProgressBy, g.OnDeadline = now, model.OnDeadlineKeepTrying })
	v := View{Deployment: d, Job: job(1, "b")}
	a := Step(v, now)
	if a.Update == nil || a.Update.Status != model.DeploymentRunning || a.Update.StatusDescription != DescLate {
		t.Fatalf("at the deadline: %+v", a.Update)
	}
	d.StatusDescription = DescLate
	no := false
	v.Allocs = []*model.Allocation{alloc("a", &no, nil)}
	if a := Step(v, now.Add(time.Hour)); a.Update != nil || !reflect.DeepEqual(a.Reschedule, []string{"a"}) {
		t.Errorf("long after it: %+v", a)
	}
	d.TaskGroups["g"].RequireProgressBy = now.Add(2 * time.Hour)
	if a := Step(v, now.Add(time.Hour)); a.Update == nil || a.Update.StatusDescription != DescRunning {
		t.Errorf("with progress: %+v", a)
	}
}

func TestStoppedJobCancels(t *testing.T) {
	for _, j := range []*model.Job{nil, {Stop: true}} {
		a := Step(View{Deployment: rollout(nil), Job: j}, now)
		if a.Update == nil || a.Update.Status != model.DeploymentCancelled || a.Update.StatusDescription != DescJobStopped {
			t.Errorf("job %v: %+v", j, a)
		}
	}
}

func TestPromotable(t *testing.T) {
	yes, no := true, false
	d := rollout(func(g *model.DeploymentState) { g.DesiredCanaries, g.PlacedCanaries = 2, []string{"a", "b"} })
	for name, c := range map[string]struct {
		allocs []*model.Allocation
		groups []string
		want   string
	}{
		"all healthy":  {[]*model.Allocation{alloc("a", &yes, nil), alloc("b", &yes, nil)}, nil, ""},
		"one is not":   {[]*model.Allocation{alloc("a", &yes, nil), alloc("b", &no, nil)}, nil, "1/2 healthy"},
		"one is gone":  {[]*model.Allocation{alloc("a", &yes, nil)}, nil, "1/2 healthy"},
		"other group":  {nil, []string{"x"}, "no canaries"},
		"named groups": {[]*model.Allocation{alloc("a", &yes, nil), alloc("b", &yes, nil)}, []string{"g"}, ""},
	} {
		err := Promotable(d, c.groups, c.allocs)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
