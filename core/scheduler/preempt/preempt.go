// Package preempt chooses which allocations of less important jobs to evict so that a group fits on a node.
// It asks the same rules as everything else whether the group fits, so it knows nothing of
// dimensions beyond which allocations hold some of the one that is short.
package preempt

import (
	"math"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Margin is by how much a victim's priority must at least be lower.
const Margin = 10

// overParallel is what each victim beyond its group's migrate.max_parallel adds to its distance.
const overParallel = 50

// Victim is an allocation that could be evicted.
type Victim struct {
	Alloc    *model.Allocation
	Priority int // of its job

	// Beyond is how many of its group would then have been evicted by the plan beyond migrate.max_parallel; 0 when the
	// group says nothing.
	Beyond int
}

// Search looks for victims on one node. The draft must be that of the rules.
type Search struct {
	Draft   *fleet.Draft
	Rules   *feasible.Rules
	Node    fleet.Num
	Victims []Victim // all that have a low enough priority; of other jobs only
}

// Find evicts until the group fits and returns whom. The draft then holds the evictions. When nothing helps, it returns
// nil and the draft is as before.
func (s Search) Find() []Victim {
	left := append([]Victim(nil), s.Victims...)
	var chosen []Victim
	for {
		verdict := s.Rules.Check(s.Node)
		if verdict == feasible.OK {
			return s.spare(chosen)
		}
		short, exhausted := s.Rules.Reason(verdict)
		best := -1
		if exhausted {
			best = s.next(left, short)
		}
		if best < 0 {
			for _, v := range chosen {
				s.Draft.Take(s.Node, v.Alloc.AllocatedResources)
			}
			return nil
		}
		s.Draft.Release(s.Node, left[best].Alloc.AllocatedResources)
		chosen = append(chosen, left[best])
		left = append(left[:best], left[best+1:]...)
	}
}

// next returns the victim to evict next: of the lowest priority, the one whose size comes closest to what is asked for.
func (s Search) next(left []Victim, short string) int {
	nodes, _, i := s.Draft.Row(s.Node)
	ask := s.Rules.Ask.Amount(nodes.PerCore[i])
	best, bestDistance := -1, 0.0
	for k, v := range left {
		if !s.helps(v.Alloc.AllocatedResources, short) {
			continue
		}
		d := distance(ask, v.Alloc.AllocatedResources.Comparable()) + float64(overParallel*max(v.Beyond, 0))
		switch {
		case best >= 0 && v.Priority > left[best].Priority:
		case best < 0 || v.Priority < left[best].Priority || d < bestDistance:
			best, bestDistance = k, d
		}
	}
	return best
}

// helps tells whether an allocation holds some of what is short.
func (s Search) helps(r *model.AllocatedResources, short string) bool {
	c := r.Comparable()
	switch {
	case short == "cpu":
		return c.CPUShares > 0
	case short == "memory":
		return c.MemoryMB > 0
	case short == "disk":
		return c.DiskMB > 0
	case short == "cores":
		return len(c.Cores) > 0
	case strings.HasPrefix(short, "devices: "):
		for _, t := range r.Tasks {
			if len(t.Devices) > 0 {
				return true
			}
		}
		return false
	case strings.HasPrefix(short, "network: "):
		return s.holdsPort(r, short)
	}
	return true
}

// holdsPort tells whether an allocation holds the static port that collides, or any port when dynamic ones ran out.
func (s Search) holdsPort(r *model.AllocatedResources, short string) bool {
	for _, p := range r.Shared.Ports {
		if s.Rules.Ask.WantsPort(p.Value) || !strings.Contains(short, "collision") {
			return true
		}
	}
	for _, t := range r.Tasks {
		for _, n := range t.Networks {
			for _, p := range append(append([]model.Port(nil), n.ReservedPorts...), n.DynamicPorts...) {
				if s.Rules.Ask.WantsPort(p.Value) || !strings.Contains(short, "collision") {
					return true
				}
			}
		}
	}
	return false
}

// spare puts back every victim without which the group fits as well, the most important first.
func (s Search) spare(chosen []Victim) []Victim {
	var out []Victim
	for k := len(chosen) - 1; k >= 0; k-- {
		v := chosen[k]
		s.Draft.Take(s.Node, v.Alloc.AllocatedResources)
		if s.Rules.Check(s.Node) != feasible.OK {
			s.Draft.Release(s.Node, v.Alloc.AllocatedResources)
			out = append(out, v)
		}
	}
	return out
}

// distance says how far an allocation's size is from what is asked for, each dimension relative to the ask.
func distance(ask fleet.Amount, has model.ComparableResources) float64 {
	part := func(want, have int64) float64 {
		if want <= 0 {
			return 0
		}
		d := float64(want-have) / float64(want)
		return d * d
	}
	return math.Sqrt(part(ask.Memory, has.MemoryMB) + part(ask.CPU, has.CPUShares) + part(ask.Disk, has.DiskMB))
}

// Score rates a set of victims, 0..1: the less important they are, the better.
func Score(victims []Victim) float64 {
	highest, sum := 0, 0
	for _, v := range victims {
		highest, sum = max(highest, v.Priority), sum+v.Priority
	}
	if highest == 0 {
		return 1
	}
	net := float64(highest) + float64(sum)/float64(highest)
	return 1 / (1 + math.Exp(0.0048*(net-2048)))
}
