package feasible

import (
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Reason is the text of a verdict, as users know it. Exhausted tells whether it is about room rather than about what the
// node is.
func (r *Rules) Reason(v Verdict) (text string, exhausted bool) {
	return r.reasons.list[v].text, r.reasons.list[v].exhausted
}

// Verdict returns the verdict for a dimension that Place named.
func (r *Rules) Verdict(dimension string) Verdict { return r.reasons.verdict(dimension, true) }

// Availability counts the nodes that placements could go to at all: those in the pool that are ready, and per datacenter
// those that the job's datacenters match. A datacenter that the job names without a glob is listed with 0 as well.
func (r *Rules) Availability() *model.AllocMetric {
	m := &model.AllocMetric{NodePool: poolOf(r.job), NodesAvailable: map[string]int{}}
	for _, glob := range r.job.Datacenters {
		if !strings.Contains(glob, "*") {
			m.NodesAvailable[glob] = 0
		}
	}
	perDC := make([]int, len(r.dc))
	for page := range r.draft.Pages() {
		nodes, _ := r.draft.Page(page)
		for i, flags := range nodes.Flags {
			if flags&fleet.Ready == 0 || !r.InPool(nodes, uint32(i)) {
				continue
			}
			m.NodesInPool++
			perDC[nodes.DC[i]]++
		}
	}
	for dc, n := range perDC {
		if n > 0 && r.dc[dc] {
			m.NodesAvailable[r.draft.Datacenter(uint32(dc))] = n
		}
	}
	return m
}

// Escaped tells whether feasibility depends on more than computed classes.
func (r *Rules) Escaped() bool { return r.escaped }

// Eligibility adds what is known of classes: true for one that the group could run on, were there room. A class that
// another group of the evaluation could run on stays true.
func (r *Rules) Eligibility(into map[string]bool) {
	for class := range r.classJob {
		job, group := r.classJob[class], r.classGroup[class]
		name := r.draft.ClassName(uint32(class))
		switch {
		case job == unasked || name == "":
		case job != OK:
			into[name] = into[name] || false
		case group == unasked:
		case group == OK && r.configs != nil && r.configs.classes[class] != unasked:
			into[name] = into[name] || r.configs.classes[class] == OK
		default:
			into[name] = into[name] || group == OK
		}
	}
}

// Elsewhere completes Availability for a failure: the ready nodes of the pool by datacenters that the job's do not match,
// and the nodes of the pool and datacenters that take no allocations, by why.
func (r *Rules) Elsewhere(m *model.AllocMetric) {
	for page := range r.draft.Pages() {
		nodes, _ := r.draft.Page(page)
		for i, n := range nodes.Node {
			if n == nil || !r.InPool(nodes, uint32(i)) {
				continue
			}
			ready, here := nodes.Flags[i]&fleet.Ready != 0, r.dc[nodes.DC[i]]
			if ready && !here {
				m.NodesElsewhere = count(m.NodesElsewhere, n.Datacenter)
			}
			if !ready && here {
				m.NodesNotReady = count(m.NodesNotReady, unready(n))
			}
		}
	}
}

func count(m map[string]int, key string) map[string]int {
	if m == nil {
		m = map[string]int{}
	}
	m[key]++
	return m
}

// unready says why a node takes no allocations.
func unready(n *model.Node) string {
	switch {
	case n.Status != model.NodeStatusReady:
		return n.Status
	case n.DrainStrategy != nil:
		return "draining"
	}
	return "ineligible"
}
