package feasible

import (
	"testing"

	"github.com/droverhq/drover/core/model"
)

func held(id string, change func(*model.AllocatedResources)) *model.Allocation {
	r := &model.AllocatedResources{
		Tasks: map[string]*model.AllocatedTaskResources{"t": {
			Cpu: model.AllocatedCpu{CpuShares: 1000}, Memory: model.AllocatedMemory{MemoryMB: 1000},
		}},
		Shared: model.AllocatedSharedResources{DiskMB: 1000},
	}
	if change != nil {
		change(r)
	}
	return &model.Allocation{
		ID: id, NodeID: "n1", AllocatedResources: r, DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientRunning,
	}
}

func TestCheck(t *testing.T) {
	cpu := func(n int64) func(*model.AllocatedResources) {
		return func(r *model.AllocatedResources) { r.Tasks["t"].Cpu.CpuShares = n }
	}
	port := func(n int, ignore bool) func(*model.AllocatedResources) {
		return func(r *model.AllocatedResources) {
			r.Shared.Ports = []model.AllocatedPort{{Label: "p", Value: n, HostIP: "10.0.0.1", IgnoreCollision: ignore}}
		}
	}
	core := func(id uint16) func(*model.AllocatedResources) {
		return func(r *model.AllocatedResources) { r.Tasks["t"].Cpu.ReservedCores = []uint16{id} }
	}
	device := func(r *model.AllocatedResources) {
		r.Tasks["t"].Devices = []*model.AllocatedDevice{{Vendor: "acme", Type: "gpu", Name: "m1", DeviceIDs: []string{"g0"}}}
	}
	stopped := held("a", cpu(4000))
	stopped.DesiredStatus = model.AllocDesiredStop
	unknown := held("a", nil)
	unknown.ClientStatus = model.AllocClientUnknown
	list := func(a ...*model.Allocation) []*model.Allocation { return a }
	cases := map[string]struct {
		node               func(*model.Node)
		existing, proposed []*model.Allocation
		want               string
	}{
		"fits":               {nil, list(held("a", nil)), list(held("b", nil)), ""},
		"cpu":                {nil, list(held("a", cpu(3001))), list(held("b", nil)), "cpu"},
		"what ended is free": {nil, list(stopped), list(held("b", cpu(4000))), ""},
		"replaces itself":    {nil, list(held("a", cpu(3001))), list(held("a", cpu(4000))), ""},
		"two in one plan":    {nil, nil, list(held("a", cpu(3000)), held("b", cpu(3000))), "cpu"},
		"port":               {nil, list(held("a", port(80, false))), list(held("b", port(80, false))), "network: reserved port collision p=80"},
		"port in one plan":   {nil, nil, list(held("a", port(80, false)), held("b", port(80, false))), "network: reserved port collision p=80"},
		"port shared":        {nil, list(held("a", port(80, true))), list(held("b", port(80, true))), ""},
		"core":               {nil, list(held("a", core(1))), list(held("b", core(1))), "cores"},
		"other core":         {nil, list(held("a", core(1))), list(held("b", core(2))), ""},
		"device":             {nil, list(held("a", device)), list(held("b", device)), "devices: acme/gpu/m1 g0 is in use"},
		"device not there": {func(n *model.Node) { n.NodeResources.Devices = nil }, nil, list(held("b", device)),
			"devices: acme/gpu/m1 g0 is not there any more"},
		"device unhealthy": {func(n *model.Node) { n.NodeResources.Devices[0].Instances[0].Healthy = false }, nil, list(held("b", device)),
			"devices: acme/gpu/m1 g0 is unhealthy"},
		"device gone, update": {func(n *model.Node) { n.NodeResources.Devices = nil }, list(held("b", device)), list(held("b", device)), ""},
		"no such core":        {nil, nil, list(held("b", core(9))), "cores"},
		"max allocs":          {func(n *model.Node) { n.NodeMaxAllocs = 1 }, list(held("a", nil)), list(held("b", nil)), "max allocation exceeded"},
		"draining, new":       {func(n *model.Node) { n.DrainStrategy = &model.DrainStrategy{} }, nil, list(held("b", nil)), NodeNotReady},
		"draining, update":    {func(n *model.Node) { n.DrainStrategy = &model.DrainStrategy{} }, list(held("a", nil)), list(held("a", nil)), ""},
		"down, update":        {func(n *model.Node) { n.Status = model.NodeStatusDown }, list(held("a", nil)), list(held("a", nil)), NodeDown},
		"disconnected, marks": {func(n *model.Node) { n.Status = model.NodeStatusDisconnected }, list(held("a", nil)), list(unknown), ""},
		"shrunk, update":      {func(n *model.Node) { n.NodeResources.Cpu.CpuShares = 500 }, list(held("a", nil)), list(held("a", nil)), ""},
		"shrunk, new":         {func(n *model.Node) { n.NodeResources.Cpu.CpuShares = 500 }, list(held("a", nil)), list(held("b", nil)), "cpu"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := ruleNode("n1")
			if c.node != nil {
				c.node(n)
			}
			ok, why := Check(n, c.existing, c.proposed)
			if why != c.want || ok != (c.want == "") {
				t.Errorf("%v %q, want %q", ok, why, c.want)
			}
		})
	}
	if ok, why := Check(nil, nil, nil); ok || why != NodeGone {
		t.Errorf("no node: %v %q", ok, why)
	}
}

// What is refused leaves the draft as it was.
func TestRefusalLeavesTheDraftAlone(t *testing.T) {
	s := snapshotOf(ruleNode("n1"))
	d := s.Draft()
	old := held("a", func(r *model.AllocatedResources) {
		r.Shared.Ports = []model.AllocatedPort{{Value: 20000, HostIP: "10.0.0.1"}}
	})
	if ok, why := CheckDraft(d, "n1", nil, []*model.Allocation{old}); !ok {
		t.Fatal(why)
	}
	before := d.InUse(0)
	big := held("b", func(r *model.AllocatedResources) { r.Tasks["t"].Memory.MemoryMB = 9999 })
	if ok, _ := CheckDraft(d, "n1", []*model.Allocation{old}, []*model.Allocation{held("c", nil), big}); ok {
		t.Fatal("too large a plan was accepted")
	}
	if d.InUse(0) != before || !d.Exact(0).Ports("10.0.0.1").Has(20000) {
		t.Errorf("in use %+v, before %+v", d.InUse(0), before)
	}
	if s.InUse(0).Allocs != 0 {
		t.Error("the snapshot changed")
	}
}
