package scheduler

import (
	"math/rand/v2"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/core/scheduler/preempt"
	"github.com/droverhq/drover/core/scheduler/reconcile"
)

// countDistinct tells the rules of groups with distinct constraints where the job's allocations are.
func (r *run) countDistinct() {
	for key, rules := range r.rules.rules {
		if !rules.Distinct() {
			continue
		}
		for _, a := range r.allocs {
			if num, ok := r.fleet.Number(a.NodeID); ok && !a.Terminal() && !r.stopped[a.ID] {
				rules.Count(num, a.TaskGroup == key.group, 1)
			}
		}
	}
}

// placeOn puts one instance of a system or sysbatch job on the node it is for.
func (r *run) placeOn(p *reconcile.Placement) {
	rules := r.rules.of(p.Job, p.Group)
	num, ok := r.fleet.Number(p.NodeID)
	if !ok {
		return
	}
	if p.Replaces != nil {
		r.draft.ReleaseAlloc(p.Replaces.Alloc)
		rules.Count(num, true, -1)
	}
	verdict := rules.Check(num)
	var victims []preempt.Victim
	if _, exhausted := rules.Reason(verdict); exhausted && r.mayPreempt() {
		if victims = r.search(rules, num, p.Job.Priority).Find(); victims != nil {
			verdict = feasible.OK
		}
	}
	var out *model.AllocatedResources
	if verdict == feasible.OK {
		var why string
		if out, why = rules.Place(num, rand.New(rand.NewPCG(r.Seed, uint64(num)))); why != "" {
			verdict = rules.Verdict(why)
		}
	}
	if verdict != feasible.OK {
		for _, v := range victims {
			r.draft.Take(num, v.Alloc.AllocatedResources)
		}
		r.refused(p, rules, num, verdict)
		return
	}
	for key, other := range r.rules.rules {
		other.Count(num, key.group == p.Group.Name, 1)
	}
	node := r.fleet.Node(num)
	a := r.allocation(p)
	a.NodeID, a.NodeName, a.AllocatedResources = node.ID, node.Name, out
	a.Metrics = &model.AllocMetric{NodesEvaluated: 1, NodePool: node.NodePool, NodesAvailable: map[string]int{node.Datacenter: 1}}
	r.evict(victims, a)
	r.commit(p, a)
}

// refused deals with a node that will not have an instance. For want of room, what it was to replace stays, and the
// failure is counted. What a node is (rather than what is left on it) is no failure: the job is not meant for such nodes,
// nor is what it runs there of an older version.
func (r *run) refused(p *reconcile.Placement, rules *feasible.Rules, num fleet.Num, v feasible.Verdict) {
	text, exhausted := rules.Reason(v)
	switch {
	case exhausted:
		if p.Replaces != nil {
			r.draft.Take(num, p.Replaces.Alloc.AllocatedResources)
			rules.Count(num, true, 1)
		}
		r.noRoom(p, rules, num, text)
	case p.Replaces != nil:
		r.stop(&reconcile.Stop{Alloc: p.Replaces.Alloc, Description: reconcile.NotNeeded}, "")
	}
}

// noRoom counts a node on which an instance found no room.
func (r *run) noRoom(p *reconcile.Placement, rules *feasible.Rules, num fleet.Num, dimension string) {
	group := p.Group.Name
	r.queued[group]++
	m := r.failed[group]
	if m == nil {
		m = rules.Availability()
		rules.Elsewhere(m)
		m.DimensionExhausted = map[string]int{}
		r.failed[group] = m
	} else {
		m.CoalescedFailures++
	}
	m.NodesEvaluated++
	m.NodesExhausted++
	m.DimensionExhausted[dimension]++
	if r.near == nil {
		r.near = map[string]*feasible.Nearest{}
	}
	if r.near[group] == nil {
		r.near[group] = &feasible.Nearest{}
	}
	r.near[group].Add(rules, num)
	m.NearMisses = r.near[group].Report(rules)
	if class := r.fleet.NodeByID(p.NodeID).NodeClass; class != "" {
		if m.ClassExhausted == nil {
			m.ClassExhausted = map[string]int{}
		}
		m.ClassExhausted[class]++
	}
}
