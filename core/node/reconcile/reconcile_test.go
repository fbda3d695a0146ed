package reconcile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

func TestPlan(t *testing.T) {
	alloc := func(id string, index uint64, desired, client string) *model.Allocation {
		return &model.Allocation{ID: id, AllocModifyIndex: index, CreateIndex: index, DesiredStatus: desired, ClientStatus: client}
	}
	known := map[string]Known{"a": {5}, "b": {5}}
	for name, c := range map[string]struct {
		known map[string]Known
		push  rpc.NodeAllocsPush
		want  string
	}{
		"new":                        {nil, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("x", 9, "run", "pending")}}, "start x"},
		"nothing new":                {known, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("a", 5, "run", "running")}}, ""},
		"older than what is known":   {known, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("a", 4, "stop", "running")}}, ""},
		"stop":                       {known, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("a", 6, "stop", "running")}}, "update a"},
		"stops go before starts":     {known, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("x", 3, "run", "pending"), alloc("a", 6, "stop", "running")}}, "update a, start x"},
		"by age":                     {nil, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("y", 9, "run", "pending"), alloc("x", 9, "run", "pending"), alloc("z", 8, "run", "pending")}}, "start z, start x, start y"},
		"never came here":            {nil, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("x", 9, "stop", "pending")}}, "gone x"},
		"evicted, never came here":   {nil, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("x", 9, "evict", "running")}}, "gone x"},
		"over and collected here":    {nil, rpc.NodeAllocsPush{Full: true, Allocs: []*model.Allocation{alloc("x", 9, "run", "complete"), alloc("y", 9, "stop", "failed")}}, ""},
		"ran here, state lost":       {nil, rpc.NodeAllocsPush{Full: true, Allocs: []*model.Allocation{alloc("x", 9, "run", "running")}}, "start x"},
		"removed":                    {known, rpc.NodeAllocsPush{Removed: []string{"b", "nobody"}}, "remove b"},
		"all others stay":            {known, rpc.NodeAllocsPush{Allocs: []*model.Allocation{alloc("x", 9, "run", "pending")}}, "start x"},
		"full: others go":            {known, rpc.NodeAllocsPush{Full: true, Allocs: []*model.Allocation{alloc("b", 5, "run", "running")}}, "remove a"},
		"full and removed just once": {known, rpc.NodeAllocsPush{Full: true, Removed: []string{"a"}}, "remove a, remove b"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, a := range Plan(c.known, &c.push) {
				got = append(got, fmt.Sprint(a.Verb, " ", a.ID))
			}
			if text := strings.Join(got, ", "); text != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}
