package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

func start(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	cfg := DefaultConfig()
	cfg.NumSchedulers = 2
	if testing.Verbose() && os.Getenv("DROVER_TEST_LOG") != "" {
		cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr})
	}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown() })
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitLeader(deadline(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func testJob(id string, count int) *model.Job {
	return &model.Job{
		Region: "global", Namespace: "default", ID: id, Name: id, Type: model.JobTypeService, Priority: 50,
		Datacenters: []string{"*"}, NodePool: "default",
		TaskGroups: []*model.TaskGroup{{
			Name: "web", Count: count,
			RestartPolicy:    &model.RestartPolicy{Attempts: 2, Interval: 30 * time.Minute, Delay: 15 * time.Second, Mode: "fail"},
			ReschedulePolicy: &model.ReschedulePolicy{Delay: 5 * time.Second, DelayFunction: "constant", Unlimited: true},
			EphemeralDisk:    &model.EphemeralDisk{SizeMB: 300},
			Migrate:          &model.Migrate{MaxParallel: 1, HealthCheck: "task_states", MinHealthyTime: time.Second, HealthyDeadline: 5 * time.Minute},
			Tasks: []*model.Task{{
				Name: "main", Driver: "test", Config: map[string]any{"command": "sleep"},
				Resources: &model.Resources{CPU: 100, MemoryMB: 64}, LogConfig: &model.LogConfig{MaxFiles: 10, MaxFileSizeMB: 10},
				KillTimeout:   5 * time.Second,
				RestartPolicy: &model.RestartPolicy{Attempts: 2, Interval: 30 * time.Minute, Delay: 15 * time.Second, Mode: "fail"},
			}},
		}},
	}
}

// until waits for a condition on the state.
func until(t *testing.T, s *Server, what string, cond func(*state.Snapshot) bool) *state.Snapshot {
	t.Helper()
	ctx := deadline(t)
	var last *state.Snapshot
	for {
		snap := s.state.Snapshot()
		last = snap
		if cond(snap) {
			return snap
		}
		if err := s.state.WaitIndex(ctx, snap.Index()+1); err != nil {
			for e := range last.Evals("*", "") {
				t.Logf("eval %s job %s %s %s %q blocked %s failed %+v queued %v", e.ID[:8], e.JobID, e.TriggeredBy, e.Status, e.StatusDescription, e.BlockedEval, e.FailedTGAllocs["web"], e.QueuedAllocations)
			}
			for a := range last.Allocs("*", "") {
				t.Logf("alloc %s %s v%d %s/%s node %s", a.ID[:8], a.Name, a.JobVersion, a.DesiredStatus, a.ClientStatus, a.NodeID)
			}
			t.Fatalf("%s did not come about", what)
		}
	}
}

func running(snap *state.Snapshot, job string) int {
	n := 0
	for _, a := range snap.AllocsByJob("default", job) {
		if a.ClientStatus == model.AllocClientRunning && a.DesiredStatus == model.AllocDesiredRun {
			n++
		}
	}
	return n
}

func register(t *testing.T, s *Server, j *model.Job) *JobRegisterResponse {
	t.Helper()
	r, err := s.RegisterJob(deadline(t), &JobRegisterRequest{Job: j})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A job is placed, pushed, runs, gets its status, and stops; the same job again makes no new version.
func TestJobRunsAndStops(t *testing.T) {
	s := start(t, nil)
	n := join(t, s, runs)
	r := register(t, s, testJob("web", 2))
	if r.EvalID == "" || r.JobModifyIndex == 0 || r.Warnings != "" {
		t.Fatalf("register: %+v", r)
	}
	snap := until(t, s, "two running allocations", func(snap *state.Snapshot) bool { return running(snap, "web") == 2 })
	j := snap.Job("default", "web")
	if j.Status != model.JobStatusRunning || j.Version != 0 {
		t.Fatalf("job is %s, version %d", j.Status, j.Version)
	}
	if e := snap.Eval(r.EvalID); e.Status != model.EvalComplete {
		t.Fatalf("eval: %+v", e)
	}
	if sum := snap.JobSummary("default", "web").Summary["web"]; sum.Running != 2 || sum.Starting != 0 || sum.Queued != 0 {
		t.Fatalf("summary: %+v", sum)
	}
	if n.jobs != 1 {
		t.Fatalf("the node got the job %d times, want once", n.jobs)
	}
	again := register(t, s, testJob("web", 2))
	if again.JobModifyIndex != r.JobModifyIndex || s.state.Snapshot().Job("default", "web").Version != 0 {
		t.Fatalf("registering the same job made a new version: %+v", again)
	}
	for a := range snap.Allocs("*", "") {
		if a.Job != nil || snap.JobOf(a) == nil {
			t.Fatalf("alloc %s: job %v, version %v", a.ID, a.Job, snap.JobOf(a))
		}
	}
	if _, err := s.DeregisterJob(deadline(t), &JobDeregisterRequest{Namespace: "default", JobID: "web"}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "a dead job", func(snap *state.Snapshot) bool {
		j := snap.Job("default", "web")
		done := true
		for _, a := range snap.AllocsByJob("default", "web") {
			done = done && a.ClientStatus == model.AllocClientComplete
		}
		return done && j.Stop && j.Status == model.JobStatusDead
	})
	if err := s.SystemGC(deadline(t)); err != nil {
		t.Fatal(err)
	}
	snap = until(t, s, "an empty state", func(snap *state.Snapshot) bool { return snap.Job("default", "web") == nil })
	for a := range snap.Allocs("*", "") {
		t.Fatalf("alloc %s is left", a.ID)
	}
	if versions := snap.JobVersions("default", "web"); versions != nil {
		t.Fatalf("versions are left: %v", versions)
	}
	for n.count() > 0 {
		select {
		case <-n.pushed:
		case <-deadline(t).Done():
			t.Fatalf("the node still has %d allocations", n.count())
		}
	}
}

// A failed allocation is replaced, and the replacement is linked to it.
func TestFailureIsRescheduled(t *testing.T) {
	s := start(t, nil)
	failed := false
	join(t, s, func(a *model.Allocation) string {
		if !failed {
			failed = true
			return model.AllocClientFailed
		}
		return model.AllocClientRunning
	})
	j := testJob("web", 1)
	j.TaskGroups[0].ReschedulePolicy.Delay = time.Hour
	register(t, s, j)
	snap := until(t, s, "a failed allocation with a follow-up", func(snap *state.Snapshot) bool {
		for _, a := range snap.AllocsByJob("default", "web") {
			if a.ClientStatus == model.AllocClientFailed && a.FollowupEvalID != "" {
				return true
			}
		}
		return false
	})
	for _, a := range snap.AllocsByJob("default", "web") {
		e := snap.Eval(a.FollowupEvalID)
		if e == nil || e.WaitUntil.Before(time.Now()) || e.Status != model.EvalPending {
			t.Fatalf("follow-up evaluation: %+v", e)
		}
	}
	if _, err := s.EvaluateJob(deadline(t), &JobEvaluateRequest{Namespace: "default", JobID: "web", ForceReschedule: true}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "a replacement", func(snap *state.Snapshot) bool {
		for _, a := range snap.AllocsByJob("default", "web") {
			if a.ClientStatus == model.AllocClientRunning && a.PreviousAllocation != "" {
				prev := snap.Alloc(a.PreviousAllocation)
				return prev.NextAllocation == a.ID && a.RescheduleTracker != nil && len(a.RescheduleTracker.Events) == 1
			}
		}
		return false
	})
}

// What finds no room is blocked and placed when a node joins; what ends makes room for others.
func TestBlockedUntilRoom(t *testing.T) {
	s := start(t, nil)
	register(t, s, testJob("web", 1))
	until(t, s, "a blocked evaluation", func(snap *state.Snapshot) bool {
		for e := range snap.EvalsByJob("default", "web") {
			if e.Status == model.EvalBlocked {
				return true
			}
		}
		return false
	})
	if q := s.state.Snapshot().JobSummary("default", "web").Summary["web"].Queued; q != 1 {
		t.Fatalf("queued: %d", q)
	}
	join(t, s, runs)
	until(t, s, "a running allocation", func(snap *state.Snapshot) bool { return running(snap, "web") == 1 })

	big := testJob("big", 1)
	big.TaskGroups[0].Tasks[0].Resources = &model.Resources{CPU: 3950, MemoryMB: 64}
	register(t, s, big)
	until(t, s, "a blocked job", func(snap *state.Snapshot) bool {
		for e := range snap.EvalsByJob("default", "big") {
			if e.Status == model.EvalBlocked {
				return snap.Job("default", "big").Status == model.JobStatusPending
			}
		}
		return false
	})
	if _, err := s.DeregisterJob(deadline(t), &JobDeregisterRequest{Namespace: "default", JobID: "web", Purge: true}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "the big one to run", func(snap *state.Snapshot) bool { return running(snap, "big") == 1 })
}

// A node that stops reporting is down, and what it ran goes elsewhere.
func TestLostNode(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Heartbeat.MinTTL, c.Heartbeat.Grace = 20*time.Millisecond, 10*time.Millisecond
		c.Heartbeat.MaxPerSecond = 0
	})
	first := join(t, s, runs)
	beat := func() (stop func()) {
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			for ctx.Err() == nil {
				rpc.NodeHeartbeat.Call(ctx, first.sess.Conn(), &rpc.NodeHeartbeatRequest{NodeAuth: first.auth(), Status: model.NodeStatusReady})
			}
		})
		return func() { cancel(); wg.Wait() }
	}
	silence := beat()
	register(t, s, testJob("web", 1))
	until(t, s, "an allocation", func(snap *state.Snapshot) bool { return len(snap.AllocsByJob("default", "web")) > 0 })
	silence()
	until(t, s, "a node that is down", func(snap *state.Snapshot) bool { return snap.Node(first.id).Status == model.NodeStatusDown })
	until(t, s, "a lost allocation", func(snap *state.Snapshot) bool {
		for _, a := range snap.AllocsByJob("default", "web") {
			if a.ClientStatus == model.AllocClientLost {
				return true
			}
		}
		return false
	})
	// It reports again: ready, and takes the job back.
	defer beat()()
	until(t, s, "a replacement", func(snap *state.Snapshot) bool { return running(snap, "web") == 1 })
}

// An update rolls on as allocations become healthy and ends the deployment; a version that fails is rolled back.
func TestDeployment(t *testing.T) {
	s := start(t, nil)
	join(t, s, func(a *model.Allocation) string {
		if a.JobVersion == 2 {
			return model.AllocClientFailed
		}
		return model.AllocClientRunning
	})
	job := func(env string) *model.Job {
		j := testJob("web", 3)
		j.TaskGroups[0].Update = &model.Update{
			MaxParallel: 1, HealthCheck: "task_states", MinHealthyTime: 10 * time.Second, HealthyDeadline: 5 * time.Minute,
			ProgressDeadline: 10 * time.Minute, AutoRevert: true, Stagger: 30 * time.Second,
		}
		j.TaskGroups[0].ReschedulePolicy = &model.ReschedulePolicy{Attempts: 0}
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": env}
		return j
	}
	successful := func(version uint64) func(*state.Snapshot) bool {
		return func(snap *state.Snapshot) bool {
			d := snap.LatestDeployment("default", "web")
			return d != nil && d.JobVersion == version && d.Status == model.DeploymentSuccessful && snap.JobVersion("default", "web", version).Stable
		}
	}
	register(t, s, job("a"))
	until(t, s, "a successful first deployment", successful(0))
	register(t, s, job("b"))
	snap := until(t, s, "a successful second deployment", successful(1))
	d := snap.LatestDeployment("default", "web").TaskGroups["web"]
	if d.PlacedAllocs != 3 || d.HealthyAllocs != 3 || d.UnhealthyAllocs != 0 {
		t.Fatalf("counters: %+v", d)
	}
	register(t, s, job("c"))
	snap = until(t, s, "a failed deployment that was rolled back", func(snap *state.Snapshot) bool {
		j := snap.Job("default", "web")
		return j.Version == 3 && successful(3)(snap)
	})
	var failed *model.Deployment
	for d := range snap.DeploymentsByJob("default", "web") {
		if d.JobVersion == 2 {
			failed = d
		}
	}
	if failed == nil || failed.Status != model.DeploymentFailed || !strings.Contains(failed.StatusDescription, "rolling back to job version 1") {
		t.Fatalf("deployment of the bad version: %+v", failed)
	}
	if env := snap.Job("default", "web").TaskGroups[0].Tasks[0].Env["V"]; env != "b" {
		t.Fatalf("rolled back to %q", env)
	}
}

// A drain moves what a node runs to another and ends.
func TestDrain(t *testing.T) {
	s := start(t, nil)
	first := join(t, s, runs)
	j := testJob("web", 2)
	j.TaskGroups[0].Migrate.MinHealthyTime = 0
	register(t, s, j)
	until(t, s, "two running allocations", func(snap *state.Snapshot) bool { return running(snap, "web") == 2 })
	second := join(t, s, runs)
	if _, err := s.DrainNode(deadline(t), &NodeDrainRequest{NodeID: first.id, DrainSpec: &model.DrainSpec{Deadline: int64(time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	snap := until(t, s, "an empty node", func(snap *state.Snapshot) bool { return snap.Node(first.id).DrainStrategy == nil })
	n := snap.Node(first.id)
	if n.SchedulingEligibility != model.NodeIneligible || n.LastDrain.Status != model.DrainComplete {
		t.Fatalf("node after the drain: %s, %+v", n.SchedulingEligibility, n.LastDrain)
	}
	until(t, s, "everything on the other node", func(snap *state.Snapshot) bool {
		k := 0
		for _, a := range snap.AllocsByNode(second.id) {
			if a.ClientStatus == model.AllocClientRunning {
				k++
			}
		}
		return k == 2
	})
}

// Every refusal names what is wrong and changes nothing.
func TestRegisterRefuses(t *testing.T) {
	s := start(t, nil)
	join(t, s, runs)
	register(t, s, testJob("web", 1))
	index := s.state.Snapshot().Job("default", "web").JobModifyIndex
	for name, c := range map[string]struct {
		change func(*model.Job, *JobRegisterRequest)
		class  error
		want   string
	}{
		"misspelt config key": {
			func(j *model.Job, _ *JobRegisterRequest) {
				j.TaskGroups[0].Tasks[0].Config = map[string]any{"comand": "x"}
			},
			rpc.ErrInvalid, `group "web" > task "main" > config`,
		},
		"driver version is named": {
			func(j *model.Job, _ *JobRegisterRequest) {
				j.TaskGroups[0].Tasks[0].Config = map[string]any{"comand": "x"}
			},
			rpc.ErrInvalid, "(driver test 1.0.0)",
		},
		"enforced index": {
			func(_ *model.Job, q *JobRegisterRequest) { q.EnforceIndex, q.JobModifyIndex = true, 1 },
			rpc.ErrConflict, "Enforcing job modify index 1: job exists with conflicting job modify index",
		},
		"must not exist": {
			func(_ *model.Job, q *JobRegisterRequest) { q.EnforceIndex = true },
			rpc.ErrConflict, "Enforcing job modify index 0: job already exists",
		},
		"other type": {
			func(j *model.Job, _ *JobRegisterRequest) {
				j.Type, j.TaskGroups[0].ReschedulePolicy, j.TaskGroups[0].Migrate = model.JobTypeSystem, nil, nil
			},
			rpc.ErrInvalid, `cannot update job from type "service" to "system"`,
		},
		"no such namespace": {
			func(j *model.Job, _ *JobRegisterRequest) { j.Namespace = "dev" },
			rpc.ErrInvalid, `nonexistent namespace "dev"`,
		},
		"too many": {
			func(j *model.Job, _ *JobRegisterRequest) { j.TaskGroups[0].Count = 10_000_000 },
			rpc.ErrInvalid, "50000",
		},
		"priority": {
			func(_ *model.Job, q *JobRegisterRequest) { q.EvalPriority = 101 },
			rpc.ErrInvalid, "between 1 and 100",
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := &JobRegisterRequest{Job: testJob("web", 1)}
			c.change(q.Job, q)
			_, err := s.RegisterJob(deadline(t), q)
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want class %v and text %q", err, c.class, c.want)
			}
			if j := s.state.Snapshot().Job("default", "web"); j.JobModifyIndex != index {
				t.Fatal("the refused job was stored")
			}
		})
	}
	j := testJob("other", 1)
	j.TaskGroups[0].Tasks[0].Driver = "unknown"
	r := register(t, s, j)
	if !strings.Contains(r.Warnings, `no node has driver "unknown"`) {
		t.Fatalf("warnings: %q", r.Warnings)
	}
	snap := until(t, s, "a blocked evaluation", func(snap *state.Snapshot) bool {
		e := snap.Eval(r.EvalID)
		return e.Status == model.EvalComplete && e.BlockedEval != ""
	})
	if m := snap.Eval(r.EvalID).FailedTGAllocs["web"]; m == nil || m.ConstraintFiltered["missing drivers"] != 1 {
		t.Fatalf("metrics: %+v", m)
	}
}

// A plan says what would happen and stores nothing.
func TestPlan(t *testing.T) {
	s := start(t, nil)
	join(t, s, runs)
	p, err := s.PlanJob(deadline(t), &JobPlanRequest{Job: testJob("web", 2), Diff: true})
	if err != nil {
		t.Fatal(err)
	}
	if p.JobModifyIndex != 0 || p.Annotations.DesiredTGUpdates["web"].Place != 2 || p.Diff.Type != "Added" {
		t.Fatalf("plan of a new job: %+v", p)
	}
	if s.state.Snapshot().Job("default", "web") != nil {
		t.Fatal("the planned job was stored")
	}
	register(t, s, testJob("web", 2))
	until(t, s, "two running allocations", func(snap *state.Snapshot) bool { return running(snap, "web") == 2 })
	j := testJob("web", 3)
	if p, err = s.PlanJob(deadline(t), &JobPlanRequest{Job: j, Diff: true}); err != nil {
		t.Fatal(err)
	}
	u := p.Annotations.DesiredTGUpdates["web"]
	if p.JobModifyIndex == 0 || u.Place != 1 || p.Diff.Type != "Edited" {
		t.Fatalf("plan of a change: %+v, %+v", p, u)
	}
	j.TaskGroups[0].Tasks[0].Resources.MemoryMB = 1 << 20
	if p, err = s.PlanJob(deadline(t), &JobPlanRequest{Job: j}); err != nil {
		t.Fatal(err)
	}
	if p.FailedTGAllocs["web"] == nil {
		t.Fatalf("a plan that cannot be placed says nothing: %+v", p)
	}
}

// Versions, revert, tag, scale, stop of one allocation, evaluation on request.
func TestJobRequests(t *testing.T) {
	s := start(t, nil)
	join(t, s, runs)
	for _, count := range []int{1, 2, 3} {
		register(t, s, testJob("web", count))
	}
	if _, _, err := s.TagJobVersion(deadline(t), &JobTagRequest{Namespace: "default", JobID: "web", Name: "good", Version: new(uint64)}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RevertJob(deadline(t), &JobRevertRequest{Namespace: "default", JobID: "web", JobVersion: 0}); err != nil {
		t.Fatal(err)
	}
	snap := s.state.Snapshot()
	j := snap.Job("default", "web")
	if j.Version != 3 || j.TaskGroups[0].Count != 1 || j.VersionTag != nil || snap.JobVersion("default", "web", 0).VersionTag.Name != "good" {
		t.Fatalf("after the revert: %+v", j)
	}
	if _, err := s.RevertJob(deadline(t), &JobRevertRequest{Namespace: "default", JobID: "web", JobVersion: 9}); !errors.Is(err, rpc.ErrNotFound) || !strings.Contains(err.Error(), "0, 1, 2, 3") {
		t.Fatalf("revert to a missing version: %v", err)
	}
	two := int64(2)
	if _, err := s.ScaleJob(deadline(t), &JobScaleRequest{Namespace: "default", JobID: "web", Group: "web", Count: &two, Message: "more"}); err != nil {
		t.Fatal(err)
	}
	snap = until(t, s, "two running allocations", func(snap *state.Snapshot) bool { return running(snap, "web") == 2 })
	if ev := snap.ScalingEvents("default", "web")["web"]; len(ev) != 1 || *ev[0].Count != 2 || ev[0].PreviousCount != 1 {
		t.Fatalf("scaling events: %+v", ev)
	}
	var victim string
	for _, a := range snap.AllocsByJob("default", "web") {
		if a.ClientStatus == model.AllocClientRunning && a.DesiredStatus == model.AllocDesiredRun {
			victim = a.ID
		}
	}
	if _, err := s.StopAlloc(deadline(t), &AllocStopRequest{AllocID: victim}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "a replacement of the stopped allocation", func(snap *state.Snapshot) bool {
		return snap.Alloc(victim).ClientStatus == model.AllocClientComplete && running(snap, "web") == 2
	})
	if _, err := s.EvaluateJob(deadline(t), &JobEvaluateRequest{Namespace: "default", JobID: "web"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.EvaluateJob(deadline(t), &JobEvaluateRequest{Namespace: "default", JobID: "none"}); !errors.Is(err, rpc.ErrNotFound) {
		t.Fatalf("evaluate a missing job: %v", err)
	}
}

// A node with another secret is refused, and calls reach a node over the connection it opened.
func TestNodeIdentity(t *testing.T) {
	s := start(t, nil)
	n := join(t, s, runs)
	forged := testNode(n.id)
	forged.SecretID = "other"
	if _, err := rpc.NodeRegister.Call(deadline(t), n.sess.Conn(), &rpc.NodeRegisterRequest{Node: forged}); !errors.Is(err, rpc.ErrDenied) {
		t.Fatalf("a forged registration: %v", err)
	}
	_, err := rpc.NodeUpdate.Call(deadline(t), n.sess.Conn(), &rpc.NodeUpdateRequest{NodeAuth: rpc.NodeAuth{NodeID: n.id, SecretID: "x"}})
	if !errors.Is(err, rpc.ErrDenied) {
		t.Fatalf("a forged update: %v", err)
	}
	conn, err := s.NodeConn(t.Context(), n.id)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := rpc.NodeStats.Call(deadline(t), conn, &rpc.Empty{}); err != nil || st.Uptime != 42 {
		t.Fatalf("reverse call: %+v, %v", st, err)
	}
	sess := s.sessions.get(n.id)
	n.leave()
	<-sess.Done()
	for s.sessions.get(n.id) != nil {
		time.Sleep(time.Millisecond)
	}
	if _, err := s.NodeConn(t.Context(), n.id); !errors.Is(err, rpc.ErrNoPath) || !strings.Contains(err.Error(), "No path to node") {
		t.Fatalf("call of a node that left: %v", err)
	}
}

// Everything is there again after a restart from disk, and a second server on the directory is refused.
func TestRestartFromDisk(t *testing.T) {
	dir := t.TempDir()
	onDisk := func(c *Config) { c.DataDir = dir }
	s := start(t, onDisk)
	n := join(t, s, runs)
	register(t, s, testJob("web", 2))
	until(t, s, "two running allocations", func(snap *state.Snapshot) bool { return running(snap, "web") == 2 })

	cfg := DefaultConfig()
	cfg.DataDir = dir
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "server")) || !strings.Contains(err.Error(), "process") {
		t.Fatalf("a second server on %s: %v", dir, err)
	}
	index := s.state.Index()
	n.leave()
	if err := s.Shutdown(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s = start(t, onDisk)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the server led after %v only", took)
	}
	snap := s.state.Snapshot()
	if snap.Index() < index || running(snap, "web") != 2 {
		t.Fatalf("after the restart: index %d (was %d), %d running", snap.Index(), index, running(snap, "web"))
	}
	n.connect(s)
	if _, err := s.ScaleJob(deadline(t), &JobScaleRequest{Namespace: "default", JobID: "web", Group: "web", Count: new(int64)}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "nothing running", func(snap *state.Snapshot) bool { return running(snap, "web") == 0 })
}

// A snapshot brings everything back into an empty server; a damaged one changes nothing.
func TestSnapshotRestore(t *testing.T) {
	s := start(t, nil)
	join(t, s, runs)
	register(t, s, testJob("web", 2))
	until(t, s, "two running allocations", func(snap *state.Snapshot) bool { return running(snap, "web") == 2 })
	var buf bytes.Buffer
	if _, err := s.SnapshotSave(&buf); err != nil {
		t.Fatal(err)
	}
	other := start(t, nil)
	for name, bad := range map[string][]byte{
		"cut off": buf.Bytes()[:buf.Len()/2],
		"damaged": append(append([]byte(nil), buf.Bytes()[:buf.Len()-20]...), make([]byte, 20)...),
		"foreign": []byte("this is something else entirely"),
		"empty":   nil,
	} {
		if err := other.SnapshotRestore(deadline(t), bytes.NewReader(bad), true); !errors.Is(err, rpc.ErrInvalid) {
			t.Errorf("%s snapshot: %v", name, err)
		}
	}
	register(t, other, testJob("kept", 1))
	if err := other.SnapshotRestore(deadline(t), bytes.NewReader(buf.Bytes()), false); !errors.Is(err, rpc.ErrInvalid) || !strings.Contains(err.Error(), "another cluster") {
		t.Fatalf("another cluster's snapshot: %v", err)
	}
	if other.state.Snapshot().Job("default", "kept") == nil {
		t.Fatal("a refused snapshot changed something")
	}
	if err := other.SnapshotRestore(deadline(t), bytes.NewReader(buf.Bytes()), true); err != nil {
		t.Fatal(err)
	}
	snap := other.state.Snapshot()
	if snap.Job("default", "kept") != nil || running(snap, "web") != 2 || snap.JobSummary("default", "web").Summary["web"].Running != 2 {
		t.Fatal("the snapshot is not what the server has now")
	}
	if err := other.WaitLeader(deadline(t)); err != nil {
		t.Fatal(err)
	}
	register(t, other, testJob("new", 1))
}

// A system job runs on every node that joins.
func TestSystemJob(t *testing.T) {
	s := start(t, nil)
	join(t, s, runs)
	j := testJob("sys", 1)
	j.Type, j.TaskGroups[0].ReschedulePolicy, j.TaskGroups[0].Migrate = model.JobTypeSystem, nil, nil
	register(t, s, j)
	until(t, s, "one running allocation", func(snap *state.Snapshot) bool { return running(snap, "sys") == 1 })
	join(t, s, runs)
	until(t, s, "two running allocations", func(snap *state.Snapshot) bool { return running(snap, "sys") == 2 })
}

// A parameterized job is dispatched once per token, a periodic one can be forced.
func TestLaunched(t *testing.T) {
	s := start(t, nil)
	join(t, s, func(*model.Allocation) string { return model.AllocClientComplete })
	batch := func(id string) *model.Job {
		j := testJob(id, 1)
		j.Type, j.TaskGroups[0].Migrate = model.JobTypeBatch, nil
		return j
	}
	p := batch("param")
	p.ParameterizedJob = &model.Parameterized{Payload: "optional", MetaRequired: []string{"who"}}
	if r := register(t, s, p); r.EvalID != "" {
		t.Fatalf("a parameterized job was evaluated: %+v", r)
	}
	q := &JobDispatchRequest{Namespace: "default", JobID: "param", IdempotencyToken: "t1"}
	if _, err := s.DispatchJob(deadline(t), q); err == nil || !strings.Contains(err.Error(), `required meta key "who"`) {
		t.Fatalf("dispatch without meta: %v", err)
	}
	q.Meta = map[string]string{"who": "me"}
	r, err := s.DispatchJob(deadline(t), q)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.DispatchJob(deadline(t), q)
	if err != nil || again.DispatchedJobID != r.DispatchedJobID || again.EvalID != "" {
		t.Fatalf("dispatched again: %+v, %v", again, err)
	}
	until(t, s, "a dead child", func(snap *state.Snapshot) bool {
		c := snap.JobSummary("default", "param").Children
		return snap.Job("default", r.DispatchedJobID).Status == model.JobStatusDead && c.Dead == 1 && c.Running == 0 && c.Pending == 0
	})
	c := batch("cron")
	c.Periodic = &model.Periodic{Enabled: true, Spec: "0 0 1 1 *", SpecType: "cron", TimeZone: "UTC"}
	register(t, s, c)
	f, err := s.ForcePeriodic(deadline(t), "default", "cron")
	if err != nil || f.EvalID == "" {
		t.Fatalf("force: %+v, %v", f, err)
	}
	until(t, s, "a child of the periodic job", func(snap *state.Snapshot) bool {
		return snap.JobSummary("default", "cron").Children.Dead == 1 && snap.Job("default", "cron").Status == model.JobStatusRunning
	})
}

// From the request to the push takes a few milliseconds.
func TestLatency(t *testing.T) {
	s := start(t, nil)
	n := join(t, s, runs)
	var worst time.Duration
	for range 10 {
		id := "web-" + time.Now().Format("150405.000000000")
		began := time.Now()
		register(t, s, testJob(id, 1))
		snap := until(t, s, "a placement", func(snap *state.Snapshot) bool { return running(snap, id) == 1 })
		for _, a := range snap.AllocsByJob("default", id) {
			n.mu.Lock()
			worst = max(worst, n.pushAt[a.ID].Sub(began))
			n.mu.Unlock()
		}
	}
	t.Logf("submit to push: at most %v", worst)
	if worst > time.Second {
		t.Errorf("submit to push took %v", worst)
	}
}
