package rank

import (
	"fmt"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

func benchFleet(nodes, racks int) *fleet.Snapshot {
	t := fleet.New()
	for i := range nodes {
		t.UpsertNode(&model.Node{
			ID: fmt.Sprintf("node-%05d", i), Name: fmt.Sprintf("n%d", i), Datacenter: "dc1", NodePool: "default",
			Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
			Attributes: map[string]string{"kernel.name": "linux", "driver.run": "1"},
			Meta:       map[string]string{"rack": fmt.Sprintf("r%d", i%racks)},
			NodeResources: &model.NodeResources{
				Cpu:    model.NodeCPU{CpuShares: int64(4000 + i%7*500), TotalCpuCores: 4},
				Memory: model.NodeMemory{MemoryMB: int64(8192 + i%5*1024)}, Disk: model.NodeDisk{DiskMB: 100000},
			},
		})
	}
	return t.Snapshot()
}

func benchJob(count int, spread bool) *model.Job {
	g := &model.TaskGroup{
		Name: "g", Count: count,
		Constraints:   []model.Constraint{{LTarget: "${attr.kernel.name}", Operand: "=", RTarget: "linux"}},
		EphemeralDisk: &model.EphemeralDisk{SizeMB: 300},
		Tasks:         []*model.Task{{Name: "t", Driver: "run", Resources: &model.Resources{CPU: 100, MemoryMB: 300}}},
	}
	if spread {
		g.Spreads = []model.Spread{{Attribute: "${meta.rack}", Weight: 100}}
	}
	return &model.Job{ID: "j", Namespace: "default", Type: "service", Datacenters: []string{"*"}, NodePool: "default", TaskGroups: []*model.TaskGroup{g}}
}

func BenchmarkPlace(b *testing.B) {
	s := benchFleet(5000, 50)
	for _, c := range []struct {
		name   string
		count  int
		spread bool
	}{{"1200", 1200, false}, {"1200-spread50", 1200, true}, {"1", 1, false}} {
		b.Run(c.name, func(b *testing.B) {
			job := benchJob(c.count, c.spread)
			b.ReportAllocs()
			for i := range b.N {
				d := s.Draft()
				p := New(Config{Draft: d, Rules: feasible.NewRules(d, job, job.TaskGroups[0], false), Job: job, Group: job.TaskGroups[0], Seed: uint64(i), Placements: c.count})
				for range c.count {
					if _, ok := p.Next(Wish{}); !ok {
						b.Fatal("no room")
					}
				}
			}
			b.ReportMetric(float64(b.N*c.count)/b.Elapsed().Seconds(), "placements/s")
		})
	}
}
