package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
)

// Several workers plan on one and the same snapshot and their plans are committed in any order, node by node, as far as
// they still fit: no node is over-committed, and the first plan is accepted whole.
func TestPlansOnOneSnapshot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		for i := range rapid.IntRange(1, 4).Draw(rt, "nodes") {
			w.node(propertyNode(rt, i))
		}
		for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			var plans []*model.Plan
			for i := range rapid.IntRange(2, 5).Draw(rt, "workers") {
				j := propertyJob(rt, rapid.SampledFrom([]string{model.JobTypeService, model.JobTypeBatch}).Draw(rt, "type"), 0)
				j.ID = fmt.Sprintf("job-%d", w.ids+i)
				w.job(j)
				plans = append(plans, w.process(w.eval(j), rapid.Uint64().Draw(rt, "seed")).Plan)
			}
			for i, p := range rapid.Permutation(plans).Draw(rt, "order") {
				if refused := w.commitWhatFits(p); i == 0 && refused > 0 {
					rt.Fatalf("the first plan is refused on %d nodes of the snapshot it was made on", refused)
				}
				overcommit(rt, w)
			}
		}
	})
}

// commitWhatFits stores a plan's placements on the nodes that still have room, as the plan applier does, and returns on
// how many they have none.
func (w *world) commitWhatFits(p *model.Plan) (refused int) {
	draft := w.Fleet().Draft()
	for _, node := range slices.Sorted(maps.Keys(p.NodeAllocation)) {
		if ok, _ := feasible.CheckDraft(draft, node, nil, p.NodeAllocation[node]); !ok {
			refused++
			continue
		}
		w.index++
		for _, a := range p.NodeAllocation[node] {
			a.CreateIndex = w.index
			w.set(a)
		}
	}
	return refused
}
