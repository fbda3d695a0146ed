package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/droverhq/drover/core/model"
)

func placedOn(p *model.Plan) map[string]int {
	out := map[string]int{}
	for node, list := range p.NodeAllocation {
		out[node] += len(list)
	}
	return out
}

func TestServiceIsPlaced(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.node(testNode(fmt.Sprintf("n%d", i)))
	}
	job := testJob(model.JobTypeService, 3)
	w.job(job)
	out := w.process(w.eval(job), 1)
	if out.Eval.Status != model.EvalComplete || out.Blocked != nil || len(out.Eval.FailedTGAllocs) != 0 {
		t.Fatalf("eval %+v", out.Eval)
	}
	names := map[string]bool{}
	for _, list := range out.Plan.NodeAllocation {
		for _, a := range list {
			names[a.Name] = true
			if a.Job != nil || a.DeploymentID != out.Plan.Deployment.ID || a.Metrics.NodesEvaluated != 3 || len(a.Metrics.ScoreMetaData) != 3 {
				t.Errorf("allocation %+v metrics %+v", a, a.Metrics)
			}
		}
	}
	want := []string{"job.g[0]", "job.g[1]", "job.g[2]"}
	if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) {
		t.Errorf("names %v", got)
	}
	w.commit(out.Plan)
	if again := w.process(w.eval(job), 1); !again.Plan.Empty() {
		t.Errorf("second run is not empty: %+v", again.Plan)
	}
}

func TestWhatFindsNoRoomIsBlocked(t *testing.T) {
	w := newWorld(t)
	w.node(testNode("n0"))
	job := testJob(model.JobTypeService, 10) // 8 fit by cpu
	w.job(job)
	out := w.process(w.eval(job), 1)
	m := out.Eval.FailedTGAllocs["g"]
	switch {
	case m == nil || out.Blocked == nil:
		t.Fatalf("not blocked: %+v", out.Eval)
	case out.Eval.BlockedEval != out.Blocked.ID || out.Blocked.PreviousEval != out.Eval.ID:
		t.Error("evaluations do not name each other")
	case out.Eval.QueuedAllocations["g"] != 2 || m.CoalescedFailures != 1:
		t.Errorf("queued %v, coalesced %d", out.Eval.QueuedAllocations, m.CoalescedFailures)
	case m.NodesExhausted != 1 || m.DimensionExhausted["cpu"] != 1 || m.NodesAvailable["dc1"] != 1:
		t.Errorf("metrics %+v", m)
	case len(out.Blocked.ClassEligibility) != 1 || out.Blocked.EscapedComputedClass:
		t.Errorf("classes %v", out.Blocked.ClassEligibility)
	}
	w.commit(out.Plan)

	// The blocked evaluation is worked on again without a change: it stays blocked.
	again := w.process(out.Blocked, 1)
	if again.Eval.Status != model.EvalBlocked || again.Blocked != nil || again.Eval.ID != out.Blocked.ID {
		t.Errorf("unblocked for nothing: %+v, new %+v", again.Eval, again.Blocked)
	}
	w.node(testNode("n1"))
	last := w.process(out.Blocked, 1)
	if last.Eval.Status != model.EvalComplete || placedOn(last.Plan)["n1"] != 2 {
		t.Errorf("after a node joined: %+v %v", last.Eval, placedOn(last.Plan))
	}
}

func TestSystemRunsOnEveryNodeThatSuits(t *testing.T) {
	w := newWorld(t)
	w.node(testNode("n0"))
	w.node(testNode("n1"))
	windows := testNode("n2")
	windows.Attributes["kernel.name"] = "windows"
	w.node(windows)
	small := testNode("n3")
	small.NodeResources.Memory.MemoryMB = 100
	w.node(small)
	job := testJob(model.JobTypeSystem, 1)
	job.Constraints = []model.Constraint{{LTarget: "${attr.kernel.name}", Operand: "=", RTarget: "linux"}}
	w.job(job)
	out := w.process(w.eval(job), 1)
	if got := placedOn(out.Plan); len(got) != 2 || got["n0"] != 1 || got["n1"] != 1 {
		t.Errorf("placed on %v", got)
	}
	if m := out.Eval.FailedTGAllocs["g"]; m == nil || m.DimensionExhausted["memory"] != 1 || out.Blocked == nil {
		t.Errorf("no failure for the node without room: %+v", out.Eval)
	}
	w.commit(out.Plan)
	w.node(testNode("n4"))
	if got := placedOn(w.process(w.eval(job), 1).Plan); len(got) != 1 || got["n4"] != 1 {
		t.Errorf("after a node joined, placed on %v", got)
	}
}

func TestTooManyAttemptsLeaveABlockedEvaluation(t *testing.T) {
	w := newWorld(t)
	w.node(testNode("n0"))
	job := testJob(model.JobTypeBatch, 1)
	w.job(job)
	out, err := Process(Input{Eval: w.eval(job), State: w, Now: w.now, NewID: w.newID, Attempt: 2})
	if err != nil || out.Eval.Status != model.EvalFailed || !out.Plan.Empty() {
		t.Fatalf("%v %+v", err, out.Eval)
	}
	if b := out.Blocked; b == nil || b.TriggeredBy != model.TriggerMaxPlans || !b.EscapedComputedClass {
		t.Errorf("blocked %+v", b)
	}
}

func TestUnknownTypeIsAnError(t *testing.T) {
	w := newWorld(t)
	job := testJob("core", 1)
	if _, err := Process(Input{Eval: w.eval(job), State: w, NewID: w.newID}); err == nil {
		t.Error("no error")
	}
}

// A job that was purged and submitted again starts anew: what an earlier job of its name achieved is not its work, and
// what still runs of it is stopped.
func TestAnotherJobOfTheSameName(t *testing.T) {
	w := newWorld(t)
	w.node(testNode("n"))
	job := testJob(model.JobTypeBatch, 2)
	w.job(job)
	w.commit(w.process(w.eval(job), 1).Plan)
	allocs := w.AllocsByJob("", job.ID)
	if len(allocs) != 2 {
		t.Fatalf("%d allocations placed, want 2", len(allocs))
	}
	done := allocs[0].Copy()
	done.ClientStatus = model.AllocClientComplete
	w.set(done)

	again := testJob(model.JobTypeBatch, 2)
	w.index++
	again.CreateIndex = w.index
	w.job(again)
	out := w.process(w.eval(again), 1)
	if got := placedOn(out.Plan)["n"]; got != 2 {
		t.Errorf("%d instances placed, want 2: the earlier job's success counted", got)
	}
	if stopped := out.Plan.NodeUpdate["n"]; len(stopped) != 1 || stopped[0].ID != allocs[1].ID {
		t.Errorf("stopped %v, want the earlier job's running allocation %s", stopped, allocs[1].ID)
	}
}
