package consensus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // kept entries show times in UTC
	os.Exit(m.Run())
}

// history applies random entries the way the log does: encoded, decoded, one after the other.
type history struct {
	t     *testing.T
	rng   *rand.Rand
	store *state.Store
	index uint64
	ids   int
}

func (h *history) id(kind string) string {
	h.ids++
	return fmt.Sprintf("%s-%04d", kind, h.ids)
}

func (h *history) apply(e Entry) error {
	h.index++
	e.stamp(time.Unix(1700000000+int64(h.index), 0))
	data, err := Encode(e)
	if err != nil {
		h.t.Fatal(err)
	}
	return machine{h.store}.Apply(&raft.Log{Index: h.index, Data: data}).(outcome).err
}

func pick[T any](h *history, from []T) (v T) {
	if len(from) > 0 {
		v = from[h.rng.IntN(len(from))]
	}
	return v
}

func (h *history) allocs() (out []*model.Allocation) {
	for a := range h.store.Snapshot().Allocs("*", "") {
		out = append(out, a)
	}
	return out
}

func (h *history) job() *model.Job {
	id := fmt.Sprintf("job-%d", h.rng.IntN(4))
	j := &model.Job{
		Namespace: "default", ID: id, Name: id, Type: model.JobTypeService, Priority: 50, Datacenters: []string{"*"}, NodePool: "default",
		Meta:       map[string]string{"v": fmt.Sprint(h.rng.IntN(3))},
		TaskGroups: []*model.TaskGroup{{Name: "g", Count: h.rng.IntN(5)}},
	}
	switch id {
	case "job-2":
		j.Type = model.JobTypeBatch
	case "job-3":
		j.Type, j.ParameterizedJob = model.JobTypeBatch, &model.Parameterized{}
	}
	return j
}

func (h *history) eval(j *model.Job) *model.Evaluation {
	return &model.Evaluation{
		ID: h.id("eval"), Namespace: "default", JobID: j.ID, Type: j.Type, Priority: 50,
		Status: pick(h, []string{model.EvalPending, model.EvalBlocked, model.EvalComplete, model.EvalFailed}),
	}
}

// plan places, stops and rolls out for one job.
func (h *history) plan() Entry {
	snap := h.store.Snapshot()
	var jobs []*model.Job
	for j := range snap.Jobs("*", "") {
		jobs = append(jobs, j)
	}
	j := pick(h, jobs)
	if j == nil {
		return &ReconcileSummaries{}
	}
	p := CommittedPlan{NodeAllocation: map[string][]*model.Allocation{}, NodeUpdate: map[string][]*model.Allocation{}}
	d := snap.LatestDeployment("default", j.ID)
	if h.rng.IntN(3) == 0 && !d.Active() {
		d = &model.Deployment{
			ID: h.id("deployment"), Namespace: "default", JobID: j.ID, JobVersion: j.Version, JobCreateIndex: j.CreateIndex, Status: model.DeploymentRunning,
			TaskGroups: map[string]*model.DeploymentState{"g": {DesiredTotal: 3, ProgressDeadline: time.Minute}},
		}
		p.Deployment = d
	}
	for range h.rng.IntN(3) {
		a := &model.Allocation{
			ID: h.id("alloc"), Namespace: "default", JobID: j.ID, JobVersion: j.Version, TaskGroup: "g", NodeID: fmt.Sprintf("node-%d", h.rng.IntN(3)),
			DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending,
			AllocatedResources: &model.AllocatedResources{
				Tasks: map[string]*model.AllocatedTaskResources{"t": {Cpu: model.AllocatedCpu{CpuShares: int64(h.rng.IntN(500))}, Memory: model.AllocatedMemory{MemoryMB: 64}}},
			},
		}
		if d.Active() {
			a.DeploymentID = d.ID
		}
		p.NodeAllocation[a.NodeID] = append(p.NodeAllocation[a.NodeID], a)
	}
	for _, a := range snap.AllocsByJob("default", j.ID) {
		switch h.rng.IntN(8) {
		case 0:
			p.NodeUpdate[a.NodeID] = append(p.NodeUpdate[a.NodeID], &model.Allocation{
				ID: a.ID, DesiredStatus: model.AllocDesiredStop, ClientStatus: pick(h, []string{"", model.AllocClientLost}),
			})
		case 1:
			if !a.Terminal() {
				c := *a
				c.JobVersion = j.Version
				if d.Active() {
					c.DeploymentID = d.ID
				}
				p.NodeAllocation[a.NodeID] = append(p.NodeAllocation[a.NodeID], &c)
			}
		}
	}
	p.Evals = []*model.Evaluation{h.eval(j)}
	return &ApplyPlans{Plans: []CommittedPlan{p}}
}

func (h *history) next() Entry {
	snap := h.store.Snapshot()
	a := pick(h, h.allocs())
	if a == nil {
		a = &model.Allocation{ID: "none", NodeID: "node-0"}
	}
	node := fmt.Sprintf("node-%d", h.rng.IntN(3))
	var deployments []string
	for d := range snap.Deployments("*", "") {
		deployments = append(deployments, d.ID)
	}
	switch h.rng.IntN(16) {
	case 0, 1:
		j := h.job()
		e := &RegisterJob{Job: j, Tracked: 2, PreserveCounts: h.rng.IntN(4) == 0}
		if j.ID != "job-3" {
			e.Eval = h.eval(j)
		}
		return e
	case 2:
		j := h.job()
		j.ID = fmt.Sprintf("job-3/dispatch-%d", h.rng.IntN(3))
		j.ParentID, j.Type, j.ParameterizedJob, j.Dispatched = "job-3", model.JobTypeBatch, nil, true
		return &RegisterJob{Job: j, Tracked: 2, Eval: h.eval(j)}
	case 3:
		j := h.job()
		return &DeregisterJob{Namespace: "default", JobID: j.ID, Purge: h.rng.IntN(2) == 0, Eval: h.eval(j), Tracked: 2}
	case 4:
		return &RegisterNode{Node: &model.Node{
			ID: node, Name: node, Datacenter: "dc1", Status: pick(h, []string{model.NodeStatusInit, model.NodeStatusReady}),
			NodeResources: &model.NodeResources{Cpu: model.NodeCPU{CpuShares: 4000}, Memory: model.NodeMemory{MemoryMB: 4096}},
			Drivers:       map[string]*model.DriverInfo{"test": {Detected: true, Healthy: true, SchemaDigest: pick(h, []string{"a", "b"})}},
		}, Schemas: []DriverSchema{{Driver: "test", Digest: "a"}, {Driver: "test", Digest: "b"}}}
	case 5:
		return &NodeStatus{NodeID: node, Status: pick(h, []string{model.NodeStatusDown, model.NodeStatusReady}), Missed: true}
	case 6:
		return &DeleteNodes{NodeIDs: []string{node}}
	case 7, 8, 9:
		healthy := h.rng.IntN(2) == 0
		return &NodeUpdates{Updates: []NodeReport{{NodeID: a.NodeID, Allocs: []*model.Allocation{{
			ID: a.ID, ClientStatus: pick(h, []string{model.AllocClientRunning, model.AllocClientComplete, model.AllocClientFailed}),
			DeploymentStatus: &model.AllocDeploymentStatus{Healthy: &healthy},
		}}}}}
	case 10:
		return &Reap{Allocs: []string{a.ID}, Evals: []string{a.EvalID}, Deployments: []string{pick(h, deployments)}}
	case 11:
		return &DeploymentStatus{Update: model.DeploymentStatusUpdate{
			DeploymentID: pick(h, deployments), Status: pick(h, []string{model.DeploymentSuccessful, model.DeploymentFailed, model.DeploymentPaused, model.DeploymentRunning}),
		}}
	case 12:
		n := h.rng.IntN(5)
		return &ScaleJob{Namespace: "default", JobID: h.job().ID, Group: "g", Count: &n, Event: &model.ScalingEvent{}, Tracked: 2}
	case 13:
		return &DeploymentHealth{DeploymentID: a.DeploymentID, Healthy: []string{a.ID}}
	}
	return h.plan()
}

// Whatever entries come in whatever order: what the state counts is what its rows say, and a snapshot brings back the
// same state.
func TestInvariants(t *testing.T) {
	seeds, steps := 40, 150
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		store, err := state.New(state.Config{})
		if err != nil {
			t.Fatal(err)
		}
		h := &history{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 1)), store: store}
		for step := range steps {
			e := h.next()
			before := dump(t, store)
			if err := h.apply(e); err != nil && dump(t, store) != before {
				t.Fatalf("seed %d, step %d: %T was refused (%v) and changed the state", seed, step, e, err)
			}
			if err := store.Verify(); err != nil {
				t.Fatalf("seed %d, step %d, %T %s: %v", seed, step, e, show(t, e), err)
			}
		}
		again, err := state.New(state.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var saved bytes.Buffer
		if err := store.Snapshot().Persist(&saved); err != nil {
			t.Fatal(err)
		}
		if err := again.Restore(&saved); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if err := again.Verify(); err != nil {
			t.Fatalf("seed %d: after a restore: %v", seed, err)
		}
		if dump(t, again) != dump(t, store) {
			t.Fatalf("seed %d: the restored state is another one:\n%s", seed, firstDifference(dump(t, again), dump(t, store)))
		}
	}
}

// dump shows every row.
func dump(t *testing.T, s *state.Store) string {
	t.Helper()
	snap := s.Snapshot()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for j := range snap.Jobs("*", "") {
		enc.Encode(j)
		enc.Encode(snap.JobVersions(j.Namespace, j.ID))
		enc.Encode(snap.JobSummary(j.Namespace, j.ID))
		enc.Encode(snap.ScalingEvents(j.Namespace, j.ID))
	}
	for a := range snap.Allocs("*", "") {
		enc.Encode(a)
		enc.Encode(snap.JobOf(a))
	}
	for e := range snap.Evals("*", "") {
		enc.Encode(e)
	}
	for d := range snap.Deployments("*", "") {
		enc.Encode(d)
	}
	for n := range snap.Nodes() {
		enc.Encode(n)
	}
	enc.Encode(snap.Schemas("test"))
	for _, table := range []state.Table{state.TableJobs, state.TableEvals, state.TableAllocs, state.TableNodes, state.TableDeployments, state.TableSchemas} {
		enc.Encode(snap.TableIndex(table))
	}
	return b.String()
}

func firstDifference(got, want string) string {
	w := strings.Split(want, "\n")
	for i, line := range strings.Split(got, "\n") {
		if i >= len(w) || line != w[i] {
			return fmt.Sprintf("got  %s\nwant %s", line, w[min(i, len(w)-1)])
		}
	}
	return "some lines are missing"
}

// Two servers that apply the same log have the same state.
func TestSameLogSameState(t *testing.T) {
	a, _ := state.New(state.Config{})
	b, _ := state.New(state.Config{})
	h := &history{t: t, rng: rand.New(rand.NewPCG(99, 1)), store: a}
	for range 300 {
		e := h.next()
		h.apply(e)
		data, err := Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		machine{b}.Apply(&raft.Log{Index: h.index, Data: data})
	}
	if dump(t, a) != dump(t, b) {
		t.Fatal("the states differ")
	}
}
