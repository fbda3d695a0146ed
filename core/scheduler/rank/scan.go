package rank

import (
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// scan looks at more nodes: at all of them, or until a batch of feasible ones has been added.
func (p *Placer) scan() {
	if p.scanned >= len(p.at) {
		return
	}
	if p.full {
		p.scanAll()
		return
	}
	for found := 0; found < p.batch && p.scanned < len(p.at); p.scanned++ {
		num := fleet.Num((p.start + p.scanned*p.step) % len(p.at))
		if p.at[num] != 0 {
			continue
		}
		nodes, use, i := p.Draft.Row(num)
		if p.look(num, nodes, use, i) {
			found++
		}
	}
}

// scanAll goes through the columns in their order and puts the heaps in order once at the end.
func (p *Placer) scanAll() {
	if p.candidates == nil {
		p.candidates = make([]candidate, 0, p.Draft.Count())
	}
	for page := range p.Draft.Pages() {
		nodes, use := p.Draft.Page(page)
		first := page * fleet.PageSize
		for i := range uint32(min(fleet.PageSize, len(p.at)-first)) {
			num := fleet.Num(first) + fleet.Num(i)
			if p.at[num] != 0 || !p.Rules.CandidateRow(nodes, i) {
				continue
			}
			p.evaluated++
			if v := p.Rules.CheckRow(num, nodes, use, i); v != feasible.OK {
				p.at[num] = -int32(v)
				p.count(v, 1)
				continue
			}
			k := p.candidate(num, nodes, use, i)
			p.heapOf(&p.candidates[k]).append(p.candidates, k)
		}
	}
	for _, b := range p.buckets.list {
		for h := range b.heaps {
			b.heaps[h].fix(p.candidates)
		}
	}
	p.scanned = len(p.at)
}

// look checks one node that has not been looked at and tells whether it became a candidate.
func (p *Placer) look(num fleet.Num, nodes *fleet.Nodes, use *fleet.Use, i uint32) bool {
	if !p.Rules.CandidateRow(nodes, i) {
		return false
	}
	p.evaluated++
	if v := p.Rules.CheckRow(num, nodes, use, i); v != feasible.OK {
		p.at[num] = -int32(v)
		p.count(v, 1)
		return false
	}
	k := p.candidate(num, nodes, use, i)
	p.heapOf(&p.candidates[k]).push(p.candidates, k)
	return true
}

// candidate adds a feasible node, scored but in no heap yet.
func (p *Placer) candidate(num fleet.Num, nodes *fleet.Nodes, use *fleet.Use, i uint32) int32 {
	c := candidate{num: uint32(num), tie: p.tie(num), pos: -1, bucket: p.buckets.of(nodes, i)}
	if len(p.same) > 0 {
		c.same = p.same[num]
	}
	if len(p.affinities.list) > 0 {
		c.fixed = p.affinities.score(nodes.Node[i], nodes.Class[i])
	}
	p.score(&c, nodes, use, i)
	var k int32
	if last := len(p.free) - 1; last >= 0 {
		k = p.free[last]
		p.free = p.free[:last]
		p.candidates[k] = c
	} else {
		k = int32(len(p.candidates))
		p.candidates = append(p.candidates, c)
	}
	p.at[num] = k + 1
	return k
}

// tie mixes the row with the seed.
func (p *Placer) tie(num fleet.Num) uint32 {
	x := (uint64(num) + p.Seed) * 0x9e3779b97f4a7c15
	return uint32((x ^ x>>29) * 0xbf58476d1ce4e5b9 >> 32)
}

// score works out the terms that do not depend on other nodes.
func (p *Placer) score(c *candidate, nodes *fleet.Nodes, use *fleet.Use, i uint32) {
	ask := p.Rules.Ask.Amount(nodes.PerCore[i])
	capacity := fleet.Amount{CPU: nodes.CPU[i], Memory: nodes.Memory[i]}
	used := fleet.Amount{CPU: use.CPU[i], Memory: use.Memory[i]}
	c.sum, c.terms = packing(p.Spread, &capacity, &used, &ask), 1
	if len(p.affinities.list) > 0 {
		c.sum += c.fixed
		c.terms++
	}
	if c.same > 0 {
		c.sum += p.sameScore(c)
		c.terms++
	}
	if p.devices {
		if liked, ok := p.Rules.Ask.DeviceAffinity(nodes.Node[i], use.Exact[i]); ok {
			c.sum += liked
			c.terms++
		}
	}
}

func (p *Placer) sameScore(c *candidate) float64 {
	if c.same == 0 {
		return 0
	}
	return -float64(c.same+1) / float64(max(p.Group.Count, 1))
}

// again looks once more at a node on which something changed.
func (p *Placer) again(num fleet.Num) {
	nodes, use, i := p.Draft.Row(num)
	if p.at[num] <= 0 {
		if !p.Rules.CandidateRow(nodes, i) {
			return
		}
		if v := p.Rules.CheckRow(num, nodes, use, i); v == feasible.OK {
			p.count(feasible.Verdict(-p.at[num]), -1)
			k := p.candidate(num, nodes, use, i)
			p.heapOf(&p.candidates[k]).push(p.candidates, k)
		}
		return
	}
	k := p.at[num] - 1
	c := &p.candidates[k]
	if len(p.same) > 0 {
		c.same = p.same[num]
	}
	if v := p.Rules.Room(num, nodes, use, i); v != feasible.OK {
		p.refuse(num, v)
		return
	}
	terms := c.terms
	old := p.heapOf(c)
	p.score(c, nodes, use, i)
	switch {
	case c.pos < 0:
		p.heapOf(c).push(p.candidates, k)
	case c.terms == terms:
		old.update(p.candidates, c.pos)
	default:
		old.remove(p.candidates, c.pos)
		p.heapOf(c).push(p.candidates, k)
	}
}

// refuse makes a candidate a node that will not do.
func (p *Placer) refuse(num fleet.Num, v feasible.Verdict) {
	k := p.at[num] - 1
	if c := &p.candidates[k]; c.pos >= 0 {
		p.heapOf(c).remove(p.candidates, c.pos)
	}
	p.free = append(p.free, k)
	p.at[num] = -int32(v)
	p.count(v, 1)
}

func (p *Placer) count(v feasible.Verdict, by int) {
	for int(v) >= len(p.refused) {
		p.refused = append(p.refused, 0)
	}
	p.refused[v] += by
}

// forget makes the next scan start from nothing: after a distinct constraint was loosened, nodes far from the one that
// changed may have become feasible.
func (p *Placer) forget() {
	clear(p.at)
	p.candidates, p.free, p.refused = p.candidates[:0], nil, nil
	for _, b := range p.buckets.list {
		for h := range b.heaps {
			b.heaps[h].list = b.heaps[h].list[:0]
		}
	}
	p.scanned, p.evaluated = 0, 0
}
