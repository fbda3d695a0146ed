package rank

import (
	"math/bits"
	"math/rand/v2"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Config is what a Placer works with. Draft and Rules must belong together.
type Config struct {
	Draft *fleet.Draft
	Rules *feasible.Rules
	Job   *model.Job
	Group *model.TaskGroup

	// Spread fills the emptiest nodes first instead of the fullest.
	Spread bool

	// Seed breaks ties, chooses where a bounded scan begins and which dynamic ports are given.
	Seed uint64

	// Placements is how many calls of Next are expected.
	Placements int

	// Sample is how many feasible nodes are looked at for one placement of a group with affinities or spreads when not
	// the whole fleet is (the operator's node_limit_for_feasibility_checks); 0 stands for 100.
	Sample int
}

// Wish is what one placement asks for beyond the group's rules.
type Wish struct {
	// Avoid lists nodes on which an earlier instance failed: they get a penalty.
	Avoid []string
	// Prefer names the node that is taken if at all possible: the one with the sticky disk.
	Prefer string
}

// Choice is where an instance goes.
type Choice struct {
	Node      *model.Node
	Resources *model.AllocatedResources
	Score     float64
	// Metrics explains the group's first placement of this Placer; all choices share it.
	Metrics *model.AllocMetric
}

// fullScan is the number of rows up to which a fleet is always scanned whole: it costs less than worse placements.
const fullScan = 512

// Placer places the instances of one group. What it places, it takes in the draft.
type Placer struct {
	Config
	rng        *rand.Rand
	affinities affinities
	buckets    *buckets
	devices    bool
	candidates []candidate
	free       []int32 // candidates' places that may be used again
	at         []int32 // by row: 0 not looked at, k+1 candidate k, -v refused with verdict v
	same       map[fleet.Num]int32
	scanned    int
	full       bool
	batch      int // feasible nodes to add for one placement
	step       int // bounded scan: from row start in steps that meet every row
	start      int
	refused    []int // nodes by verdict
	evaluated  int
	metrics    *model.AllocMetric
}

// New returns a Placer. Allocations of the job that stay where they are must be told with Stays before the first Next.
func New(c Config) *Placer {
	rows, classes := c.Draft.Rows(), c.Draft.Classes()
	p := &Placer{
		Config: c, rng: rand.New(rand.NewPCG(c.Seed, 0x9e3779b97f4a7c15)),
		affinities: newAffinities(c.Job, c.Group, classes),
		buckets:    newBuckets(newSpreads(c.Job, c.Group, classes), classes),
		at:         make([]int32, rows),
		batch:      max(32, 2*bits.Len(uint(rows))),
	}
	for _, t := range c.Group.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, d := range t.Resources.Devices {
			p.devices = p.devices || len(d.Affinities) > 0
		}
	}
	if len(p.affinities.list) > 0 || len(p.buckets.spreads) > 0 || p.devices {
		sample := c.Sample
		if sample <= 0 {
			sample = 100
		}
		p.batch = max(sample, c.Placements)
	}
	p.full = rows <= fullScan || c.Placements*p.batch >= rows
	if !p.full {
		p.start = p.rng.IntN(rows)
		p.step = coprime(rows, p.rng)
	}
	return p
}

// coprime returns a step that meets every row of a ring of n.
func coprime(n int, rng *rand.Rand) int {
	for {
		step := 1 + rng.IntN(n-1)
		a, b := n, step
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return step
		}
	}
}

// Stays tells that an allocation of the job is and remains on a node. sameGroup tells whether it is of this group.
func (p *Placer) Stays(nodeID string, sameGroup bool) {
	num, ok := p.Draft.Number(nodeID)
	if !ok {
		return
	}
	p.Rules.Count(num, sameGroup, 1)
	if sameGroup {
		p.countSame(num, 1)
	}
}

// Frees tells that an allocation of the job, which Stays or Next had put on a node, is no longer there; Returns that it
// is there after all. The draft must hold the change already.
func (p *Placer) Frees(nodeID string, sameGroup bool) { p.recount(nodeID, sameGroup, -1) }

// Returns takes a Frees back.
func (p *Placer) Returns(nodeID string, sameGroup bool) { p.recount(nodeID, sameGroup, 1) }

func (p *Placer) recount(nodeID string, sameGroup bool, by int) {
	num, ok := p.Draft.Number(nodeID)
	if !ok {
		return
	}
	p.Rules.Count(num, sameGroup, by)
	if sameGroup {
		p.countSame(num, int32(by))
	}
	if by < 0 && p.Rules.Distinct() {
		p.forget()
		return
	}
	if p.at[num] != 0 {
		p.again(num)
	}
}

func (p *Placer) countSame(num fleet.Num, by int32) {
	if p.same == nil {
		p.same = map[fleet.Num]int32{}
	}
	p.same[num] += by
	if len(p.buckets.spreads) > 0 {
		nodes, _, i := p.Draft.Row(num)
		if nodes.Node[i] != nil {
			p.buckets.add(p.buckets.of(nodes, i), int(by))
		}
	}
}

// Next places one more instance. It is false when no node will have it; Failure then says why.
func (p *Placer) Next(w Wish) (Choice, bool) {
	if c, ok := p.prefer(w.Prefer); ok {
		return c, true
	}
	p.scan()
	for {
		k, score, ok := p.best(w.Avoid)
		if !ok {
			if p.scanned >= len(p.at) {
				return Choice{}, false
			}
			p.scan()
			continue
		}
		if p.metrics == nil {
			p.metrics = p.explain(w.Avoid)
		}
		if c, ok := p.place(fleet.Num(p.candidates[k].num), score); ok {
			return c, true
		}
	}
}

// prefer places on one node without looking at others.
func (p *Placer) prefer(nodeID string) (Choice, bool) {
	if nodeID == "" {
		return Choice{}, false
	}
	return p.On(nodeID)
}

// On places one more instance on a certain node, if it will have it.
func (p *Placer) On(nodeID string) (Choice, bool) {
	num, ok := p.Draft.Number(nodeID)
	if !ok || !p.Rules.Candidate(num) {
		return Choice{}, false
	}
	if p.at[num] == 0 {
		nodes, use, i := p.Draft.Row(num)
		p.look(num, nodes, use, i)
	} else {
		p.again(num)
	}
	if p.at[num] <= 0 || p.Rules.Check(num) != feasible.OK {
		return Choice{}, false
	}
	p.buckets.rate()
	if p.metrics == nil {
		p.metrics = p.explain(nil)
	}
	return p.place(num, p.final(&p.candidates[p.at[num]-1]))
}

// Rate scores a node as it is in the draft, whether or not it is feasible, as the sum of its terms and their number.
// Which nodes to avoid is not asked.
func (p *Placer) Rate(num fleet.Num) (sum float64, terms int) {
	nodes, use, i := p.Draft.Row(num)
	c := candidate{num: uint32(num), bucket: p.buckets.of(nodes, i), same: p.same[num]}
	if len(p.affinities.list) > 0 {
		c.fixed = p.affinities.score(nodes.Node[i], nodes.Class[i])
	}
	p.score(&c, nodes, use, i)
	p.buckets.rate()
	if boost := p.buckets.list[c.bucket].boost; boost != 0 {
		return c.sum + boost, int(c.terms) + 1
	}
	return c.sum, int(c.terms)
}

// place takes a candidate.
func (p *Placer) place(num fleet.Num, score float64) (Choice, bool) {
	out, why := p.Rules.Place(num, p.rng)
	if why != "" {
		p.refuse(num, p.Rules.Verdict(why))
		return Choice{}, false
	}
	p.Rules.Count(num, true, 1)
	k := p.at[num] - 1
	p.buckets.add(p.candidates[k].bucket, 1)
	if p.same == nil {
		p.same = make(map[fleet.Num]int32, p.Placements)
	}
	p.same[num]++
	p.again(num)
	return Choice{Node: p.Draft.Node(num), Resources: out, Score: score, Metrics: p.metrics}, true
}

// best returns the candidate with the highest final score and keeps the heaps free of nodes that a distinct constraint
// has closed meanwhile.
func (p *Placer) best(avoid []string) (int32, float64, bool) {
	p.buckets.rate()
	avoided := p.setAside(avoid)
	defer p.putBack(avoided)
	best, bestScore := int32(-1), 0.0
	consider := func(k int32, score float64) {
		if best < 0 || score > bestScore || score == bestScore && p.candidates[k].tie < p.candidates[best].tie {
			best, bestScore = k, score
		}
	}
	for _, b := range p.buckets.list {
		for h := range b.heaps {
			if k, ok := p.top(&b.heaps[h]); ok {
				consider(k, mean(p.candidates[k].sum, int(p.candidates[k].terms), b.boost))
			}
		}
	}
	for _, k := range avoided {
		if p.open(k) {
			c := &p.candidates[k]
			consider(k, mean(c.sum-1, int(c.terms)+1, p.buckets.list[c.bucket].boost))
		}
	}
	return best, bestScore, best >= 0
}

// top returns the best of a heap.
func (p *Placer) top(h *heap) (int32, bool) {
	for len(h.list) > 0 {
		k := h.list[0]
		if p.open(k) {
			return k, true
		}
	}
	return 0, false
}

// open tells whether a candidate is still feasible, and drops it if not. Only distinct constraints can close a node on
// which nothing was placed.
func (p *Placer) open(k int32) bool {
	if !p.Rules.Distinct() {
		return true
	}
	num := fleet.Num(p.candidates[k].num)
	nodes, use, i := p.Draft.Row(num)
	v := p.Rules.Room(num, nodes, use, i)
	if v != feasible.OK {
		p.refuse(num, v)
	}
	return v == feasible.OK
}

// setAside takes the nodes to avoid out of their heaps; they are compared with their penalty.
func (p *Placer) setAside(avoid []string) []int32 {
	var out []int32
	for _, id := range avoid {
		num, ok := p.Draft.Number(id)
		if !ok || p.at[num] <= 0 {
			continue
		}
		k := p.at[num] - 1
		if c := &p.candidates[k]; c.pos >= 0 {
			p.heapOf(c).remove(p.candidates, c.pos)
			out = append(out, k)
		}
	}
	return out
}

func (p *Placer) putBack(aside []int32) {
	for _, k := range aside {
		if c := &p.candidates[k]; c.pos < 0 && p.at[c.num] == k+1 {
			p.heapOf(c).push(p.candidates, k)
		}
	}
}

func (p *Placer) heapOf(c *candidate) *heap { return &p.buckets.list[c.bucket].heaps[c.terms-1] }

// final is a candidate's score without penalty.
func (p *Placer) final(c *candidate) float64 {
	return mean(c.sum, int(c.terms), p.buckets.list[c.bucket].boost)
}

// mean is the normalized score: a spread boost of zero does not count as a term.
func mean(sum float64, terms int, boost float64) float64 {
	if boost != 0 {
		sum, terms = sum+boost, terms+1
	}
	return sum / float64(terms)
}
