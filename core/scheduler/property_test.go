package scheduler

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/droverhq/drover/core/model"
)

// Whatever happens to a cluster in whatever order: every plan is accepted on the state it was made on, no node is ever
// over-committed, the same input gives the same plan, and when the dust settles each group has what it asks for or an
// explanation.
func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		for i := range rapid.IntRange(1, 6).Draw(rt, "nodes") {
			w.node(propertyNode(rt, i))
		}
		typ := rapid.SampledFrom([]string{model.JobTypeService, model.JobTypeBatch, model.JobTypeSystem, model.JobTypeSysBatch}).Draw(rt, "type")
		if rapid.Bool().Draw(rt, "preemption") {
			w.config.PreemptionConfig = model.PreemptionConfig{
				SystemSchedulerEnabled: true, SysBatchSchedulerEnabled: true, BatchSchedulerEnabled: true, ServiceSchedulerEnabled: true,
			}
		}
		for i := range rapid.IntRange(0, 6).Draw(rt, "fillers") {
			node := fmt.Sprintf("n%d", rapid.IntRange(0, 5).Draw(rt, "on"))
			if w.Fleet().NodeByID(node) != nil && len(w.AllocsByNode(node)) < 2 {
				filler(w, fmt.Sprintf("f%d", i), node, rapid.IntRange(20, 60).Draw(rt, "priority"), func(r *model.AllocatedResources) {
					r.Tasks["t"].Cpu.CpuShares = 1800
				})
			}
		}
		version := uint64(0)
		w.job(propertyJob(rt, typ, version))
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 6).Draw(rt, "event") {
			case 0:
				version++
				w.job(propertyJob(rt, typ, version))
			case 1:
				w.node(propertyNode(rt, rapid.IntRange(0, 6).Draw(rt, "node")))
			case 2:
				anAlloc(rt, w, func(a *model.Allocation) { fail(a, w.now) })
			case 3:
				anAlloc(rt, w, func(a *model.Allocation) { yes := true; a.DesiredTransition.Migrate = &yes })
			case 4:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 4000).Draw(rt, "seconds")) * time.Second)
			case 5:
				for _, a := range w.allocs {
					beHealthy(w, a)
				}
			}
			step(rt, w, typ)
		}
		settle(rt, w, typ)
	})
}

// step runs one evaluation and commits its plan.
func step(rt *rapid.T, w *world, typ string) *Outcome {
	job := w.Job("", "job")
	eval := w.eval(job)
	seed := rapid.Uint64().Draw(rt, "seed")
	ids := w.ids
	first := w.process(eval, seed)
	w.ids = ids
	out := w.process(eval, seed)
	if a, b := dump(first.Plan), dump(out.Plan); a != b {
		rt.Fatalf("the same input gave two plans:\n%s\n%s", a, b)
	}
	w.commit(out.Plan)
	overcommit(rt, w)
	return out
}

func dump(p *model.Plan) string {
	for _, lists := range []map[string][]*model.Allocation{p.NodeUpdate, p.NodeAllocation, p.NodePreemptions} {
		for _, l := range lists {
			slices.SortFunc(l, func(a, b *model.Allocation) int { return nameOrder(a, b) })
		}
	}
	b, _ := json.Marshal(p)
	return string(b)
}

func nameOrder(a, b *model.Allocation) int {
	if a.Name != b.Name {
		return len(a.Name) - len(b.Name) + 2*compareText(a.Name, b.Name)
	}
	return compareText(a.ID, b.ID)
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// overcommit adds everything up again.
func overcommit(rt *rapid.T, w *world) {
	for _, n := range w.Fleet().All() {
		var cpu, mem int64
		ports, cores, devices := map[int]string{}, map[uint16]string{}, map[string]string{}
		var names []string
		for _, a := range w.AllocsByNode(n.ID) {
			if a.Terminal() {
				continue
			}
			names = append(names, a.Name)
			for _, task := range a.AllocatedResources.Tasks {
				cpu += task.Cpu.CpuShares
				mem += task.Memory.MemoryMB
				for _, c := range task.Cpu.ReservedCores {
					if other := cores[c]; other != "" {
						rt.Fatalf("node %s: core %d is held by %s and %s", n.ID, c, other, a.ID)
					}
					cores[c] = a.ID
				}
				for _, d := range task.Devices {
					for _, id := range d.DeviceIDs {
						if other := devices[d.ID()+" "+id]; other != "" {
							rt.Fatalf("node %s: device %s %s is held by %s and %s", n.ID, d.ID(), id, other, a.ID)
						}
						devices[d.ID()+" "+id] = a.ID
					}
				}
			}
			for _, p := range a.AllocatedResources.Shared.Ports {
				if other := ports[p.Value]; other != "" {
					rt.Fatalf("node %s: port %d is held by %s and %s", n.ID, p.Value, other, a.ID)
				}
				ports[p.Value] = a.ID
			}
		}
		if n.Status == model.NodeStatusReady && (cpu > 4000 || mem > 8192) {
			rt.Fatalf("node %s holds %d MHz and %d MB: %v", n.ID, cpu, mem, names)
		}
	}
}

// settle runs evaluations, with all allocations becoming healthy, until nothing changes, and looks at the end.
func settle(rt *rapid.T, w *world, typ string) {
	w.now = w.now.Add(100 * time.Hour)
	for round := 0; ; round++ {
		for _, a := range w.allocs {
			beHealthy(w, a)
			letReschedule(w, a)
		}
		out := step(rt, w, typ)
		if out.Plan.Empty() {
			checkEnd(rt, w, out)
			return
		}
		if round > 60 {
			rt.Fatalf("no end in sight: %s", dump(out.Plan))
		}
	}
}

func checkEnd(rt *rapid.T, w *world, out *Outcome) {
	job := w.Job("", "job")
	live := map[string]int{}
	for _, a := range w.allocs {
		if a.JobID != job.ID {
			continue
		}
		if a.Terminal() && a.ClientStatus != model.AllocClientFailed || a.ServerTerminal() {
			continue
		}
		if a.NextAllocation == "" {
			live[a.TaskGroup]++
		}
		if !a.Terminal() && a.JobVersion != job.Version && len(out.Eval.FailedTGAllocs) == 0 {
			rt.Fatalf("%s still runs version %d of %d", a.Name, a.JobVersion, job.Version)
		}
	}
	g := job.TaskGroups[0]
	if job.Type != model.JobTypeService && job.Type != model.JobTypeBatch {
		return
	}
	failed := out.Eval.FailedTGAllocs[g.Name]
	if failed != nil && failed.NodesEvaluated+failed.NodesFiltered+failed.NodesExhausted == 0 && len(failed.NodesAvailable) > 0 {
		total := 0
		for _, n := range failed.NodesAvailable {
			total += n
		}
		if total > 0 {
			rt.Fatalf("failed without an explanation: %+v", failed)
		}
	}
	if failed == nil && live[g.Name] < g.Count {
		rt.Fatalf("%d of %d run, and nothing says why: %+v", live[g.Name], g.Count, out.Eval)
	}
	if failed != nil && out.Blocked == nil {
		rt.Fatal("failed without a blocked evaluation")
	}
}

func propertyNode(rt *rapid.T, i int) *model.Node {
	n := testNode(fmt.Sprintf("n%d", i))
	n.NodeResources.NodeNetworks[0].Addresses[0].Address = fmt.Sprintf("10.0.0.%d", i)
	n.Meta = map[string]string{"rack": fmt.Sprintf("r%d", rapid.IntRange(0, 2).Draw(rt, "rack"))}
	for i := range rapid.IntRange(0, 3).Draw(rt, "devices") {
		d := &model.NodeDevice{Vendor: "acme", Type: "gpu", Name: fmt.Sprintf("m%d", i%2), Attributes: map[string]*model.DeviceAttribute{
			"memory": {Int: new(int64(rapid.IntRange(1, 3).Draw(rt, "memory"))), Unit: "GiB"},
		}}
		if i == 2 {
			d.Type = "fpga"
		}
		for id := range rapid.IntRange(1, 3).Draw(rt, "instances") {
			d.Instances = append(d.Instances, &model.NodeDeviceInstance{ID: fmt.Sprint(id), Healthy: rapid.IntRange(0, 4).Draw(rt, "healthy") > 0})
		}
		n.NodeResources.Devices = append(n.NodeResources.Devices, d)
	}
	switch rapid.IntRange(0, 7).Draw(rt, "status") {
	case 0:
		n.Status = model.NodeStatusDown
	case 1:
		n.SchedulingEligibility = model.NodeIneligible
	case 2:
		n.Status = model.NodeStatusDisconnected
	}
	return n
}

func propertyJob(rt *rapid.T, typ string, version uint64) *model.Job {
	j := testJob(typ, rapid.IntRange(0, 6).Draw(rt, "count"))
	j.Version, j.JobModifyIndex = version, version+1
	g := j.TaskGroups[0]
	if typ == model.JobTypeSystem {
		g.Count = min(g.Count, 1)
		g.Update = &model.Update{MaxParallel: rapid.IntRange(0, 2).Draw(rt, "parallel")}
	}
	if typ == model.JobTypeService {
		g.Update.MaxParallel = rapid.IntRange(0, 3).Draw(rt, "parallel")
	}
	g.Tasks[0].Config = map[string]any{"command": rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "command")}
	g.Tasks[0].Resources = &model.Resources{CPU: rapid.SampledFrom([]int{100, 1500}).Draw(rt, "cpu"), MemoryMB: 300}
	switch rapid.IntRange(0, 8).Draw(rt, "extra") {
	case 0:
		g.Networks = []*model.Network{{DynamicPorts: []model.Port{{Label: "a"}}}}
	case 1:
		g.Networks = []*model.Network{{ReservedPorts: []model.Port{{Label: "a", Value: 80}}}}
	case 2:
		g.Tasks[0].Resources = &model.Resources{Cores: 2, MemoryMB: 300}
	case 3:
		g.Constraints = []model.Constraint{{Operand: model.OpDistinctHosts}}
	case 4:
		g.Spreads = []model.Spread{{Attribute: "${meta.rack}", Weight: 50}}
	}
	if extra := rapid.IntRange(0, 3).Draw(rt, "wants devices"); extra > 1 {
		g.Tasks[0].Resources.Devices = propertyDevices(rt)
	}
	if rapid.Bool().Draw(rt, "disconnect") && typ != model.JobTypeSysBatch {
		g.Disconnect = &model.Disconnect{LostAfter: time.Hour, Replace: rapid.Bool().Draw(rt, "replace"), Reconcile: "best_score"}
	}
	return j
}

func propertyDevices(rt *rapid.T) []*model.RequestedDevice {
	var out []*model.RequestedDevice
	for range rapid.IntRange(1, 2).Draw(rt, "requests") {
		d := &model.RequestedDevice{
			Name:  rapid.SampledFrom([]string{"gpu", "acme/gpu", "acme/gpu/m1", "fpga"}).Draw(rt, "device"),
			Count: uint64(rapid.IntRange(1, 2).Draw(rt, "device count")),
		}
		if rapid.Bool().Draw(rt, "device constraint") {
			d.Constraints = []model.Constraint{{LTarget: "${device.attr.memory}", Operand: ">=", RTarget: "2048 MiB"}}
		}
		if rapid.Bool().Draw(rt, "device affinity") {
			d.Affinities = []model.Affinity{{LTarget: "${device.model}", Operand: "=", RTarget: "m1", Weight: 50}}
		}
		out = append(out, d)
	}
	return out
}

// anAlloc changes one live allocation.
func anAlloc(rt *rapid.T, w *world, change func(*model.Allocation)) {
	var ids []string
	for id, a := range w.allocs {
		if !a.Terminal() && a.JobID == "job" {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	a := *w.allocs[rapid.SampledFrom(ids).Draw(rt, "alloc")]
	change(&a)
	w.set(&a)
}

func fail(a *model.Allocation, at time.Time) {
	a.ClientStatus = model.AllocClientFailed
	a.TaskStates = map[string]*model.TaskState{"t": {State: model.TaskDead, Failed: true, FinishedAt: at}}
}

// beHealthy makes an allocation on a ready node run and be healthy.
func beHealthy(w *world, a *model.Allocation) {
	n := w.Fleet().NodeByID(a.NodeID)
	if a.Terminal() || n == nil || n.Status != model.NodeStatusReady {
		return
	}
	c := *a
	healthy := true
	c.ClientStatus = model.AllocClientRunning
	c.DeploymentStatus = &model.AllocDeploymentStatus{Healthy: &healthy}
	w.set(&c)
	for _, d := range w.deploy {
		for name, g := range d.TaskGroups {
			g.HealthyAllocs = 0
			for _, other := range w.allocs {
				if other.DeploymentID == d.ID && other.TaskGroup == name && other.DeploymentStatus != nil {
					g.HealthyAllocs++
				}
			}
		}
	}
}

// letReschedule is what the deployment watcher does with a failed allocation whose deployment may go on.
func letReschedule(w *world, a *model.Allocation) {
	if a.ClientStatus != model.AllocClientFailed || a.ServerTerminal() || a.DeploymentID == "" {
		return
	}
	c := *a
	yes := true
	c.DesiredTransition.Reschedule = &yes
	w.set(&c)
}

func TestSeedsBreakTies(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		w.node(testNode(fmt.Sprintf("n%02d", i)))
	}
	job := testJob(model.JobTypeService, 1)
	w.job(job)
	chosen := map[string]bool{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		for node := range placedOn(w.process(w.eval(job), rng.Uint64()).Plan) {
			chosen[node] = true
		}
	}
	if len(chosen) < 5 {
		t.Errorf("20 seeds chose only %d of 50 equal nodes", len(chosen))
	}
}
