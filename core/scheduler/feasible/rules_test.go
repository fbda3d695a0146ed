package feasible

import (
	"math/rand/v2"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

func ruleNode(id string) *model.Node {
	return &model.Node{
		ID: id, Name: id, Datacenter: "dc1", NodePool: "default", NodeClass: "c",
		Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
		Attributes: map[string]string{"kernel.name": "linux", "unique.hostname": id},
		Drivers: map[string]*model.DriverInfo{
			"run": {Detected: true, Healthy: true}, "sick": {Detected: true},
		},
		HostVolumes: map[string]*model.HostVolumeInfo{"data": {Name: "data"}, "fixed": {Name: "fixed", ReadOnly: true}},
		NodeResources: &model.NodeResources{
			Cpu:    model.NodeCPU{CpuShares: 4000, TotalCpuCores: 4, ReservableCpuCores: []uint16{0, 1, 2, 3}},
			Memory: model.NodeMemory{MemoryMB: 4096}, Disk: model.NodeDisk{DiskMB: 10000},
			MinDynamicPort: 20000, MaxDynamicPort: 20002,
			Networks: []*model.NodeNetwork{{Mode: "bridge"}},
			NodeNetworks: []*model.NodeNetworkDevice{{Device: "eth0", Addresses: []model.NodeNetworkAddress{
				{Alias: "default", Address: "10.0.0.1", ReservedPorts: "22,8000-8010"},
			}}},
			Devices: []*model.NodeDevice{{
				Vendor: "acme", Type: "gpu", Name: "m1", Attributes: map[string]*model.DeviceAttribute{"memory": {Int: new(int64(2)), Unit: "GiB"}},
				Instances: []*model.NodeDeviceInstance{{ID: "g0", Healthy: true}, {ID: "g1", Healthy: true}, {ID: "g2"}},
			}},
		},
	}
}

func ruleJob() (*model.Job, *model.TaskGroup) {
	g := &model.TaskGroup{
		Name: "g", Count: 1, EphemeralDisk: &model.EphemeralDisk{SizeMB: 100},
		Tasks: []*model.Task{{Name: "t", Driver: "run", Resources: &model.Resources{CPU: 100, MemoryMB: 100}}},
	}
	return &model.Job{
		ID: "j", Namespace: "default", Datacenters: []string{"*"}, NodePool: "default", TaskGroups: []*model.TaskGroup{g},
	}, g
}

func snapshotOf(nodes ...*model.Node) *fleet.Snapshot {
	t := fleet.New()
	for _, n := range nodes {
		t.UpsertNode(n)
	}
	return t.Snapshot()
}

func constraint(l, op, r string) model.Constraint {
	return model.Constraint{LTarget: l, Operand: op, RTarget: r}
}

func ports(static ...int) []*model.Network {
	n := &model.Network{}
	for _, p := range static {
		if p == 0 {
			n.DynamicPorts = append(n.DynamicPorts, model.Port{Label: "d"})
		} else {
			n.ReservedPorts = append(n.ReservedPorts, model.Port{Label: "s", Value: p})
		}
	}
	return []*model.Network{n}
}

// Each way in which a node can refuse a group, and what a user reads then.
func TestReasons(t *testing.T) {
	cases := map[string]struct {
		change    func(*model.Job, *model.TaskGroup, *model.Node)
		want      string
		exhausted bool
	}{
		"nothing wrong": {func(*model.Job, *model.TaskGroup, *model.Node) {}, "", false},
		"job constraint": {func(j *model.Job, _ *model.TaskGroup, _ *model.Node) {
			j.Constraints = append(j.Constraints, constraint("${attr.kernel.name}", "=", "windows"))
		}, "${attr.kernel.name} = windows", false},
		"job constraint on a unique property": {func(j *model.Job, _ *model.TaskGroup, _ *model.Node) {
			j.Constraints = append(j.Constraints, constraint("${attr.unique.hostname}", "=", "x"))
		}, "${attr.unique.hostname} = x", false},
		"job constraint before drivers": {func(j *model.Job, g *model.TaskGroup, _ *model.Node) {
			j.Constraints = append(j.Constraints, constraint("${node.class}", "=", "x"))
			g.Tasks[0].Driver = "none"
		}, "${node.class} = x", false},
		"driver unknown":   {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) { g.Tasks[0].Driver = "none" }, "missing drivers", false},
		"driver unhealthy": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) { g.Tasks[0].Driver = "sick" }, "missing drivers", false},
		"drivers before group constraint": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Constraints = append(g.Constraints, constraint("${node.class}", "=", "x"))
			g.Tasks[0].Driver = "none"
		}, "missing drivers", false},
		"group constraint": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Constraints = append(g.Constraints, constraint("${meta.rack}", "is_set", ""))
		}, "${meta.rack} is_set", false},
		"task constraint": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Constraints = append(g.Tasks[0].Constraints, constraint("${node.datacenter}", "!=", "dc1"))
		}, "${node.datacenter} != dc1", false},
		"no such device": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Resources.Devices = []*model.RequestedDevice{{Name: "fpga", Count: 1}}
		}, "missing devices", false},
		"device too small": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Resources.Devices = []*model.RequestedDevice{{
				Name: "acme/gpu/m1", Count: 1, Constraints: []model.Constraint{constraint("${device.attr.memory}", ">", "2048 MiB")},
			}}
		}, "missing devices", false},
		"not enough devices": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Resources.Devices = []*model.RequestedDevice{{Name: "acme/gpu", Count: 3}}
		}, "devices: no devices match request", true},
		"network mode": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = []*model.Network{{Mode: "cni/x"}}
		}, `missing network "cni/x"`, false},
		"second network mode": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = []*model.Network{{Mode: "bridge"}, {Mode: "none"}}
		}, `missing network "none"`, false},
		"unhealthy network mode": {func(_ *model.Job, g *model.TaskGroup, n *model.Node) {
			g.Networks = []*model.Network{{Mode: "cni/x"}}
			n.NetworkModes = []*model.NodeNetworkMode{{Mode: "cni/x", HealthDescription: "no such binary"}}
		}, `network "cni/x" is unhealthy`, false},
		"network mode offered": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = []*model.Network{{Mode: "bridge"}}
		}, "", false},
		"driver that cannot join": {func(_ *model.Job, g *model.TaskGroup, n *model.Node) {
			g.Networks = []*model.Network{{Mode: "bridge"}}
			n.Drivers["run"].NetworkModes = []string{"host"}
		}, `driver "run" cannot join network "bridge"`, false},
		"driver that need not join": {func(_ *model.Job, _ *model.TaskGroup, n *model.Node) {
			n.Drivers["run"].NetworkModes = []string{"host"}
		}, "", false},
		"host network": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = []*model.Network{{DynamicPorts: []model.Port{{Label: "http", HostNetwork: "public"}}}}
		}, `missing host network "public" for port "http"`, false},
		"host network by reference": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = []*model.Network{{DynamicPorts: []model.Port{{Label: "http", HostNetwork: "${attr.unique.hostname}"}}}}
		}, `missing host network "${attr.unique.hostname}" for port "http"`, false},
		"host volume": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Volumes = map[string]*model.VolumeRequest{"v": {Type: "host", Source: "nothing"}}
		}, "missing compatible host volumes", false},
		"host volume read-only": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Volumes = map[string]*model.VolumeRequest{"v": {Type: "host", Source: "fixed"}}
		}, "missing compatible host volumes", false},
		"host volume there": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Volumes = map[string]*model.VolumeRequest{"v": {Type: "host", Source: "fixed", ReadOnly: true}}
		}, "", false},
		"cpu":    {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) { g.Tasks[0].Resources.CPU = 4001 }, "cpu", true},
		"memory": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) { g.Tasks[0].Resources.MemoryMB = 4097 }, "memory", true},
		"memory without end": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Resources.MemoryMB = 1<<63 - 1
			g.Tasks[0].Resources.SecretsMB = 100
		}, "memory", true},
		"secrets count as memory": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Resources.MemoryMB, g.Tasks[0].Resources.SecretsMB = 4096, 1
		}, "memory", true},
		"disk": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) { g.EphemeralDisk.SizeMB = 10001 }, "disk", true},
		"cores": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Resources = &model.Resources{Cores: 5}
		}, "cpu", true},
		"cores reserved": {func(_ *model.Job, g *model.TaskGroup, n *model.Node) {
			g.Tasks[0].Resources = &model.Resources{Cores: 4}
			n.ReservedResources = &model.NodeReservedResources{Cpu: model.NodeReservedCPU{ReservedCpuCores: []uint16{0}}}
		}, "cores", true},
		"allocations": {func(_ *model.Job, _ *model.TaskGroup, n *model.Node) { n.NodeMaxAllocs = 1 }, "max allocation exceeded", true},
		"reserved port": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = ports(8005)
		}, "network: reserved port collision s=8005", true},
		"port in use": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = ports(9000)
		}, "network: reserved port collision s=9000", true},
		"dynamic ports": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = ports(0, 0, 0)
		}, "network: dynamic port selection failed", true},
		"static port beside the last dynamic ones": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Networks = ports(9001, 0, 0)
		}, "", false},
		"no addresses": {func(_ *model.Job, g *model.TaskGroup, n *model.Node) {
			g.Networks = ports(0)
			n.NodeResources.NodeNetworks = nil
		}, "network: no addresses available for default network", true},
		"task network": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Tasks[0].Resources.Networks = ports(9000)
		}, "network: reserved port collision s=9000", true},
		"distinct hosts": {func(j *model.Job, _ *model.TaskGroup, _ *model.Node) {
			j.Constraints = append(j.Constraints, constraint("", "distinct_hosts", ""))
		}, "distinct_hosts", false},
		"distinct hosts off": {func(j *model.Job, _ *model.TaskGroup, _ *model.Node) {
			j.Constraints = append(j.Constraints, constraint("", "distinct_hosts", "false"))
		}, "", false},
		"distinct property": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Constraints = append(g.Constraints, constraint("${node.datacenter}", "distinct_property", ""))
		}, "${node.datacenter} distinct_property", false},
		"distinct property with room": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Constraints = append(g.Constraints, constraint("${node.datacenter}", "distinct_property", "2"))
		}, "", false},
		"distinct property missing": {func(_ *model.Job, g *model.TaskGroup, _ *model.Node) {
			g.Constraints = append(g.Constraints, constraint("${meta.rack}", "distinct_property", "2"))
		}, "${meta.rack} distinct_property 2", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			job, g := ruleJob()
			n := ruleNode("n1")
			c.change(job, g, n)
			// One allocation of the job is there already and holds a static and a dynamic port.
			table := fleet.New()
			table.UpsertNode(n)
			table.ApplyAlloc(nil, &model.Allocation{ID: "a", NodeID: "n1", AllocatedResources: &model.AllocatedResources{
				Shared: model.AllocatedSharedResources{Ports: []model.AllocatedPort{
					{Value: 9000, HostIP: "10.0.0.1"}, {Value: 20001, HostIP: "10.0.0.1"},
				}},
			}})
			d := table.Snapshot().Draft()
			r := NewRules(d, job, g, false)
			r.Count(0, true, 1)
			if !r.Candidate(0) {
				t.Fatal("no candidate")
			}
			v := r.Check(0)
			text, exhausted := r.Reason(v)
			if text != c.want || exhausted != c.exhausted {
				t.Errorf("got %q (exhausted %v), want %q (%v)", text, exhausted, c.want, c.exhausted)
			}
			// The check promises what Place keeps.
			out, why := r.Place(0, rand.New(rand.NewPCG(1, 2)))
			if exhausted && v != OutOfCPU && v != OutOfMemory && v != OutOfDisk && v != OutOfAllocs && why == "" {
				t.Errorf("refused for %q but placed: %+v", text, out)
			}
			if v == OK && why != "" {
				t.Errorf("promised but not placed: %s", why)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	cases := map[string]struct {
		change func(*model.Job, *model.Node)
		want   bool
	}{
		"ready":            {func(*model.Job, *model.Node) {}, true},
		"down":             {func(_ *model.Job, n *model.Node) { n.Status = model.NodeStatusDown }, false},
		"ineligible":       {func(_ *model.Job, n *model.Node) { n.SchedulingEligibility = model.NodeIneligible }, false},
		"draining":         {func(_ *model.Job, n *model.Node) { n.DrainStrategy = &model.DrainStrategy{} }, false},
		"other pool":       {func(_ *model.Job, n *model.Node) { n.NodePool = "gpu" }, false},
		"every pool":       {func(j *model.Job, n *model.Node) { j.NodePool, n.NodePool = "all", "gpu" }, true},
		"no pool named":    {func(j *model.Job, n *model.Node) { j.NodePool = "" }, true},
		"other datacenter": {func(j *model.Job, _ *model.Node) { j.Datacenters = []string{"dc2"} }, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			job, g := ruleJob()
			n := ruleNode("n1")
			c.change(job, n)
			if got := NewRules(snapshotOf(n).Draft(), job, g, false).Candidate(0); got != c.want {
				t.Errorf("candidate: %v", got)
			}
		})
	}
}

func TestClassesAreAskedOnce(t *testing.T) {
	job, g := ruleJob()
	job.Constraints = []model.Constraint{constraint("${attr.kernel.name}", "=", "windows")}
	a, b := ruleNode("n1"), ruleNode("n2")
	other := ruleNode("n3")
	other.Attributes["kernel.name"] = "windows"
	s := snapshotOf(a, b, other)
	r := NewRules(s.Draft(), job, g, false)
	for n := range s.All() {
		r.Check(n)
	}
	got := map[string]bool{}
	r.Eligibility(got)
	want := map[string]bool{fleet.ComputedClass(a): false, fleet.ComputedClass(other): true}
	if len(got) != 2 || got[fleet.ComputedClass(a)] || !got[fleet.ComputedClass(other)] || r.Escaped() {
		t.Errorf("classes %v, want %v; escaped %v", got, want, r.Escaped())
	}
	job.Constraints[0].LTarget = "${attr.unique.hostname}"
	if !NewRules(s.Draft(), job, g, false).Escaped() {
		t.Error("a constraint on a unique property did not escape")
	}
}

func TestExactNumbers(t *testing.T) {
	job, g := ruleJob()
	g.Networks = []*model.Network{{
		Mode: "bridge", ReservedPorts: []model.Port{{Label: "s", Value: 9000, To: 80}},
		DynamicPorts: []model.Port{{Label: "d", To: -1}, {Label: "e"}},
	}}
	g.Tasks[0].Resources = &model.Resources{Cores: 2, MemoryMB: 100, MemoryMaxMB: 500, Devices: []*model.RequestedDevice{{Name: "gpu", Count: 1}}}
	d := snapshotOf(ruleNode("n1")).Draft()
	r := NewRules(d, job, g, true)
	out, why := r.Place(0, rand.New(rand.NewPCG(1, 2)))
	if why != "" {
		t.Fatal(why)
	}
	task := out.Tasks["t"]
	if task.Cpu.CpuShares != 2000 || len(task.Cpu.ReservedCores) != 2 || task.Memory.MemoryMaxMB != 500 {
		t.Errorf("task %+v", task)
	}
	if dev := task.Devices; len(dev) != 1 || len(dev[0].DeviceIDs) != 1 {
		t.Errorf("devices %+v", dev)
	}
	byLabel := map[string]model.AllocatedPort{}
	for _, p := range out.Shared.Ports {
		byLabel[p.Label] = p
	}
	if s := byLabel["s"]; s.Value != 9000 || s.To != 80 || s.HostIP != "10.0.0.1" {
		t.Errorf("static port %+v", s)
	}
	if p := byLabel["d"]; p.Value < 20000 || p.Value > 20002 || p.To != p.Value || p.Value == byLabel["e"].Value {
		t.Errorf("dynamic ports %+v", byLabel)
	}
	if used := d.InUse(0); used.CPU != 2000 || used.Cores != 2 || used.Ports != 2 || used.Allocs != 1 {
		t.Errorf("in use %+v", used)
	}
	// The second gets the other cores and device, but two dynamic ports are not left.
	if v := r.Check(0); v == OK {
		t.Error("a static port was given twice")
	}
	g.Networks = nil
	r = NewRules(d, job, g, true)
	second, why := r.Place(0, rand.New(rand.NewPCG(1, 2)))
	if why != "" || second.Tasks["t"].Cpu.ReservedCores[0] == task.Cpu.ReservedCores[0] || second.Tasks["t"].Devices[0].DeviceIDs[0] == task.Devices[0].DeviceIDs[0] {
		t.Errorf("second %+v %s", second, why)
	}
}

func TestSeveralAddresses(t *testing.T) {
	job, g := ruleJob()
	g.Networks = []*model.Network{{ReservedPorts: []model.Port{{Label: "s", Value: 80, HostNetwork: "public"}}}}
	n := ruleNode("n1")
	n.NodeResources.NodeNetworks[0].Addresses = append(n.NodeResources.NodeNetworks[0].Addresses,
		model.NodeNetworkAddress{Alias: "public", Address: "1.1.1.1"}, model.NodeNetworkAddress{Alias: "public", Address: "1.1.1.2"})
	r := NewRules(snapshotOf(n).Draft(), job, g, false)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, want := range []string{"1.1.1.1", "1.1.1.2"} {
		out, why := r.Place(0, rng)
		if why != "" || out.Shared.Ports[0].HostIP != want {
			t.Fatalf("%+v %s", out, why)
		}
	}
	if text, _ := r.Reason(r.Check(0)); text != "network: reserved port collision s=80" {
		t.Errorf("third: %q", text)
	}
}

func TestIgnoredCollisions(t *testing.T) {
	job, g := ruleJob()
	g.Networks = []*model.Network{{ReservedPorts: []model.Port{{Label: "s", Value: 80, IgnoreCollision: true}}}}
	d := snapshotOf(ruleNode("n1")).Draft()
	r := NewRules(d, job, g, false)
	rng := rand.New(rand.NewPCG(1, 2))
	first, _ := r.Place(0, rng)
	if _, why := r.Place(0, rng); why != "" {
		t.Fatal(why)
	}
	d.Release(0, first)
	if !d.Exact(0).Ports("10.0.0.1").Has(80) {
		t.Error("the port is free although one allocation still holds it")
	}
}
