package rank

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// slow is the obvious scheduler: for each placement it looks at every node and adds up everything on it again. It knows
// the rules that the random jobs below use, each written out in the plainest way.
type slow struct {
	nodes  []*model.Node
	job    *model.Job
	group  *model.TaskGroup
	spread bool
	allocs map[string][]*model.Allocation // by node
	used   map[string]map[string]int      // by attribute and value: the job's allocations
}

// recount counts the job's allocations on the values of an attribute.
func (s *slow) recount() {
	s.used = map[string]map[string]int{}
	for _, ref := range []string{"${meta.rack}", "${meta.disk}", "${node.unique.id}"} {
		s.used[ref] = map[string]int{}
		for _, n := range s.nodes {
			if v, ok := s.value(n, ref); ok {
				if c := s.count(n); c > 0 {
					s.used[ref][v] += c
				}
			}
		}
	}
}

func (s *slow) value(n *model.Node, ref string) (string, bool) {
	switch ref {
	case "${meta.rack}":
		v, ok := n.Meta["rack"]
		return v, ok
	case "${meta.disk}":
		v, ok := n.Meta["disk"]
		return v, ok
	case "${node.unique.id}":
		return n.ID, true
	case "${attr.kernel.name}":
		return n.Attributes["kernel.name"], true
	}
	panic(ref)
}

func (s *slow) sum(n *model.Node) (cpu, mem, disk int64, ports map[int]bool, same int) {
	ports = map[int]bool{}
	for _, a := range s.allocs[n.ID] {
		for _, t := range a.AllocatedResources.Tasks {
			cpu += t.Cpu.CpuShares
			mem += t.Memory.MemoryMB
		}
		disk += a.AllocatedResources.Shared.DiskMB
		for _, p := range a.AllocatedResources.Shared.Ports {
			ports[p.Value] = true
		}
		if a.JobID == s.job.ID {
			same++
		}
	}
	return cpu, mem, disk, ports, same
}

func (s *slow) count(n *model.Node) int {
	_, _, _, _, same := s.sum(n)
	return same
}

func (s *slow) feasible(n *model.Node) bool {
	if !n.Ready() || n.Drivers["run"] == nil || !n.Drivers["run"].Healthy {
		return false
	}
	for _, c := range append(append([]model.Constraint(nil), s.job.Constraints...), s.group.Constraints...) {
		switch c.Operand {
		case "=":
			if v, ok := s.value(n, c.LTarget); !ok || v != c.RTarget {
				return false
			}
		case "distinct_hosts":
			if s.count(n) > 0 {
				return false
			}
		case "distinct_property":
			mine, ok := s.value(n, c.LTarget)
			if !ok {
				return false
			}
			if s.used[c.LTarget][mine] >= int(c.RTarget[0]-'0') {
				return false
			}
		}
	}
	cpu, mem, disk, ports, _ := s.sum(n)
	task := s.group.Tasks[0].Resources
	if cpu+int64(task.CPU) > n.NodeResources.Cpu.CpuShares || mem+int64(task.MemoryMB) > n.NodeResources.Memory.MemoryMB ||
		disk+int64(s.group.EphemeralDisk.SizeMB) > n.NodeResources.Disk.DiskMB {
		return false
	}
	free := 0
	for p := n.NodeResources.MinDynamicPort; p <= n.NodeResources.MaxDynamicPort; p++ {
		if !ports[p] {
			free++
		}
	}
	for _, nw := range s.group.Networks {
		for _, p := range nw.ReservedPorts {
			if ports[p.Value] {
				return false
			}
		}
		if len(nw.DynamicPorts) > free {
			return false
		}
	}
	return true
}

func (s *slow) score(n *model.Node, avoid map[string]bool) float64 {
	cpu, mem, _, _, same := s.sum(n)
	task := s.group.Tasks[0].Resources
	freeCPU := 1 - float64(cpu+int64(task.CPU))/float64(n.NodeResources.Cpu.CpuShares)
	freeMem := 1 - float64(mem+int64(task.MemoryMB))/float64(n.NodeResources.Memory.MemoryMB)
	fit := 20 - (math.Pow(10, freeCPU) + math.Pow(10, freeMem))
	if s.spread {
		fit = math.Pow(10, freeCPU) + math.Pow(10, freeMem) - 2
	}
	terms := []float64{math.Min(18, math.Max(0, fit)) / 18}
	if same > 0 {
		terms = append(terms, -float64(same+1)/float64(s.group.Count))
	}
	if avoid[n.ID] {
		terms = append(terms, -1)
	}
	if len(s.group.Affinities) > 0 {
		sum, weights := 0.0, 0.0
		for _, a := range s.group.Affinities {
			weights += math.Abs(float64(a.Weight))
			if v, ok := s.value(n, a.LTarget); ok && v == a.RTarget {
				sum += float64(a.Weight)
			}
		}
		terms = append(terms, sum/weights)
	}
	if boost := s.boost(n); boost != 0 {
		terms = append(terms, boost)
	}
	sum := 0.0
	for _, t := range terms {
		sum += t
	}
	return sum / float64(len(terms))
}

func (s *slow) boost(n *model.Node) float64 {
	total, weights := 0.0, 0.0
	for _, sp := range s.group.Spreads {
		weights += float64(sp.Weight)
	}
	for _, sp := range s.group.Spreads {
		used := s.used[sp.Attribute]
		mine, ok := s.value(n, sp.Attribute)
		if len(sp.SpreadTarget) == 0 {
			total += evenBoost(used, mine, ok)
			continue
		}
		total += targetBoost(sp, used, mine, ok, s.group.Count, float64(sp.Weight)/weights)
	}
	return total
}

func evenBoost(used map[string]int, mine string, ok bool) float64 {
	if len(used) == 0 {
		return 0
	}
	if !ok {
		return -1
	}
	least, most := math.MaxInt, 0
	for _, n := range used {
		least, most = min(least, n), max(most, n)
	}
	switch n := used[mine]; {
	case n != least:
		return float64(least-n) / float64(least)
	case least == most:
		return -1
	default:
		return float64(most-least) / float64(least)
	}
}

func targetBoost(sp model.Spread, used map[string]int, mine string, ok bool, count int, weight float64) float64 {
	if !ok {
		return -1
	}
	sum := 0.0
	for _, t := range sp.SpreadTarget {
		sum += float64(t.Percent)
		if t.Value == mine {
			want := float64(t.Percent) / 100 * float64(count)
			return (want - float64(used[mine]+1)) / want * weight
		}
	}
	if sum >= 100 {
		return -1
	}
	want := (100 - sum) / 100 * float64(count)
	return (want - float64(used[mine]+1)) / want * weight
}

// best is the highest score of any feasible node.
func (s *slow) best(avoid map[string]bool) (*model.Node, float64) {
	s.recount()
	var best *model.Node
	score := 0.0
	for _, n := range s.nodes {
		if s.feasible(n) {
			if sc := s.score(n, avoid); best == nil || sc > score {
				best, score = n, sc
			}
		}
	}
	return best, score
}

func randomNode(t *rapid.T, i int) *model.Node {
	n := &model.Node{
		ID: fmt.Sprintf("n%02d", i), Datacenter: "dc1", NodePool: "default", Status: model.NodeStatusReady,
		SchedulingEligibility: model.NodeEligible, Meta: map[string]string{},
		Attributes: map[string]string{"kernel.name": rapid.SampledFrom([]string{"linux", "linux", "windows"}).Draw(t, "kernel")},
		Drivers:    map[string]*model.DriverInfo{"run": {Detected: true, Healthy: rapid.IntRange(0, 9).Draw(t, "health") > 0}},
		NodeResources: &model.NodeResources{
			Cpu:    model.NodeCPU{CpuShares: int64(rapid.IntRange(1, 4).Draw(t, "cpu")) * 1000},
			Memory: model.NodeMemory{MemoryMB: int64(rapid.IntRange(1, 4).Draw(t, "mem")) * 1000}, Disk: model.NodeDisk{DiskMB: 2000},
			MinDynamicPort: 20000, MaxDynamicPort: 20002,
			NodeNetworks: []*model.NodeNetworkDevice{{Addresses: []model.NodeNetworkAddress{{Alias: "default", Address: "10.0.0.1"}}}},
		},
	}
	if rapid.IntRange(0, 9).Draw(t, "eligible") == 0 {
		n.SchedulingEligibility = model.NodeIneligible
	}
	if r := rapid.IntRange(0, 3).Draw(t, "rack"); r > 0 {
		n.Meta["rack"] = fmt.Sprintf("r%d", r)
	}
	if rapid.Bool().Draw(t, "ssd") {
		n.Meta["disk"] = "ssd"
	}
	return n
}

func randomGroup(t *rapid.T) *model.TaskGroup {
	g := &model.TaskGroup{
		Name: "g", Count: rapid.IntRange(1, 12).Draw(t, "count"),
		EphemeralDisk: &model.EphemeralDisk{SizeMB: rapid.SampledFrom([]int{10, 300}).Draw(t, "disk")},
		Tasks: []*model.Task{{Name: "t", Driver: "run", Resources: &model.Resources{
			CPU: rapid.IntRange(1, 20).Draw(t, "cpu") * 50, MemoryMB: rapid.IntRange(1, 20).Draw(t, "mem") * 50,
		}}},
	}
	constrain := func(l, op, r string) {
		g.Constraints = append(g.Constraints, model.Constraint{LTarget: l, Operand: op, RTarget: r})
	}
	switch rapid.IntRange(0, 7).Draw(t, "constraint") {
	case 0:
		constrain("${attr.kernel.name}", "=", "linux")
	case 1:
		constrain("", "distinct_hosts", "")
	case 2:
		constrain("${meta.rack}", "distinct_property", "2")
	case 3:
		constrain("${node.unique.id}", "=", "n03")
	}
	switch rapid.IntRange(0, 4).Draw(t, "ports") {
	case 0:
		g.Networks = []*model.Network{{DynamicPorts: []model.Port{{Label: "a"}, {Label: "b"}}}}
	case 1:
		g.Networks = []*model.Network{{ReservedPorts: []model.Port{{Label: "a", Value: 80}}, DynamicPorts: []model.Port{{Label: "b"}}}}
	}
	if rapid.Bool().Draw(t, "affinity") {
		g.Affinities = []model.Affinity{
			{LTarget: "${meta.disk}", Operand: "=", RTarget: "ssd", Weight: int8(rapid.SampledFrom([]int{-100, 50}).Draw(t, "weight"))},
			{LTarget: "${meta.rack}", Operand: "=", RTarget: "r1", Weight: 30},
		}
	}
	switch rapid.IntRange(0, 3).Draw(t, "spread") {
	case 0:
		g.Spreads = []model.Spread{{Attribute: "${meta.rack}", Weight: 50}}
	case 1:
		g.Spreads = []model.Spread{
			{Attribute: "${meta.rack}", Weight: 50, SpreadTarget: []model.SpreadTarget{{Value: "r1", Percent: 60}}},
			{Attribute: "${meta.disk}", Weight: 20, SpreadTarget: []model.SpreadTarget{{Value: "ssd", Percent: 100}}},
		}
	case 2:
		g.Spreads = []model.Spread{{Attribute: "${node.unique.id}", Weight: 50}}
	}
	return g
}

// The fast scheduler places exactly when the slow one can, and never on a node that the slow one rates lower than its
// own choice.
func TestAgainstTheSlowOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := randomGroup(t)
		job := &model.Job{ID: "job", Namespace: "default", Datacenters: []string{"*"}, NodePool: "default", TaskGroups: []*model.TaskGroup{g}}
		s := &slow{job: job, group: g, spread: rapid.Bool().Draw(t, "algorithm"), allocs: map[string][]*model.Allocation{}}
		table := fleet.New()
		for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			n := randomNode(t, i)
			s.nodes = append(s.nodes, n)
			table.UpsertNode(n)
		}
		others := rapid.IntRange(0, 6).Draw(t, "others")
		for i := range others {
			n := rapid.SampledFrom(s.nodes).Draw(t, "on")
			owner := rapid.SampledFrom([]string{"job", "other"}).Draw(t, "owner")
			a := &model.Allocation{ID: fmt.Sprint(i), JobID: owner, TaskGroup: "g", NodeID: n.ID, AllocatedResources: &model.AllocatedResources{
				Tasks: map[string]*model.AllocatedTaskResources{"t": {
					Cpu: model.AllocatedCpu{CpuShares: 100}, Memory: model.AllocatedMemory{MemoryMB: 100}}},
				Shared: model.AllocatedSharedResources{Ports: []model.AllocatedPort{{Value: 20000 + i%3, HostIP: "10.0.0.1"}}},
			}}
			s.allocs[n.ID] = append(s.allocs[n.ID], a)
			table.ApplyAlloc(nil, a)
		}
		d := table.Snapshot().Draft()
		p := New(Config{
			Draft: d, Rules: feasible.NewRules(d, job, g, false), Job: job, Group: g, Spread: s.spread,
			Seed: rapid.Uint64().Draw(t, "seed"), Placements: g.Count,
		})
		bounded := len(s.nodes) > 1 && rapid.IntRange(0, 3).Draw(t, "bounded") == 0
		if bounded {
			p.full, p.batch, p.step = false, 2, coprime(len(p.at), p.rng)
		}
		for _, list := range s.allocs {
			for _, a := range list {
				if a.JobID == job.ID {
					p.Stays(a.NodeID, true)
				}
			}
		}
		for i := range g.Count + 2 {
			if rapid.IntRange(0, 4).Draw(t, "leaves") == 0 {
				leave(t, s, d, p)
			}
			var w Wish
			avoid := map[string]bool{}
			if rapid.IntRange(0, 4).Draw(t, "failed") == 0 {
				n := rapid.SampledFrom(s.nodes).Draw(t, "avoid")
				w.Avoid = []string{n.ID}
				avoid[n.ID] = true
			}
			want, wantScore := s.best(avoid)
			choice, ok := p.Next(w)
			if ok != (want != nil) {
				t.Fatalf("placement %d: placed %v, but the slow one says %+v; %+v", i, ok, want, p.Failure())
			}
			if !ok {
				return
			}
			if !s.feasible(choice.Node) {
				t.Fatalf("placement %d: %s is not feasible", i, choice.Node.ID)
			}
			got := s.score(choice.Node, avoid)
			if math.Abs(got-choice.Score) > 1e-9 {
				t.Fatalf("placement %d: score of %s is %v, the slow one says %v", i, choice.Node.ID, choice.Score, got)
			}
			if !bounded && got < wantScore-1e-9 {
				t.Fatalf("placement %d: %s with %v, but %s has %v", i, choice.Node.ID, got, want.ID, wantScore)
			}
			s.allocs[choice.Node.ID] = append(s.allocs[choice.Node.ID], &model.Allocation{
				JobID: job.ID, TaskGroup: "g", NodeID: choice.Node.ID, AllocatedResources: choice.Resources,
			})
		}
	})
}

// leave takes one of the job's allocations away, as a destructive update does.
func leave(t *rapid.T, s *slow, d *fleet.Draft, p *Placer) {
	for _, n := range s.nodes {
		for i, a := range s.allocs[n.ID] {
			if a.JobID != s.job.ID {
				continue
			}
			s.allocs[n.ID] = append(append([]*model.Allocation(nil), s.allocs[n.ID][:i]...), s.allocs[n.ID][i+1:]...)
			d.ReleaseAlloc(a)
			p.Frees(n.ID, true)
			return
		}
	}
}
