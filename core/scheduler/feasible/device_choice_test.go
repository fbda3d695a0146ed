package feasible

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// cards is a node's group of GPUs, so many of them healthy.
func cards(name string, healthy, sick int) *model.NodeDevice {
	d := &model.NodeDevice{Vendor: "v", Type: "gpu", Name: name}
	for i := range healthy + sick {
		d.Instances = append(d.Instances, &model.NodeDeviceInstance{ID: fmt.Sprintf("%s-%d", name, i), Healthy: i >= sick})
	}
	return d
}

func nodeOf(groups ...*model.NodeDevice) *model.Node {
	return &model.Node{NodeResources: &model.NodeResources{Devices: groups}}
}

// wish is a request that would rather have the group of that name.
func wish(label string, count uint64, liked string, weight int8) *model.RequestedDevice {
	d := &model.RequestedDevice{Name: label, Count: count}
	if liked != "" {
		d.Affinities = []model.Affinity{{LTarget: "${device.model}", RTarget: liked, Operand: "=", Weight: weight}}
	}
	return d
}

func asksOf(list ...*model.RequestedDevice) (asks []deviceAsk) {
	for i, d := range list {
		asks = append(asks, newDeviceAsk(fmt.Sprintf("t%d", i), d))
	}
	return asks
}

// A request that could have several groups leaves the one that a later request can do with only.
func TestRequestsDoNotTakeWhatOthersNeed(t *testing.T) {
	for name, c := range map[string]struct {
		groups []*model.NodeDevice
		asks   []*model.RequestedDevice
		want   string
	}{
		"the second is choosy": {[]*model.NodeDevice{cards("a", 1, 0), cards("b", 1, 0)},
			[]*model.RequestedDevice{wish("gpu", 1, "", 0), wish("v/gpu/a", 1, "", 0)}, "b-0 a-0"},
		"counts": {[]*model.NodeDevice{cards("a", 3, 0), cards("b", 2, 0)},
			[]*model.RequestedDevice{wish("gpu", 2, "", 0), wish("gpu", 3, "", 0)}, "b-0 b-1 a-0 a-1 a-2"},
		"a chain": {[]*model.NodeDevice{cards("a", 1, 0), cards("b", 1, 0), cards("c", 1, 1)},
			[]*model.RequestedDevice{wish("gpu", 1, "", 0), wish("gpu", 1, "a", 50), wish("v/gpu/b", 1, "", 0)}, "c-1 a-0 b-0"},
		"the greater wish wins": {[]*model.NodeDevice{cards("a", 1, 0), cards("b", 1, 0)},
			[]*model.RequestedDevice{wish("gpu", 1, "a", 10), wish("gpu", 1, "a", 90)}, "b-0 a-0"},
		"nothing in the way": {[]*model.NodeDevice{cards("a", 2, 0), cards("b", 1, 0)},
			[]*model.RequestedDevice{wish("gpu", 1, "", 0), wish("gpu", 1, "", 0)}, "a-0 a-1"},
		"too little": {[]*model.NodeDevice{cards("a", 1, 1), cards("b", 1, 0)},
			[]*model.RequestedDevice{wish("gpu", 1, "", 0), wish("gpu", 1, "", 0), wish("gpu", 1, "", 0)}, ""},
	} {
		picks, _, ok := pickDevices(nodeOf(c.groups...), nil, asksOf(c.asks...))
		got := ""
		for _, p := range picks {
			for _, id := range p.ids {
				if got != "" {
					got += " "
				}
				got += id
			}
		}
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q (%v), want %q", name, got, ok, c.want)
		}
	}
}

// On small nodes the choice is as good as the best of all there are, and no device is given twice.
func TestDeviceChoiceAgainstEveryOther(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(rt, "groups")]
		var groups []*model.NodeDevice
		used := &fleet.Exact{}
		for _, name := range names {
			d := cards(name, rapid.IntRange(0, 3).Draw(rt, name+" healthy"), rapid.IntRange(0, 1).Draw(rt, name+" sick"))
			groups = append(groups, d)
			for _, i := range d.Instances {
				if rapid.IntRange(0, 3).Draw(rt, i.ID+" in use") == 0 {
					used.Apply(&model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{
						"x": {Devices: []*model.AllocatedDevice{{Vendor: d.Vendor, Type: d.Type, Name: d.Name, DeviceIDs: []string{i.ID}}}},
					}}, 1)
				}
			}
		}
		var list []*model.RequestedDevice
		for i := range rapid.IntRange(1, 4).Draw(rt, "requests") {
			label := "gpu"
			if rapid.Bool().Draw(rt, fmt.Sprint(i, " is choosy")) {
				label = "v/gpu/" + rapid.SampledFrom(names).Draw(rt, fmt.Sprint(i, " wants"))
			}
			liked := rapid.SampledFrom(append([]string{""}, names...)).Draw(rt, fmt.Sprint(i, " likes"))
			list = append(list, wish(label, uint64(rapid.IntRange(1, 2).Draw(rt, fmt.Sprint(i, " count"))), liked, int8(rapid.IntRange(-100, 100).Draw(rt, fmt.Sprint(i, " weight")))))
		}
		asks := asksOf(list...)
		picks, score, ok := pickDevices(nodeOf(groups...), used, asks)
		best, possible := everyChoice(groups, used, asks)
		if ok != possible || ok && math.Abs(score-best) > 1e-9 {
			rt.Fatalf("got %v (%v), the best of all is %v (%v)", score, ok, best, possible)
		}
		given := map[string]bool{}
		for i, p := range picks {
			if p.ask != &asks[i] || len(p.ids) != asks[i].count || !asks[i].matches(p.group) {
				rt.Fatalf("request %d got %+v", i, p)
			}
			for _, id := range p.ids {
				if given[id] || used.Device(fleet.DeviceKey("v", "gpu", p.group.Name, id)) {
					rt.Fatalf("%s is given twice", id)
				}
				given[id] = true
			}
		}
	})
}

// everyChoice tries all ways to give each request a group.
func everyChoice(groups []*model.NodeDevice, used *fleet.Exact, asks []deviceAsk) (best float64, possible bool) {
	free := make([]int, len(groups))
	for i, d := range groups {
		for _, x := range d.Instances {
			if x.Healthy && !used.Device(fleet.DeviceKey(d.Vendor, d.Type, d.Name, x.ID)) {
				free[i]++
			}
		}
	}
	var try func(i int, sum, weights float64)
	try = func(i int, sum, weights float64) {
		if i == len(asks) {
			score := 0.0
			if weights > 0 {
				score = sum / weights
			}
			if !possible || score > best {
				best, possible = score, true
			}
			return
		}
		for g, d := range groups {
			if a := &asks[i]; a.matches(d) && free[g] >= a.count {
				s, w := a.affinity(d)
				free[g] -= a.count
				try(i+1, sum+s, weights+w)
				free[g] += a.count
			}
		}
	}
	try(0, 0, 0)
	return best, possible
}
