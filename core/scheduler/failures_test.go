package scheduler

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/explain"
)

var update = flag.Bool("update", false, "write the golden files anew")

// failure is a job that cannot be placed, or not in full, on a fleet of three nodes of 4000 MHz and 8192 MB.
type failure struct {
	typ   string // service unless given
	count int    // 1 unless given
	fleet func(nodes []*model.Node)
	job   func(j *model.Job, g *model.TaskGroup, t *model.Task)
	world func(w *world)
}

func constrain(l, op, r string) model.Constraint {
	return model.Constraint{LTarget: l, Operand: op, RTarget: r}
}

func each(change func(*model.Node)) func([]*model.Node) {
	return func(nodes []*model.Node) {
		for _, n := range nodes {
			change(n)
		}
	}
}

var failures = map[string]failure{
	"cpu":    {job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.CPU = 4100 }},
	"memory": {job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.MemoryMB = 8392 }},
	"memory-on-one-node-nearly": {
		fleet: func(n []*model.Node) { n[1].NodeResources.Memory.MemoryMB = 16000 },
		job:   func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.MemoryMB = 16200 },
	},
	"disk": {job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) { g.EphemeralDisk.SizeMB = 100001 }},
	"cpu-and-memory": {job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) {
		t.Resources.CPU, t.Resources.MemoryMB = 5000, 9000
	}},
	"cores": {job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) {
		t.Resources.CPU, t.Resources.Cores = 0, 5
	}},
	"fleet-is-full": {count: 30, job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.CPU = 1500 }},
	"held-by-others": {
		world: func(w *world) {
			for i := range 3 {
				filler(w, fmt.Sprintf("f%d", i), fmt.Sprintf("n%d", i), 50, func(r *model.AllocatedResources) {
					r.Tasks["t"].Memory.MemoryMB = 8000 + int64(50*i)
				})
			}
		},
	},
	"node-max-allocs": {count: 4, fleet: each(func(n *model.Node) { n.NodeMaxAllocs = 1 })},
	"reserved-by-the-node": {
		fleet: each(func(n *model.Node) {
			n.ReservedResources = &model.NodeReservedResources{Cpu: model.NodeReservedCPU{CpuShares: 3700}}
		}),
	},
	"constraint": {job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Constraints = []model.Constraint{constrain("${attr.kernel.name}", "=", "windows")}
	}},
	"constraint-of-the-job": {job: func(j *model.Job, _ *model.TaskGroup, _ *model.Task) {
		j.Constraints = []model.Constraint{constrain("${meta.rack}", "regexp", "^r[5-9]$")}
	}},
	"constraint-of-a-task": {job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) {
		t.Constraints = []model.Constraint{constrain("${meta.gone}", "is_set", "")}
	}},
	"constraint-that-one-node-meets": {
		count: 9,
		fleet: func(n []*model.Node) { n[0].Attributes["kernel.name"] = "windows" },
		job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
			g.Constraints = []model.Constraint{constrain("${attr.kernel.name}", "=", "windows")}
		},
	},
	"two-constraints": {job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Constraints = []model.Constraint{constrain("${attr.kernel.name}", "=", "windows"), constrain("${meta.rack}", "=", "r1")}
	}},
	"constraint-and-no-room": {job: func(_ *model.Job, g *model.TaskGroup, t *model.Task) {
		g.Constraints = []model.Constraint{constrain("${meta.rack}", "=", "r1")}
		t.Resources.MemoryMB = 9000
	}},
	"unique-constraint": {job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Constraints = []model.Constraint{constrain("${node.unique.name}", "=", "n9")}
	}},
	"version-constraint": {
		fleet: each(func(n *model.Node) { n.Attributes["nomad.version"] = "1.4.0" }),
		job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
			g.Constraints = []model.Constraint{constrain("${attr.nomad.version}", "semver", ">= 1.7.0")}
		},
	},
	"driver-missing": {job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Driver = "other" }},
	"driver-unhealthy": {fleet: each(func(n *model.Node) {
		n.Drivers["run"] = &model.DriverInfo{Detected: true, HealthDescription: "the engine does not answer"}
	})},
	"driver-unhealthy-on-one": {
		count: 15,
		fleet: func(n []*model.Node) {
			n[2].Drivers["run"] = &model.DriverInfo{Detected: true, HealthDescription: "the engine does not answer"}
		},
		job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.CPU = 1000 },
	},
	"device-missing": {job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) {
		t.Resources.Devices = []*model.RequestedDevice{{Name: "nvidia/gpu", Count: 1}}
	}},
	"devices-in-use": {
		count: 3,
		fleet: func(n []*model.Node) { withGPU(n[0]); withGPU(n[1]) },
		job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) {
			t.Resources.Devices = []*model.RequestedDevice{{Name: "gpu", Count: 1}}
		},
	},
	"device-constraint": {
		fleet: each(withGPU),
		job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) {
			t.Resources.Devices = []*model.RequestedDevice{{Name: "gpu", Count: 1, Constraints: []model.Constraint{
				constrain("${device.attr.memory}", ">=", "8 GiB")}}}
		},
	},
	"static-port": {count: 4, job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Networks = []*model.Network{{ReservedPorts: []model.Port{{Label: "http", Value: 80}}}}
	}},
	"dynamic-ports": {
		count: 4,
		fleet: each(func(n *model.Node) { n.NodeResources.MinDynamicPort, n.NodeResources.MaxDynamicPort = 20000, 20001 }),
		job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
			g.Networks = []*model.Network{{DynamicPorts: []model.Port{{Label: "a"}, {Label: "b"}}}}
		},
	},
	"host-network": {job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Networks = []*model.Network{{DynamicPorts: []model.Port{{Label: "a", HostNetwork: "private"}}}}
	}},
	"network-mode": {job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Networks = []*model.Network{{Mode: "cni/blue"}}
	}},
	"volume-missing": {job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Volumes = map[string]*model.VolumeRequest{"data": {Name: "data", Type: "host", Source: "ssd"}}
	}},
	"volume-read-only": {
		fleet: each(func(n *model.Node) {
			n.HostVolumes = map[string]*model.HostVolumeInfo{"ssd": {Name: "ssd", ReadOnly: true}}
		}),
		job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
			g.Volumes = map[string]*model.VolumeRequest{"data": {Name: "data", Type: "host", Source: "ssd"}}
		},
	},
	"distinct-hosts": {count: 5, job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Constraints = []model.Constraint{{Operand: model.OpDistinctHosts}}
	}},
	"distinct-property": {count: 5, job: func(_ *model.Job, g *model.TaskGroup, _ *model.Task) {
		g.Constraints = []model.Constraint{constrain("${meta.rack}", model.OpDistinctProperty, "1")}
	}},
	"no-node-in-pool":    {job: func(j *model.Job, _ *model.TaskGroup, _ *model.Task) { j.NodePool = "gpu" }},
	"no-such-datacenter": {job: func(j *model.Job, _ *model.TaskGroup, _ *model.Task) { j.Datacenters = []string{"dc9"} }},
	"no-glob-matches":    {job: func(j *model.Job, _ *model.TaskGroup, _ *model.Task) { j.Datacenters = []string{"eu-*"} }},
	"nodes-down":         {fleet: each(func(n *model.Node) { n.Status = model.NodeStatusDown })},
	"nodes-ineligible":   {fleet: each(func(n *model.Node) { n.SchedulingEligibility = model.NodeIneligible })},
	"nodes-draining": {fleet: each(func(n *model.Node) {
		n.SchedulingEligibility, n.DrainStrategy = model.NodeIneligible, &model.DrainStrategy{}
	})},
	"classes":             {fleet: func(n []*model.Node) { n[0].NodeClass, n[1].NodeClass = "big", "small" }, job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.CPU = 9000 }},
	"system-out-of-room":  {typ: model.JobTypeSystem, job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.MemoryMB = 8200 }},
	"some-nodes-are-down": {count: 30, fleet: func(n []*model.Node) { n[0].Status = model.NodeStatusDown }, job: func(_ *model.Job, _ *model.TaskGroup, t *model.Task) { t.Resources.CPU = 3000 }},
}

func withGPU(n *model.Node) {
	n.NodeResources.Devices = []*model.NodeDevice{{
		Vendor: "nvidia", Type: "gpu", Name: "t4", Instances: []*model.NodeDeviceInstance{{ID: "0", Healthy: true}},
		Attributes: map[string]*model.DeviceAttribute{"memory": {Int: new(int64(4)), Unit: "GiB"}},
	}}
}

// TestFailures compares what users read when something is not placed with testdata/failures.
func TestFailures(t *testing.T) {
	for name, f := range failures {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var nodes []*model.Node
			for i := range 3 {
				n := testNode(fmt.Sprintf("n%d", i))
				n.Meta = map[string]string{"rack": fmt.Sprintf("r%d", i%2)}
				nodes = append(nodes, n)
			}
			if f.fleet != nil {
				f.fleet(nodes)
			}
			for _, n := range nodes {
				w.node(n)
			}
			if f.world != nil {
				f.world(w)
			}
			typ := f.typ
			if typ == "" {
				typ = model.JobTypeService
			}
			j := testJob(typ, max(f.count, 1))
			if f.job != nil {
				f.job(j, j.TaskGroups[0], j.TaskGroups[0].Tasks[0])
			}
			w.job(j)
			m := w.process(w.eval(j), 1).Eval.FailedTGAllocs["g"]
			if m == nil {
				t.Fatal("everything was placed")
			}
			got := fmt.Sprintf("%d not placed\n%s\n", m.CoalescedFailures+1, strings.Join(explain.Failure(m), "\n"))
			golden := filepath.Join("testdata", "failures", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v (run with -update to make it)", err)
			}
			if got != string(want) {
				t.Errorf("%s differs; got:\n%s\nwant:\n%s", golden, got, want)
			}
		})
	}
}
