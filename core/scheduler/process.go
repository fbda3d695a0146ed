package scheduler

import (
	"fmt"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/core/scheduler/reconcile"
)

// Process works on one evaluation. It fails only on input that no scheduler can work on (an unknown job type); everything
// a user could cause ends in the outcome.
func Process(in Input) (*Outcome, error) {
	switch in.Eval.Type {
	case model.JobTypeService, model.JobTypeBatch, model.JobTypeSystem, model.JobTypeSysBatch:
	default:
		return nil, fmt.Errorf("evaluation %s: no scheduler for job type %q", in.Eval.ID, in.Eval.Type)
	}
	r := newRun(in)
	if in.Attempt >= MaxAttempts(in.Eval.Type) {
		return r.giveUp(), nil
	}
	if r.job != nil && !r.job.Stop && (r.job.IsPeriodic() || r.job.IsParameterized()) {
		return r.outcome(), nil // only its children run
	}
	if in.Eval.Type == model.JobTypeSystem || in.Eval.Type == model.JobTypeSysBatch {
		r.system()
	} else {
		r.generic()
	}
	return r.outcome(), nil
}

// run is the work on one evaluation.
type run struct {
	Input
	job    *model.Job // nil when purged
	fleet  *fleet.Snapshot
	draft  *fleet.Draft // the fleet with what the plan stops and places
	config *model.SchedulerConfig
	allocs []*model.Allocation

	plan      *model.Plan
	followUps []*model.Evaluation
	desired   map[string]*model.DesiredUpdates
	rollout   *model.Deployment // the deployment that placements of the newest version belong to

	stopped map[string]bool // allocations that the plan ends
	placed  []*model.Allocation
	rules   ruleBook
	placers []*groupPlacer
	failed  map[string]*model.AllocMetric
	queued  map[string]int
	near    map[string]*feasible.Nearest // system jobs: what the nodes without room miss by

	evicted   map[groupName]int // how many the plan preempts
	preempted []*model.AllocListStub
}

func newRun(in Input) *run {
	r := &run{
		Input: in, fleet: in.State.Fleet(), config: in.State.SchedulerConfig(),
		job:    in.State.Job(in.Eval.Namespace, in.Eval.JobID),
		allocs: in.State.AllocsByJob(in.Eval.Namespace, in.Eval.JobID),
		plan: &model.Plan{
			EvalID: in.Eval.ID, Namespace: in.Eval.Namespace, JobID: in.Eval.JobID, Priority: in.Eval.Priority,
			SnapshotIndex: in.State.Index(),
		},
		stopped: map[string]bool{}, failed: map[string]*model.AllocMetric{}, queued: map[string]int{},
	}
	r.draft = r.fleet.Draft()
	r.rules = ruleBook{run: r}
	r.separate()
	if r.job != nil {
		r.plan.Job, r.plan.AllAtOnce = r.job, r.job.AllAtOnce
		for _, g := range r.job.TaskGroups {
			r.queued[g.Name] = 0
		}
	}
	return r
}

// separate sets apart the allocations of an earlier job of the same name, purged since: what has ended of it says
// nothing about this job (a batch instance that succeeded then must run again), and what runs is stopped.
func (r *run) separate() {
	if r.job == nil {
		return
	}
	own := r.allocs[:0:0]
	for _, a := range r.allocs {
		switch {
		case a.CreateIndex >= r.job.CreateIndex:
			own = append(own, a)
		case !a.Terminal():
			r.stop(&reconcile.Stop{Alloc: a, Description: reconcile.NotNeeded}, "")
			r.draft.ReleaseAlloc(a)
		}
	}
	r.allocs = own
}

// wanted is what reconcilers look at.
func (r *run) wanted() reconcile.Input {
	return reconcile.Input{
		Eval: r.Eval, Job: r.job, Allocs: r.allocs, Now: r.Now, NewID: r.NewID,
		Deployment: r.State.LatestDeployment(r.Eval.Namespace, r.Eval.JobID),
		Node:       r.fleet.NodeByID,
		Version: func(version uint64) *model.Job {
			if r.job != nil && r.job.Version == version {
				return r.job
			}
			return r.State.JobVersion(r.Eval.Namespace, r.Eval.JobID, version)
		},
		Fits: func(a *model.Allocation, g *model.TaskGroup) bool {
			num, ok := r.fleet.Number(a.NodeID)
			return ok && r.rules.of(r.job, g).Stays(num)
		},
	}
}

// generic works on a service or batch job.
func (r *run) generic() {
	res := reconcile.Generic(r.wanted())
	r.apply(res)
	for i := range res.Place {
		r.place(&res.Place[i])
	}
}

// system works on a system or sysbatch job.
func (r *run) system() {
	nodes := reconcile.Nodes{Suits: func(nodeID string, g *model.TaskGroup) bool {
		num, ok := r.fleet.Number(nodeID)
		return ok && r.rules.of(r.job, g).Suits(num)
	}}
	if !r.job.Stopped() && len(r.job.TaskGroups) > 0 {
		rules := r.rules.of(r.job, r.job.TaskGroups[0])
		for num, n := range r.fleet.All() {
			if rules.Candidate(num) {
				nodes.Ready = append(nodes.Ready, n)
			}
		}
	}
	res := reconcile.System(r.wanted(), nodes)
	r.apply(res)
	r.countDistinct()
	for i := range res.Place {
		r.placeOn(&res.Place[i])
	}
}

// apply puts everything but placements into the plan and the draft.
func (r *run) apply(res *reconcile.Result) {
	r.followUps = res.FollowUps
	r.desired = res.Desired
	r.plan.Deployment, r.plan.DeploymentUpdates = res.Deployment, res.DeploymentUpdates
	r.rollout = res.Deployment
	if r.rollout == nil && r.job != nil {
		d := r.State.LatestDeployment(r.Eval.Namespace, r.Eval.JobID)
		if d.Active() && d.JobVersion == r.job.Version && d.JobCreateIndex == r.job.CreateIndex {
			r.rollout = d
		}
	}
	for i := range res.Stop {
		r.stop(&res.Stop[i], "")
		r.draft.ReleaseAlloc(res.Stop[i].Alloc)
	}
	for _, a := range res.Update {
		r.keep(a)
	}
	for _, a := range res.Adapt {
		r.keep(r.adapted(a))
	}
}

// stop puts the end of an allocation into the plan. next is the allocation that takes over, if any.
func (r *run) stop(s *reconcile.Stop, next string) {
	a := *s.Alloc
	if !a.ServerTerminal() {
		a.DesiredStatus = model.AllocDesiredStop
	}
	a.DesiredDescription = s.Description
	if s.ClientStatus != "" {
		a.ClientStatus = s.ClientStatus
	}
	if s.FollowupEvalID != "" {
		a.FollowupEvalID = s.FollowupEvalID
	}
	if next != "" {
		a.NextAllocation = next
	}
	if r.plan.NodeUpdate == nil {
		r.plan.NodeUpdate = map[string][]*model.Allocation{}
	}
	r.plan.NodeUpdate[a.NodeID] = append(r.plan.NodeUpdate[a.NodeID], &a)
	r.stopped[a.ID] = true
}

// keep puts a new or changed allocation into the plan.
func (r *run) keep(a *model.Allocation) {
	if r.plan.NodeAllocation == nil {
		r.plan.NodeAllocation = map[string][]*model.Allocation{}
	}
	r.plan.NodeAllocation[a.NodeID] = append(r.plan.NodeAllocation[a.NodeID], a)
}

// adapted is an allocation as it is after an update in place. Its resources are the same: had they changed, it would
// have to be replaced.
func (r *run) adapted(old *model.Allocation) *model.Allocation {
	a := *old
	a.EvalID, a.JobVersion, a.DesiredDescription = r.Eval.ID, r.job.Version, reconcile.InPlace
	if d := r.rollout; d != nil && d.TaskGroups[a.TaskGroup] != nil && a.DeploymentID != d.ID {
		a.DeploymentID, a.DeploymentStatus = d.ID, nil
	}
	return &a
}
