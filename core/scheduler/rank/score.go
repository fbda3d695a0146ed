package rank

import (
	"math"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Names of the score terms.
const (
	termPack     = "binpack"
	termDevices  = "devices"
	termSame     = "job-anti-affinity"
	termPenalty  = "node-reschedule-penalty"
	termAffinity = "node-affinity"
	termSpread   = "allocation-spread"
)

// maxPack is the largest value of the packing formula, by which it is divided.
const maxPack = 18

// packing rates how full a node is with the new instance on it: 1 for the node that is filled exactly, 0 for an empty
// one; the other way round when the algorithm is to spread.
func packing(spread bool, capacity, used, ask *fleet.Amount) float64 {
	sum := exp10(free(capacity.CPU, used.CPU+ask.CPU)) + exp10(free(capacity.Memory, used.Memory+ask.Memory))
	score := 20 - sum
	if spread {
		score = sum - 2
	}
	return min(max(score, 0), maxPack) / maxPack
}

func free(capacity, used int64) float64 {
	if capacity <= 0 {
		return 0
	}
	return 1 - float64(used)/float64(capacity)
}

func exp10(x float64) float64 { return math.Exp(x * math.Ln10) }

// affinities rates how far a node is liked. Answers of nodes of one class are kept unless an affinity names a unique
// property.
type affinities struct {
	list    []affinity
	weights float64
	unique  bool
	class   []float64 // NaN: not asked yet
}

type affinity struct {
	feasible.Condition
	weight float64
}

func newAffinities(job *model.Job, g *model.TaskGroup, classes int) affinities {
	var out affinities
	add := func(list []model.Affinity) {
		for _, a := range list {
			one := affinity{feasible.NewCondition(a.LTarget, a.Operand, a.RTarget), float64(a.Weight)}
			out.list = append(out.list, one)
			out.weights += math.Abs(one.weight)
			out.unique = out.unique || one.Unique()
		}
	}
	add(job.Affinities)
	add(g.Affinities)
	for _, t := range g.Tasks {
		add(t.Affinities)
	}
	if len(out.list) > 0 && !out.unique {
		out.class = make([]float64, classes)
		for i := range out.class {
			out.class[i] = math.NaN()
		}
	}
	return out
}

// score is -1..1.
func (a *affinities) score(n *model.Node, class uint32) float64 {
	if a.class != nil && !math.IsNaN(a.class[class]) {
		return a.class[class]
	}
	var sum float64
	for _, one := range a.list {
		if one.Holds(n) {
			sum += one.weight
		}
	}
	if a.weights > 0 {
		sum /= a.weights
	}
	if a.class != nil {
		a.class[class] = sum
	}
	return sum
}
