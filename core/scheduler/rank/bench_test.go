package rank

import (
	"fmt"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// benchFleet is nodes of a few sizes in so many racks.
func benchFleet(nodes, racks int) ([]*model.Node, *fleet.Snapshot) {
	t := fleet.New()
	var list []*model.Node
	for i := range nodes {
		n := &model.Node{
			ID: fmt.Sprintf("node-%05d", i), Datacenter: "dc1", NodePool: "default",
			Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
			Attributes: map[string]string{"kernel.name": "linux"},
			Drivers:    map[string]*model.DriverInfo{"run": {Detected: true, Healthy: true}},
			Meta:       map[string]string{"rack": fmt.Sprintf("r%d", i%racks)},
			NodeResources: &model.NodeResources{
				Cpu:    model.NodeCPU{CpuShares: int64(4000 + i%7*500), TotalCpuCores: 4},
				Memory: model.NodeMemory{MemoryMB: int64(8192 + i%5*1024)}, Disk: model.NodeDisk{DiskMB: 100000},
			},
		}
		list = append(list, n)
		t.UpsertNode(n)
	}
	return list, t.Snapshot()
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
	return &model.Job{
		ID: "j", Namespace: "default", Datacenters: []string{"*"}, NodePool: "default", TaskGroups: []*model.TaskGroup{g},
	}
}

// placeAll places the whole job and returns how long that took.
func placeAll(t testing.TB, s *fleet.Snapshot, job *model.Job, seed uint64) time.Duration {
	g := job.TaskGroups[0]
	start := time.Now()
	d := s.Draft()
	p := New(Config{Draft: d, Rules: feasible.NewRules(d, job, g, false), Job: job, Group: g, Seed: seed, Placements: g.Count})
	for range g.Count {
		if _, ok := p.Next(Wish{}); !ok {
			t.Fatal("no room")
		}
	}
	return time.Since(start)
}

// slowly places some instances with the slow scheduler and returns the time for one.
func slowly(nodes []*model.Node, job *model.Job, placements int) time.Duration {
	g := job.TaskGroups[0]
	s := &slow{nodes: nodes, job: job, group: g, allocs: map[string][]*model.Allocation{}}
	start := time.Now()
	for range placements {
		n, _ := s.best(nil)
		s.allocs[n.ID] = append(s.allocs[n.ID], &model.Allocation{
			JobID: job.ID, NodeID: n.ID, AllocatedResources: feasible.NewAsk(g, false).Shared(),
		})
	}
	return time.Since(start) / time.Duration(placements)
}

// BenchmarkPlace places one group and compares the time per placement with the slow scheduler's in the same run.
func BenchmarkPlace(b *testing.B) {
	nodes, s := benchFleet(5000, 50)
	for _, c := range []struct {
		name   string
		count  int
		spread bool
	}{{"1200", 1200, false}, {"1200-over-50-racks", 1200, true}, {"1", 1, false}} {
		b.Run(c.name, func(b *testing.B) {
			job := benchJob(c.count, c.spread)
			reference := slowly(nodes, job, 3)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				placeAll(b, s, job, uint64(i))
			}
			each := b.Elapsed().Seconds() / float64(b.N*c.count)
			b.ReportMetric(1/each, "placements/s")
			b.ReportMetric(reference.Seconds()/each, "x-slow")
		})
	}
}

// A floor that does not depend on the machine: placing many instances must stay far below the cost of looking at every
// node for each.
func TestFloor(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	nodes, s := benchFleet(1000, 20)
	for name, spread := range map[string]bool{"plain": false, "spread": true} {
		job := benchJob(400, spread)
		best := 0.0
		for range 5 { // the best of some, for a machine that is busy with other things
			reference := slowly(nodes, job, 2)
			each := placeAll(t, s, job, 1) / 400
			best = max(best, reference.Seconds()/each.Seconds())
		}
		if best < 50 {
			t.Errorf("%s: only %.0f times as fast as the slow scheduler, want 50", name, best)
		}
		t.Logf("%s: %.0f times as fast as the slow scheduler", name, best)
	}
}
