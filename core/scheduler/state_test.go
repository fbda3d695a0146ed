package scheduler

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// world is a state that plans can be committed to.
type world struct {
	t        testing.TB
	index    uint64
	table    *fleet.Table
	snapshot *fleet.Snapshot
	jobs     map[string][]*model.Job // newest last
	allocs   map[string]*model.Allocation
	deploy   []*model.Deployment
	config   *model.SchedulerConfig
	ids      int
	now      time.Time
}

func newWorld(t testing.TB) *world {
	return &world{
		t: t, table: fleet.New(), jobs: map[string][]*model.Job{}, allocs: map[string]*model.Allocation{},
		config: model.DefaultSchedulerConfig(), now: time.Unix(1_700_000_000, 0),
	}
}

func (w *world) Index() uint64 { return w.index }

func (w *world) Fleet() *fleet.Snapshot {
	if w.snapshot == nil {
		w.snapshot = w.table.Snapshot()
	}
	return w.snapshot
}

func (w *world) Job(_, id string) *model.Job {
	if v := w.jobs[id]; len(v) > 0 {
		return v[len(v)-1]
	}
	return nil
}

func (w *world) JobVersion(_, id string, version uint64) *model.Job {
	for _, j := range w.jobs[id] {
		if j.Version == version {
			return j
		}
	}
	return nil
}

func (w *world) AllocsByJob(_, id string) []*model.Allocation {
	var out []*model.Allocation
	for _, a := range w.allocs {
		if a.JobID == id {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) AllocsByNode(id string) []*model.Allocation {
	var out []*model.Allocation
	for _, a := range w.allocs {
		if a.NodeID == id {
			out = append(out, a)
		}
	}
	return out
}

func (w *world) LatestDeployment(_, id string) *model.Deployment {
	var last *model.Deployment
	for _, d := range w.deploy {
		if d.JobID == id {
			last = d
		}
	}
	return last
}

func (w *world) SchedulerConfig() *model.SchedulerConfig { return w.config }

func (w *world) node(n *model.Node) {
	w.table.UpsertNode(n)
	w.snapshot = nil
	w.index++
}

func (w *world) job(j *model.Job) {
	w.jobs[j.ID] = append(w.jobs[j.ID], j)
	w.index++
}

// set stores an allocation.
func (w *world) set(a *model.Allocation) {
	w.table.ApplyAlloc(w.allocs[a.ID], a)
	w.allocs[a.ID] = a
	w.snapshot = nil
}

func (w *world) newID() string {
	w.ids++
	return fmt.Sprintf("id-%04d", w.ids)
}

func (w *world) eval(j *model.Job) *model.Evaluation {
	return &model.Evaluation{
		ID: w.newID(), Namespace: j.Namespace, JobID: j.ID, Type: j.Type, Priority: 50,
		TriggeredBy: model.TriggerJobRegister, Status: model.EvalPending,
	}
}

// process runs the scheduler.
func (w *world) process(e *model.Evaluation, seed uint64) *Outcome {
	w.t.Helper()
	out, err := Process(Input{Eval: e, State: w, Now: w.now, Seed: seed, NewID: w.newID})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// commit checks a plan as the plan applier does and stores it.
func (w *world) commit(p *model.Plan) {
	w.t.Helper()
	draft := w.Fleet().Draft()
	nodes := map[string]bool{}
	for id := range p.NodeUpdate {
		nodes[id] = true
	}
	for id := range p.NodeAllocation {
		nodes[id] = true
	}
	for id := range nodes {
		var removed []*model.Allocation
		for _, a := range append(slices.Clone(p.NodeUpdate[id]), p.NodePreemptions[id]...) {
			removed = append(removed, w.allocs[a.ID])
		}
		for _, a := range p.NodeAllocation[id] {
			if old := w.allocs[a.ID]; old != nil {
				removed = append(removed, old)
			}
		}
		if len(p.NodeAllocation[id]) == 0 {
			continue
		}
		if ok, why := feasible.CheckDraft(draft, id, removed, p.NodeAllocation[id]); !ok {
			w.t.Fatalf("plan is refused on node %s: %s", id, why)
		}
		w.checkByList(id, p)
	}
	w.index++
	for _, lists := range []map[string][]*model.Allocation{p.NodeUpdate, p.NodePreemptions} {
		for _, list := range lists {
			for _, a := range list {
				w.set(a)
			}
		}
	}
	for _, list := range p.NodeAllocation {
		for _, a := range list {
			if a.CreateIndex == 0 {
				a.CreateIndex = w.index
			}
			w.set(a)
		}
	}
	if p.Deployment != nil {
		w.deploy = append(w.deploy, p.Deployment)
	}
	for _, u := range p.DeploymentUpdates {
		for _, d := range w.deploy {
			if d.ID == u.DeploymentID {
				d.Status, d.StatusDescription = u.Status, u.StatusDescription
			}
		}
	}
}

// checkByList asks the same of the form that takes lists of allocations.
func (w *world) checkByList(id string, p *model.Plan) {
	w.t.Helper()
	gone := map[string]bool{}
	for _, a := range append(slices.Clone(p.NodeUpdate[id]), p.NodePreemptions[id]...) {
		gone[a.ID] = true
	}
	var existing []*model.Allocation
	for _, a := range w.AllocsByNode(id) {
		if !gone[a.ID] && !a.Terminal() {
			existing = append(existing, a)
		}
	}
	if ok, why := feasible.Check(w.Fleet().NodeByID(id), existing, p.NodeAllocation[id]); !ok {
		w.t.Fatalf("plan is refused on node %s by list: %s", id, why)
	}
}

func testNode(id string) *model.Node {
	return &model.Node{
		ID: id, Name: id, Datacenter: "dc1", NodePool: "default", Attributes: map[string]string{"kernel.name": "linux"},
		Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
		Drivers: map[string]*model.DriverInfo{"run": {Detected: true, Healthy: true}},
		NodeResources: &model.NodeResources{
			Cpu:    model.NodeCPU{CpuShares: 4000, TotalCpuCores: 4, ReservableCpuCores: []uint16{0, 1, 2, 3}},
			Memory: model.NodeMemory{MemoryMB: 8192}, Disk: model.NodeDisk{DiskMB: 100000},
			NodeNetworks: []*model.NodeNetworkDevice{{Mode: "host", Device: "eth0", Addresses: []model.NodeNetworkAddress{
				{Family: "ipv4", Alias: "default", Address: "10.0.0.1"},
			}}},
		},
	}
}

func testJob(typ string, count int) *model.Job {
	g := &model.TaskGroup{
		Name: "g", Count: count, EphemeralDisk: &model.EphemeralDisk{SizeMB: 300},
		Tasks: []*model.Task{{Name: "t", Driver: "run", Resources: &model.Resources{CPU: 500, MemoryMB: 256}}},
	}
	switch typ {
	case model.JobTypeService:
		g.Update = &model.Update{MaxParallel: 1, HealthCheck: "checks", ProgressDeadline: 10 * time.Minute}
		g.ReschedulePolicy = &model.ReschedulePolicy{Delay: 30 * time.Second, DelayFunction: "exponential", MaxDelay: time.Hour, Unlimited: true}
	case model.JobTypeBatch:
		g.ReschedulePolicy = &model.ReschedulePolicy{Attempts: 1, Interval: 24 * time.Hour, Delay: 5 * time.Second, DelayFunction: "constant"}
	}
	return &model.Job{
		ID: "job", Name: "job", Namespace: "default", Type: typ, Priority: 50, Datacenters: []string{"*"}, NodePool: "default",
		TaskGroups: []*model.TaskGroup{g}, CreateIndex: 1, JobModifyIndex: 1,
	}
}
