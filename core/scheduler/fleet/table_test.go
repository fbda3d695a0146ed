package fleet

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/core/model"
)

func testNode(id string) *model.Node {
	return &model.Node{
		ID: id, Name: id, Datacenter: "dc1", NodePool: "default",
		Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
		Attributes: map[string]string{"kernel.name": "linux", "driver.run": "1"},
		NodeResources: &model.NodeResources{
			Cpu:    model.NodeCPU{CpuShares: 4000, TotalCpuCores: 4, ReservableCpuCores: []uint16{0, 1, 2, 3}},
			Memory: model.NodeMemory{MemoryMB: 8192}, Disk: model.NodeDisk{DiskMB: 10000},
			NodeNetworks: []*model.NodeNetworkDevice{{Mode: "host", Device: "eth0", Addresses: []model.NodeNetworkAddress{
				{Alias: "default", Address: "10.0.0.1", ReservedPorts: "22,20000-20009"},
			}}},
		},
		ReservedResources: &model.NodeReservedResources{Cpu: model.NodeReservedCPU{CpuShares: 500, ReservedCpuCores: []uint16{0}}},
	}
}

func testAlloc(id, node string, cpu int64, port int) *model.Allocation {
	a := &model.Allocation{
		ID: id, NodeID: node, DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending,
		AllocatedResources: &model.AllocatedResources{
			Tasks: map[string]*model.AllocatedTaskResources{"t": {
				Cpu: model.AllocatedCpu{CpuShares: cpu}, Memory: model.AllocatedMemory{MemoryMB: 100}}},
			Shared: model.AllocatedSharedResources{DiskMB: 300},
		},
	}
	if port > 0 {
		a.AllocatedResources.Shared.Ports = []model.AllocatedPort{{Label: "http", Value: port, HostIP: "10.0.0.1"}}
	}
	return a
}

func TestCapacityIsLessWhatTheNodeReserves(t *testing.T) {
	table := New()
	table.UpsertNode(testNode("n1"))
	s := table.Snapshot()
	num, ok := s.Number("n1")
	if !ok {
		t.Fatal("node not found")
	}
	want := Amount{CPU: 3500, Memory: 8192, Disk: 10000, Cores: 3, Ports: 12001 - 10}
	if got := s.Capacity(num); got != want {
		t.Errorf("capacity %+v, want %+v", got, want)
	}
	bit, known := s.Driver("run")
	nodes, _, i := s.Row(num)
	if !known || nodes.Drivers[i]&bit == 0 {
		t.Errorf("driver bit %b known %v, column %b", bit, known, nodes.Drivers[i])
	}
}

func TestSnapshotsDoNotChange(t *testing.T) {
	table := New()
	table.UpsertNode(testNode("n1"))
	before := table.Snapshot()
	a := testAlloc("a", "n1", 1000, 20010)
	table.ApplyAlloc(nil, a)
	down := *testNode("n1")
	down.Status = model.NodeStatusDown
	down.Datacenter = "dc2"
	table.UpsertNode(&down)
	table.UpsertNode(testNode("n2"))
	after := table.Snapshot()
	table.DeleteNode("n1")
	table.ApplyAlloc(a, nil)

	num, _ := before.Number("n1")
	if got := before.InUse(num); got != (Amount{}) {
		t.Errorf("first snapshot sees use %+v", got)
	}
	if before.Node(num).Datacenter != "dc1" || before.Datacenter(before.nodes[0].DC[num]) != "dc1" || before.Count() != 1 {
		t.Error("first snapshot sees the node's change")
	}
	if _, ok := before.Number("n2"); ok {
		t.Error("first snapshot sees a later node")
	}
	want := Amount{CPU: 1000, Memory: 100, Disk: 300, Ports: 1, Allocs: 1}
	if got := after.InUse(num); got != want {
		t.Errorf("second snapshot's use %+v, want %+v", got, want)
	}
	if !after.Exact(num).Ports("10.0.0.1").Has(20010) || before.Exact(num) != nil {
		t.Error("ports of a snapshot changed")
	}
	last := table.Snapshot()
	if _, ok := last.Number("n1"); ok || last.Count() != 1 {
		t.Errorf("deleted node is still there (count %d)", last.Count())
	}
}

func TestRowsOfDeletedNodesAreUsedAgain(t *testing.T) {
	table := New()
	for i := range 10 {
		id := fmt.Sprintf("n%d", i)
		table.UpsertNode(testNode(id))
		a := testAlloc("a", id, 10, 0)
		table.ApplyAlloc(nil, a)
		table.DeleteNode(id)
		table.ApplyAlloc(a, nil)
	}
	if table.rows != 1 {
		t.Errorf("%d rows for one node at a time", table.rows)
	}
}

func TestClassLeavesUniqueNamesOut(t *testing.T) {
	base := ComputedClass(testNode("n1"))
	cases := map[string]struct {
		change func(*model.Node)
		same   bool
	}{
		"name":        {func(n *model.Node) { n.Name, n.ID = "x", "y" }, true},
		"unique attr": {func(n *model.Node) { n.Attributes["unique.hostname"] = "x" }, true},
		"unique meta": {func(n *model.Node) { n.Meta = map[string]string{"unique.rack": "x"} }, true},
		"health": {func(n *model.Node) {
			n.Drivers = map[string]*model.DriverInfo{"run": {Detected: true}}
		}, true},
		"driver that joins": {func(n *model.Node) {
			n.Drivers = map[string]*model.DriverInfo{"run": {NetworkModes: []string{"host", "group"}}}
		}, true},
		"driver that cannot join": {func(n *model.Node) {
			n.Drivers = map[string]*model.DriverInfo{"run": {NetworkModes: []string{"host"}}}
		}, false},
		"attr":       {func(n *model.Node) { n.Attributes["os.name"] = "x" }, false},
		"meta":       {func(n *model.Node) { n.Meta = map[string]string{"rack": "x"} }, false},
		"pool":       {func(n *model.Node) { n.NodePool = "x" }, false},
		"class":      {func(n *model.Node) { n.NodeClass = "x" }, false},
		"datacenter": {func(n *model.Node) { n.Datacenter = "x" }, false},
		"device": {func(n *model.Node) {
			n.NodeResources.Devices = []*model.NodeDevice{{Vendor: "v", Type: "gpu", Name: "m"}}
		}, false},
		"host network": {func(n *model.Node) { n.NodeResources.NodeNetworks[0].Addresses[0].Alias = "x" }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := testNode("n1")
			c.change(n)
			if (ComputedClass(n) == base) != c.same {
				t.Errorf("same class: want %v", c.same)
			}
		})
	}
}

func TestPorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[int]int{}
		p := &Ports{}
		for _, step := range rapid.SliceOfN(rapid.IntRange(-40, 40), 1, 60).Draw(t, "steps") {
			port := 1000 + max(step, -step)
			if step > 0 {
				p.Add(port)
				want[port]++
			} else if want[port] > 0 {
				p.Remove(port)
				want[port]--
			}
		}
		lo := rapid.IntRange(990, 1050).Draw(t, "lo")
		hi := rapid.IntRange(lo, 1060).Draw(t, "hi")
		n := 0
		for port := 990; port < 1060; port++ {
			if p.Has(port) != (want[port] > 0) {
				t.Fatalf("port %d: %v, held %d times", port, p.Has(port), want[port])
			}
			if want[port] > 0 && port >= lo && port <= hi {
				n++
			}
		}
		if got := p.Clone().Count(lo, hi); got != n {
			t.Fatalf("count %d..%d = %d, want %d", lo, hi, got, n)
		}
	})
}

// The columns after any order of changes are those of a table built at once from what is left.
func TestUseFollowsAllocations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := New()
		nodes := map[string]bool{}
		allocs := map[string]*model.Allocation{}
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		for range steps {
			node := fmt.Sprintf("n%d", rapid.IntRange(0, 4).Draw(t, "node"))
			id := fmt.Sprintf("a%d", rapid.IntRange(0, 8).Draw(t, "alloc"))
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				table.UpsertNode(testNode(node))
				nodes[node] = true
			case 1:
				table.DeleteNode(node)
				delete(nodes, node)
			case 2:
				table.Snapshot()
			case 3:
				table.ApplyAlloc(allocs[id], nil)
				delete(allocs, id)
			default:
				a := testAlloc(id, node, int64(rapid.IntRange(1, 9).Draw(t, "cpu")), 20100+rapid.IntRange(0, 3).Draw(t, "port"))
				if rapid.Bool().Draw(t, "done") {
					a.ClientStatus = model.AllocClientComplete
				}
				table.ApplyAlloc(allocs[id], a)
				allocs[id] = a
			}
		}
		fresh := New()
		for n := range nodes {
			fresh.UpsertNode(testNode(n))
		}
		for _, a := range allocs {
			fresh.ApplyAlloc(nil, a)
		}
		got, want := table.Snapshot(), fresh.Snapshot()
		if got.Count() != len(nodes) {
			t.Fatalf("count %d, want %d", got.Count(), len(nodes))
		}
		for n := range nodes {
			g, _ := got.Number(n)
			w, _ := want.Number(n)
			if got.InUse(g) != want.InUse(w) {
				t.Fatalf("node %s: %+v, want %+v", n, got.InUse(g), want.InUse(w))
			}
			for port := 20100; port < 20104; port++ {
				if got.Exact(g).Ports("10.0.0.1").Has(port) != want.Exact(w).Ports("10.0.0.1").Has(port) {
					t.Fatalf("node %s port %d differs", n, port)
				}
			}
		}
	})
}
