package scheduler

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/rank"
	"github.com/droverhq/drover/core/scheduler/reconcile"
)

// groupKey is a group in one version of the job: while canaries are out, two versions are placed side by side.
type groupKey struct {
	version uint64
	group   string
}

// ruleBook holds the compiled rules of the groups that came up so far.
type ruleBook struct {
	run   *run
	rules map[groupKey]*feasible.Rules
}

func (b *ruleBook) of(job *model.Job, g *model.TaskGroup) *feasible.Rules {
	key := groupKey{job.Version, g.Name}
	if r := b.rules[key]; r != nil {
		return r
	}
	if b.rules == nil {
		b.rules = map[groupKey]*feasible.Rules{}
	}
	r := feasible.NewRules(b.run.draft, job, g, b.run.config.MemoryOversubscriptionEnabled)
	r.CheckConfigs(b.run.Configs, g)
	b.rules[key] = r
	return r
}

// groupPlacer is the placer of one group in one version.
type groupPlacer struct {
	*rank.Placer
	key groupKey
}

// placer returns the placer for a placement. A new one is told where the job's allocations are by now.
func (r *run) placer(p *reconcile.Placement) *groupPlacer {
	key := groupKey{p.Job.Version, p.Group.Name}
	for _, g := range r.placers {
		if g.key == key {
			return g
		}
	}
	g := &groupPlacer{key: key, Placer: rank.New(rank.Config{
		Draft: r.draft, Rules: r.rules.of(p.Job, p.Group), Job: p.Job, Group: p.Group,
		Spread: r.config.SchedulerAlgorithm == "spread", Seed: r.Seed,
		Placements: r.expected(p), Sample: r.config.NodeLimitForFeasibilityChecks,
	})}
	for _, a := range r.allocs {
		if !a.Terminal() && !r.stopped[a.ID] {
			g.Stays(a.NodeID, a.TaskGroup == p.Group.Name)
		}
	}
	for _, a := range r.placed {
		g.Stays(a.NodeID, a.TaskGroup == p.Group.Name)
	}
	r.placers = append(r.placers, g)
	return g
}

// expected is how many placements of the group are likely to come: what it lacks now.
func (r *run) expected(p *reconcile.Placement) int {
	if d := r.desired[p.Group.Name]; d != nil {
		return max(1, int(d.Place+d.Migrate+d.DestructiveUpdate+d.Canary))
	}
	return 1
}

// place finds a node for one placement of a service or batch job.
func (r *run) place(p *reconcile.Placement) {
	group := p.Group.Name
	if m := r.failed[group]; m != nil {
		m.CoalescedFailures++
		r.noPlacement(p)
		return
	}
	placer := r.placer(p)
	if p.Replaces != nil {
		r.free(p.Replaces.Alloc)
	}
	choice, ok := placer.Next(wish(p))
	if !ok && r.preempt(p, placer) {
		return
	}
	if !ok {
		if p.Replaces != nil {
			r.unfree(p.Replaces.Alloc)
		}
		r.failed[group] = placer.Failure()
		r.noPlacement(p)
		return
	}
	r.accept(p, placer, choice)
}

// accept turns a placer's choice into an allocation, and tells the other placers of it.
func (r *run) accept(p *reconcile.Placement, placer *groupPlacer, choice rank.Choice) *model.Allocation {
	for _, other := range r.placers {
		if other != placer {
			other.Returns(choice.Node.ID, other.key.group == p.Group.Name)
		}
	}
	a := r.allocation(p)
	a.NodeID, a.NodeName = choice.Node.ID, choice.Node.Name
	a.AllocatedResources, a.Metrics = choice.Resources, choice.Metrics
	r.commit(p, a)
	return a
}

// commit puts a placement and the stop that goes with it into the plan.
func (r *run) commit(p *reconcile.Placement, a *model.Allocation) {
	if p.Replaces != nil {
		r.stop(p.Replaces, a.ID)
	}
	r.placed = append(r.placed, a)
	r.keep(a)
}

// free takes an allocation off its node, for its replacement to be placed; unfree puts it back.
func (r *run) free(a *model.Allocation) {
	if a.Terminal() {
		return
	}
	r.draft.ReleaseAlloc(a)
	for _, g := range r.placers {
		g.Frees(a.NodeID, g.key.group == a.TaskGroup)
	}
}

func (r *run) unfree(a *model.Allocation) {
	if a.Terminal() {
		return
	}
	if num, ok := r.fleet.Number(a.NodeID); ok && a.AllocatedResources != nil {
		r.draft.Take(num, a.AllocatedResources)
	}
	for _, g := range r.placers {
		g.Returns(a.NodeID, g.key.group == a.TaskGroup)
	}
}

// wish is what a placement asks for beyond the group's rules.
func wish(p *reconcile.Placement) rank.Wish {
	var w rank.Wish
	if p.Previous == nil {
		return w
	}
	if d := p.Group.EphemeralDisk; d != nil && d.Sticky && !p.Reschedule {
		w.Prefer = p.Previous.NodeID
	}
	if !p.Reschedule {
		return w
	}
	w.Avoid = append(w.Avoid, p.Previous.NodeID)
	if t := p.Previous.RescheduleTracker; t != nil {
		for _, e := range t.Events {
			w.Avoid = append(w.Avoid, e.PrevNodeID)
		}
	}
	return w
}

// noPlacement counts a placement that found no node. A failed allocation stays as it is and remembers that it was tried.
func (r *run) noPlacement(p *reconcile.Placement) {
	r.queued[p.Group.Name]++
	if !p.Reschedule {
		return
	}
	old := p.Previous
	if t := old.RescheduleTracker; t != nil && t.LastReschedule == "no placement" {
		return
	}
	a := *old
	a.RescheduleTracker = &model.RescheduleTracker{LastReschedule: "no placement"}
	if old.RescheduleTracker != nil {
		a.RescheduleTracker.Events = old.RescheduleTracker.Events
	}
	r.keep(&a)
}

// allocation is a new allocation for a placement, without node and resources.
func (r *run) allocation(p *reconcile.Placement) *model.Allocation {
	a := &model.Allocation{
		ID: r.NewID(), Namespace: r.job.Namespace, EvalID: r.Eval.ID, Name: p.Name,
		JobID: r.job.ID, JobVersion: p.Job.Version, TaskGroup: p.Group.Name,
		DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending,
		CreateTime: r.Now.UnixNano(), ModifyTime: r.Now.UnixNano(),
	}
	if d := r.rollout; d.Active() && d.TaskGroups[a.TaskGroup] != nil && d.JobVersion == p.Job.Version {
		a.DeploymentID = d.ID
		if p.Canary {
			a.DeploymentStatus = &model.AllocDeploymentStatus{Canary: true}
		}
	}
	if p.Previous != nil {
		a.PreviousAllocation = p.Previous.ID
		switch {
		case p.Reschedule:
			a.RescheduleTracker = reconcile.TrackerAfter(p.Previous, p.Group.ReschedulePolicy, r.Now)
		case p.Previous.JobVersion == p.Job.Version:
			a.RescheduleTracker = p.Previous.RescheduleTracker
		}
	}
	return a
}
