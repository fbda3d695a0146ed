package scheduler

import (
	"fmt"

	"github.com/droverhq/drover/core/model"
)

// Status descriptions of evaluations, as users know them.
const (
	blockedForRoom  = "created to place remaining allocations"
	blockedForPlans = "created due to placement conflicts"
)

// outcome sums up the run.
func (r *run) outcome() *Outcome {
	eval := r.Eval.Copy()
	wasBlocked := eval.Status == model.EvalBlocked
	eval.Status, eval.StatusDescription = model.EvalComplete, ""
	eval.SnapshotIndex = r.State.Index()
	eval.QueuedAllocations = r.queued
	if r.rollout != nil {
		eval.DeploymentID = r.rollout.ID
	}
	eval.FailedTGAllocs, eval.ClassEligibility, eval.EscapedComputedClass = nil, nil, false
	if r.Eval.AnnotatePlan {
		r.plan.Annotations = &model.PlanAnnotations{DesiredTGUpdates: r.desired, PreemptedAllocs: r.preempted}
		eval.PlanAnnotations = r.plan.Annotations
	}
	out := &Outcome{Plan: r.plan, Eval: eval, FollowUps: r.followUps}
	if len(r.followUps) > 0 {
		eval.NextEval = r.followUps[0].ID
	}
	if len(r.failed) == 0 {
		return out
	}
	eval.FailedTGAllocs = r.failed
	if wasBlocked {
		eval.Status, eval.StatusDescription = model.EvalBlocked, r.Eval.StatusDescription
		r.mark(eval)
		return out
	}
	out.Blocked = r.blocked(model.TriggerQueuedAllocs, blockedForRoom)
	eval.BlockedEval = out.Blocked.ID
	return out
}

// giveUp ends an evaluation whose plans kept colliding with others, and leaves a blocked one in its place.
func (r *run) giveUp() *Outcome {
	eval := r.Eval.Copy()
	eval.Status = model.EvalFailed
	eval.StatusDescription = fmt.Sprintf("maximum attempts reached (%d)", MaxAttempts(eval.Type))
	out := &Outcome{Plan: r.plan, Eval: eval}
	out.Blocked = r.blocked(model.TriggerMaxPlans, blockedForPlans)
	out.Blocked.EscapedComputedClass = true
	eval.BlockedEval = out.Blocked.ID
	return out
}

// blocked makes the evaluation that waits for room.
func (r *run) blocked(trigger, description string) *model.Evaluation {
	e := &model.Evaluation{
		ID: r.NewID(), Namespace: r.Eval.Namespace, Priority: r.Eval.Priority, Type: r.Eval.Type, JobID: r.Eval.JobID,
		TriggeredBy: trigger, Status: model.EvalBlocked, StatusDescription: description,
		PreviousEval: r.Eval.ID, SnapshotIndex: r.State.Index(),
		CreateTime: r.Now.UnixNano(), ModifyTime: r.Now.UnixNano(),
	}
	if r.job != nil {
		e.JobModifyIndex = r.job.JobModifyIndex
	}
	r.mark(e)
	return e
}

// mark notes on which classes of nodes the groups that failed could run, were there room.
func (r *run) mark(e *model.Evaluation) {
	e.ClassEligibility = map[string]bool{}
	for key, rules := range r.rules.rules {
		if r.failed[key.group] == nil {
			continue
		}
		e.EscapedComputedClass = e.EscapedComputedClass || rules.Escaped()
		rules.Eligibility(e.ClassEligibility)
	}
	if e.EscapedComputedClass {
		e.ClassEligibility = nil
	}
}
