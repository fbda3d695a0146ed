package consensus

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// What is packed comes out as it went in, and what a plan's allocations share is stored once.
func TestPack(t *testing.T) {
	shared := &model.AllocatedResources{Shared: model.AllocatedSharedResources{DiskMB: 100}}
	metrics := &model.AllocMetric{NodesEvaluated: 9}
	fresh := func(i int) *model.Allocation {
		return &model.Allocation{
			ID: fmt.Sprint("a", i), Name: fmt.Sprintf("web.g[%d]", i), NodeID: fmt.Sprint("n", i%3), NodeName: fmt.Sprint("node", i%3),
			Namespace: "default", JobID: "web", TaskGroup: "g", JobVersion: 3, AllocatedResources: shared, Metrics: metrics, CreateTime: 7,
		}
	}
	all := map[string][]*model.Allocation{}
	put := func(a *model.Allocation) { all[a.NodeID] = append(all[a.NodeID], a) }
	for i := range 10 {
		put(fresh(i))
	}
	other := fresh(10)
	other.TaskGroup = "h"
	put(other)
	ports := fresh(11)
	ports.AllocatedResources = &model.AllocatedResources{Shared: model.AllocatedSharedResources{DiskMB: 100, Ports: []model.AllocatedPort{{Value: 80}}}}
	put(ports)
	replaces := fresh(12)
	replaces.PreviousAllocation = "before"
	put(replaces)
	evicts := fresh(13)
	evicts.PreemptedAllocations = []string{"victim"}
	put(evicts)

	sets, rest := Pack(all)
	if len(sets) != 3 || len(sets[0].Each)+len(sets[1].Each)+len(sets[2].Each) != 13 {
		t.Errorf("%d sets: %+v", len(sets), sets)
	}
	if len(rest) != 1 || len(rest[evicts.NodeID]) != 1 || rest[evicts.NodeID][0] != evicts {
		t.Errorf("the rest: %+v", rest)
	}
	data, err := Encode(&ApplyPlans{Plans: []CommittedPlan{{NodeAllocation: rest, Placed: sets}}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	p := e.(*ApplyPlans).Plans[0]
	got := byID(unpack(p.Placed, p.NodeAllocation))
	for id, a := range byID(all) {
		if text(t, got[id]) != text(t, a) {
			t.Errorf("%s:\ngot  %s\nwant %s", id, text(t, got[id]), text(t, a))
		}
	}
	if len(got) != 14 || got["a0"].Metrics != got["a9"].Metrics || got["a0"].AllocatedResources != got["a9"].AllocatedResources {
		t.Errorf("%d allocations; what they share is not shared", len(got))
	}
}

func byID(m map[string][]*model.Allocation) map[string]*model.Allocation {
	out := map[string]*model.Allocation{}
	for _, list := range m {
		for _, a := range list {
			out[a.ID] = a
		}
	}
	return out
}

func text(t *testing.T, a *model.Allocation) string {
	t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
