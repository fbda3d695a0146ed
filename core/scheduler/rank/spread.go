package rank

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// absent is the value number of nodes that lack a spread's attribute.
const absent = -1

// spread is one spread block: how many instances lie on each value of its attribute, and how welcome the next one is.
type spread struct {
	target  feasible.Target
	weight  float64 // share of all spreads' weights
	even    bool    // no targets: all values alike
	desired []float64
	rest    float64 // instances wanted on values without a target of their own
	hasRest bool
	wanted  map[string]float64
	ids     map[string]int32
	counts  []int
	class   []int32 // value number per class; unasked: not asked yet; nil when the attribute is unique
	boosts  []float64
	missing float64
}

const unasked = -2

// newSpreads compiles the job's and the group's spreads.
func newSpreads(job *model.Job, g *model.TaskGroup, classes int) []*spread {
	var out []*spread
	var weights float64
	for _, list := range [][]model.Spread{job.Spreads, g.Spreads} {
		for _, s := range list {
			out = append(out, newSpread(s, g.Count, classes))
			weights += float64(s.Weight)
		}
	}
	for _, s := range out {
		if weights > 0 {
			s.weight /= weights
		}
	}
	return out
}

func newSpread(s model.Spread, count, classes int) *spread {
	out := &spread{
		target: feasible.ParseTarget(s.Attribute), weight: float64(s.Weight), even: len(s.SpreadTarget) == 0,
		wanted: map[string]float64{}, ids: map[string]int32{},
	}
	percent := 0
	for _, t := range s.SpreadTarget {
		percent += int(t.Percent)
		if t.Value == "*" {
			out.rest, out.hasRest = float64(t.Percent)/100*float64(count), true
			continue
		}
		out.wanted[t.Value] = float64(t.Percent) / 100 * float64(count)
	}
	if percent < 100 && !out.hasRest {
		out.rest, out.hasRest = float64(100-percent)/100*float64(count), true
	}
	if !out.target.Unique() {
		out.class = make([]int32, classes)
		for i := range out.class {
			out.class[i] = unasked
		}
	}
	return out
}

// value returns the number of the node's value.
func (s *spread) value(n *model.Node, class uint32) int32 {
	if s.class != nil && s.class[class] != unasked {
		return s.class[class]
	}
	id := int32(absent)
	if v, ok := s.target.Value(n); ok {
		id = s.number(v)
	}
	if s.class != nil {
		s.class[class] = id
	}
	return id
}

func (s *spread) number(v string) int32 {
	if id, ok := s.ids[v]; ok {
		return id
	}
	id := int32(len(s.counts))
	s.ids[v] = id
	s.counts = append(s.counts, 0)
	want, ok := s.wanted[v]
	switch {
	case ok:
	case s.hasRest:
		want = s.rest
	default:
		want = noTarget
	}
	s.desired = append(s.desired, want)
	return id
}

// noTarget marks a value that no target covers.
const noTarget = -1

func (s *spread) add(value int32, by int) {
	if value != absent {
		s.counts[value] += by
	}
}

// rate works out the boost of every value for the next placement.
func (s *spread) rate() {
	for len(s.boosts) < len(s.counts) {
		s.boosts = append(s.boosts, 0)
	}
	if s.even {
		s.rateEven()
	} else {
		s.rateTargets()
	}
}

func (s *spread) rateTargets() {
	s.missing = -1
	lowest := -1.0
	for v, want := range s.desired {
		switch {
		case want == noTarget:
			s.boosts[v] = -1
		case want > 0:
			s.boosts[v] = (want - float64(s.counts[v]+1)) / want * s.weight
			lowest = min(lowest, s.boosts[v])
		}
	}
	for v, want := range s.desired {
		if want == 0 {
			s.boosts[v] = lowest
		}
	}
}

// rateEven compares every value with the least and the most used ones.
func (s *spread) rateEven() {
	least, most := 0, 0
	for _, n := range s.counts {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
		most = max(most, n)
	}
	s.missing = -1
	if most == 0 {
		s.missing = 0
		for v := range s.boosts {
			s.boosts[v] = 0
		}
		return
	}
	for v, n := range s.counts {
		switch {
		case n != least:
			s.boosts[v] = float64(least-n) / float64(least)
		case least == most:
			s.boosts[v] = -1
		default:
			s.boosts[v] = float64(most-least) / float64(least)
		}
	}
}

func (s *spread) boost(value int32) float64 {
	if value == absent {
		return s.missing
	}
	return s.boosts[value]
}

// bucket is the set of nodes with the same value for every spread. Its nodes get the same boost, so the best of them is
// on top of one of its heaps: one heap per number of score terms, because the mean over more terms weighs a boost less.
type bucket struct {
	values []int32
	boost  float64
	heaps  [maxTerms]heap
}

// buckets finds the bucket of a node.
type buckets struct {
	spreads []*spread
	list    []*bucket
	ids     map[[2]int32]int32 // (bucket of the spreads before, value) -> bucket; -1 before the first
	class   []int32
	scratch []int32
}

func newBuckets(spreads []*spread, classes int) *buckets {
	b := &buckets{spreads: spreads, ids: map[[2]int32]int32{}, scratch: make([]int32, len(spreads))}
	if len(spreads) == 0 {
		b.list = []*bucket{{}}
		return b
	}
	cached := true
	for _, s := range spreads {
		cached = cached && s.class != nil
	}
	if cached {
		b.class = make([]int32, classes)
		for i := range b.class {
			b.class[i] = unasked
		}
	}
	return b
}

func (b *buckets) of(nodes *fleet.Nodes, i uint32) int32 {
	if len(b.spreads) == 0 {
		return 0
	}
	class := nodes.Class[i]
	if b.class != nil && b.class[class] != unasked {
		return b.class[class]
	}
	for k, s := range b.spreads {
		b.scratch[k] = s.value(nodes.Node[i], class)
	}
	id := b.find(b.scratch)
	if b.class != nil {
		b.class[class] = id
	}
	return id
}

// find walks the values as a path. Inner steps of the path have negative numbers, the last one is the bucket.
func (b *buckets) find(values []int32) int32 {
	at := int32(0)
	for k, v := range values {
		key := [2]int32{at, v}
		next, ok := b.ids[key]
		if !ok {
			if k == len(values)-1 {
				next = int32(len(b.list))
				b.list = append(b.list, &bucket{values: append([]int32(nil), values...)})
			} else {
				next = -int32(len(b.ids)) - 1
			}
			b.ids[key] = next
		}
		at = next
	}
	return at
}

// rate works out the boost of every bucket for the next placement.
func (b *buckets) rate() {
	if len(b.spreads) == 0 {
		return
	}
	for _, s := range b.spreads {
		s.rate()
	}
	for _, one := range b.list {
		one.boost = 0
		for k, s := range b.spreads {
			one.boost += s.boost(one.values[k])
		}
	}
}

// add counts an instance on a bucket's values.
func (b *buckets) add(id int32, by int) {
	for k, s := range b.spreads {
		s.add(b.list[id].values[k], by)
	}
}
