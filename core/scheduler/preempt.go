package scheduler

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/core/scheduler/preempt"
	"github.com/droverhq/drover/core/scheduler/reconcile"
)

// groupName names a group across jobs.
type groupName struct {
	job   model.JobID
	group string
}

// mayPreempt tells whether jobs of this type may evict others.
func (r *run) mayPreempt() bool {
	c := r.config.PreemptionConfig
	switch r.Eval.Type {
	case model.JobTypeSystem:
		return c.SystemSchedulerEnabled
	case model.JobTypeSysBatch:
		return c.SysBatchSchedulerEnabled
	case model.JobTypeBatch:
		return c.BatchSchedulerEnabled
	}
	return c.ServiceSchedulerEnabled
}

// preemptSample is on how many nodes victims are found before the best of them is taken: evicting is rare, and each such
// node costs a look at all its allocations.
const preemptSample = 64

// preempt places an instance of a service or batch job by evicting others, on the node that scores best with its victims
// gone. It is only tried when no node has room without.
func (r *run) preempt(p *reconcile.Placement, placer *groupPlacer) bool {
	if !r.mayPreempt() {
		return false
	}
	rules := r.rules.of(p.Job, p.Group)
	best, bestScore, found := fleet.Num(0), 0.0, 0
	rows := r.fleet.Rows()
	for i := 0; i < rows && found < preemptSample; i++ {
		num := fleet.Num((uint64(i) + r.Seed%uint64(rows)) % uint64(rows))
		if !rules.Suits(num) {
			continue
		}
		victims := r.search(rules, num, p.Job.Priority).Find()
		if victims == nil {
			continue
		}
		sum, terms := placer.Rate(num)
		score := (sum + preempt.Score(victims)) / float64(terms+1)
		if found == 0 || score > bestScore {
			best, bestScore = num, score
		}
		found++
		for _, v := range victims {
			r.draft.Take(num, v.Alloc.AllocatedResources)
		}
	}
	if found == 0 {
		return false
	}
	victims := r.search(rules, best, p.Job.Priority).Find()
	node := r.fleet.Node(best)
	choice, ok := placer.On(node.ID)
	if !ok {
		for _, v := range victims {
			r.draft.Take(best, v.Alloc.AllocatedResources)
		}
		return false
	}
	a := r.accept(p, placer, choice)
	r.evict(victims, a)
	return true
}

// search prepares the search for victims on a node.
func (r *run) search(rules *feasible.Rules, num fleet.Num, priority int) preempt.Search {
	s := preempt.Search{Draft: r.draft, Rules: rules, Node: num}
	for _, a := range r.State.AllocsByNode(r.fleet.Node(num).ID) {
		if a.Terminal() || r.stopped[a.ID] || a.JobKey() == r.Eval.JobKey() || a.AllocatedResources == nil {
			continue
		}
		job := r.State.JobVersion(a.Namespace, a.JobID, a.JobVersion)
		if job == nil || job.Priority > priority-preempt.Margin {
			continue
		}
		v := preempt.Victim{Alloc: a, Priority: job.Priority}
		if g := job.Group(a.TaskGroup); g != nil && g.Migrate != nil {
			v.Beyond = r.evicted[groupName{a.JobKey(), a.TaskGroup}] + 1 - g.Migrate.MaxParallel
		}
		s.Victims = append(s.Victims, v)
	}
	slices.SortFunc(s.Victims, func(a, b preempt.Victim) int { return strings.Compare(a.Alloc.ID, b.Alloc.ID) })
	return s
}

// evict puts the end of the victims of an allocation into the plan. The draft holds it already.
func (r *run) evict(victims []preempt.Victim, by *model.Allocation) {
	for _, v := range victims {
		a := *v.Alloc
		a.DesiredStatus, a.DesiredDescription = model.AllocDesiredEvict, "Preempted by alloc ID "+by.ID
		a.PreemptedByAllocation = by.ID
		by.PreemptedAllocations = append(by.PreemptedAllocations, a.ID)
		if r.plan.NodePreemptions == nil {
			r.plan.NodePreemptions = map[string][]*model.Allocation{}
		}
		r.plan.NodePreemptions[a.NodeID] = append(r.plan.NodePreemptions[a.NodeID], &a)
		r.stopped[a.ID] = true
		if r.evicted == nil {
			r.evicted = map[groupName]int{}
		}
		r.evicted[groupName{a.JobKey(), a.TaskGroup}]++
		r.preempted = append(r.preempted, stub(&a))
		if d := r.desired[by.TaskGroup]; d != nil {
			d.Preemptions++
		}
	}
}

// stub is what an annotation tells of a victim.
func stub(a *model.Allocation) *model.AllocListStub {
	return &model.AllocListStub{
		ID: a.ID, EvalID: a.EvalID, Name: a.Name, Namespace: a.Namespace, NodeID: a.NodeID, NodeName: a.NodeName,
		JobID: a.JobID, JobVersion: a.JobVersion, TaskGroup: a.TaskGroup, DesiredStatus: a.DesiredStatus,
		DesiredDescription: a.DesiredDescription, ClientStatus: a.ClientStatus, PreemptedByAllocation: a.PreemptedByAllocation,
		CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex, CreateTime: a.CreateTime, ModifyTime: a.ModifyTime,
	}
}
