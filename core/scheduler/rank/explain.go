package rank

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// topScores is how many nodes' scores are kept.
const topScores = 5

// Failure explains why Next found no node.
func (p *Placer) Failure() *model.AllocMetric {
	m := p.counts()
	p.Rules.Elsewhere(m)
	var near feasible.Nearest
	for row, at := range p.at {
		if at >= 0 {
			continue
		}
		near.Add(p.Rules, fleet.Num(row))
		class := p.Draft.Node(fleet.Num(row)).NodeClass
		if class == "" {
			continue
		}
		if _, exhausted := p.Rules.Reason(feasible.Verdict(-at)); exhausted {
			m.ClassExhausted = bump(m.ClassExhausted, class, 1)
		} else {
			m.ClassFiltered = bump(m.ClassFiltered, class, 1)
		}
	}
	m.NearMisses = near.Report(p.Rules)
	return m
}

// counts sums up what has been looked at so far.
func (p *Placer) counts() *model.AllocMetric {
	m := p.Rules.Availability()
	m.NodesEvaluated = p.evaluated
	for v, n := range p.refused {
		if n == 0 {
			continue
		}
		text, exhausted := p.Rules.Reason(feasible.Verdict(v))
		if exhausted {
			m.NodesExhausted += n
			m.DimensionExhausted = bump(m.DimensionExhausted, text, n)
			continue
		}
		m.NodesFiltered += n
		m.ConstraintFiltered = bump(m.ConstraintFiltered, text, n)
	}
	return m
}

func bump(m map[string]int, key string, by int) map[string]int {
	if m == nil {
		m = map[string]int{}
	}
	m[key] += by
	return m
}

// explain records the counts and the best scores before a placement.
func (p *Placer) explain(avoid []string) *model.AllocMetric {
	m := p.counts()
	penalised := map[uint32]bool{}
	for _, id := range avoid {
		if num, ok := p.Draft.Number(id); ok {
			penalised[uint32(num)] = true
		}
	}
	final := func(k int32) float64 {
		c := &p.candidates[k]
		boost := p.buckets.list[c.bucket].boost
		if penalised[c.num] {
			return mean(c.sum-1, int(c.terms)+1, boost)
		}
		return mean(c.sum, int(c.terms), boost)
	}
	order := func(a, b int32) int {
		if c := cmp.Compare(final(b), final(a)); c != 0 {
			return c
		}
		return cmp.Compare(p.candidates[a].tie, p.candidates[b].tie)
	}
	top := make([]int32, 0, topScores+1)
	for k := range p.candidates {
		if p.candidates[k].pos < 0 {
			continue
		}
		if len(top) == topScores && order(int32(k), top[topScores-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(top, int32(k), order)
		top = slices.Insert(top, at, int32(k))
		top = top[:min(len(top), topScores)]
	}
	for _, k := range top {
		m.ScoreMetaData = append(m.ScoreMetaData, &model.NodeScore{
			NodeID: p.Draft.Node(fleet.Num(p.candidates[k].num)).ID, NormScore: final(k),
			Scores: p.terms(k, penalised[p.candidates[k].num]),
		})
	}
	return m
}

// terms lists a candidate's terms by name; those that always apply are there with 0 too.
func (p *Placer) terms(k int32, penalised bool) map[string]float64 {
	c := &p.candidates[k]
	out := map[string]float64{termPack: c.sum, termSame: p.sameScore(c), termPenalty: 0}
	out[termPack] -= out[termSame]
	if penalised {
		out[termPenalty] = -1
	}
	if len(p.affinities.list) > 0 {
		out[termAffinity] = c.fixed
		out[termPack] -= c.fixed
	}
	if p.devices {
		num := fleet.Num(c.num)
		if liked, ok := p.Rules.Ask.DeviceAffinity(p.Draft.Node(num), p.Draft.Exact(num)); ok {
			out[termDevices] = liked
			out[termPack] -= liked
		}
	}
	if len(p.buckets.spreads) > 0 {
		out[termSpread] = p.buckets.list[c.bucket].boost
	}
	return out
}
