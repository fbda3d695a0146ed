package server

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

func placed(id, node string, cpu int64) *model.Allocation {
	return &model.Allocation{
		ID: id, Namespace: "default", JobID: "web", TaskGroup: "web", NodeID: node, DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending,
		AllocatedResources: &model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{
			"main": {Cpu: model.AllocatedCpu{CpuShares: cpu}, Memory: model.AllocatedMemory{MemoryMB: 10}},
		}},
	}
}

func stopped(a *model.Allocation) *model.Allocation {
	c := *a
	c.DesiredStatus, c.DesiredDescription = model.AllocDesiredStop, "why"
	return &c
}

func on(allocs ...*model.Allocation) map[string][]*model.Allocation {
	m := map[string][]*model.Allocation{}
	for _, a := range allocs {
		m[a.NodeID] = append(m[a.NodeID], a)
	}
	return m
}

// Plans of one batch are checked one after the other, each as if those before it were committed.
func TestChecker(t *testing.T) {
	store, err := state.New(state.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n1, n2 := testNode("node-1"), testNode("node-2")
	old := placed("old", "node-1", 3000)
	err = store.Write(5, time.Unix(1, 0), "", func(tx *state.Txn) error {
		tx.RegisterNode(n1, nil)
		tx.RegisterNode(n2, nil)
		tx.ApplyPlan(&model.PlanResult{NodeAllocation: on(old)}, nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	evals := []*model.Evaluation{{ID: "done"}}
	follow := []*model.Evaluation{{ID: "later"}}
	for name, c := range map[string]struct {
		plans    []*model.Plan
		rejected [][]string // for each plan
		empty    int        // which plan commits nothing; -1 none
	}{
		"what does not fit is left out": {
			plans:    []*model.Plan{{NodeAllocation: on(placed("a", "node-1", 2000), placed("b", "node-2", 2000))}},
			rejected: [][]string{{"node-1"}}, empty: -1,
		},
		"what is stopped makes room": {
			plans:    []*model.Plan{{NodeUpdate: on(stopped(old)), NodeAllocation: on(placed("a", "node-1", 4000))}},
			rejected: [][]string{nil}, empty: -1,
		},
		"the second plan sees the first": {
			plans:    []*model.Plan{{NodeAllocation: on(placed("a", "node-2", 3000))}, {NodeAllocation: on(placed("b", "node-2", 3000))}},
			rejected: [][]string{nil, {"node-2"}}, empty: 1,
		},
		"room that the first plan made can be used by the second": {
			plans:    []*model.Plan{{NodeUpdate: on(stopped(old))}, {NodeAllocation: on(placed("b", "node-1", 3000))}},
			rejected: [][]string{nil, nil}, empty: -1,
		},
		"all at once or nothing": {
			plans:    []*model.Plan{{AllAtOnce: true, NodeAllocation: on(placed("a", "node-1", 2000), placed("b", "node-2", 2000))}},
			rejected: [][]string{{"node-1"}}, empty: 0,
		},
		"a node that is gone": {
			plans:    []*model.Plan{{NodeAllocation: on(placed("a", "node-9", 1))}},
			rejected: [][]string{{"node-9"}}, empty: 0,
		},
		"stopping on a node that is gone": {
			plans:    []*model.Plan{{NodeUpdate: map[string][]*model.Allocation{"node-9": {stopped(old)}}}},
			rejected: [][]string{nil}, empty: -1,
		},
		"what another plan ended does not come back": {
			plans:    []*model.Plan{{NodePreemptions: on(stopped(old))}, {NodeAllocation: on(placed("old", "node-1", 3000))}},
			rejected: [][]string{nil, {"node-1"}}, empty: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ch := newChecker(store.SchedulerSnapshot())
			for i, p := range c.plans {
				r, commit := ch.check(&plan{Plan: p, evals: evals, followUps: follow})
				if !slices.Equal(r.RejectedNodes, c.rejected[i]) || (r.RefreshIndex != 0) != (len(c.rejected[i]) > 0) {
					t.Errorf("plan %d: rejected %v, refresh at %d, want %v", i, r.RejectedNodes, r.RefreshIndex, c.rejected[i])
				}
				n := len(commit.NodeAllocation) + len(commit.Placed) + len(commit.NodeUpdate) + len(commit.NodePreemptions)
				if (n == 0) != (i == c.empty) {
					t.Errorf("plan %d commits %d nodes", i, n)
				}
				want := "done"
				if len(c.rejected[i]) > 0 {
					want = "later"
				}
				if len(commit.Evals) > 0 && commit.Evals[0].ID != want {
					t.Errorf("plan %d stores evaluation %s, want %s", i, commit.Evals[0].ID, want)
				}
				for _, list := range commit.NodeUpdate {
					for _, a := range list {
						if a.AllocatedResources != nil || a.DesiredDescription != "why" {
							t.Errorf("plan %d writes more than needed of a stopped allocation: %+v", i, a)
						}
					}
				}
			}
		})
	}
}

// Many jobs that want the same room get what is there; the others are blocked, and nothing is over-committed.
func TestConcurrentJobs(t *testing.T) {
	s := start(t, func(c *Config) { c.NumSchedulers = 8 })
	join(t, s, runs)
	join(t, s, runs)
	const jobs, fit = 12, 4
	var wg sync.WaitGroup
	for i := range jobs {
		wg.Go(func() {
			j := testJob(fmt.Sprintf("job-%d", i), 1)
			j.TaskGroups[0].Tasks[0].Resources = &model.Resources{CPU: 1500, MemoryMB: 10}
			if _, err := s.RegisterJob(deadline(t), &JobRegisterRequest{Job: j}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tally := func(snap *state.Snapshot) (run, wait int) {
		for j := range snap.Jobs("*", "") {
			run += running(snap, j.ID)
			for e := range snap.EvalsByJob("default", j.ID) {
				if e.Status == model.EvalBlocked {
					wait++
				}
			}
		}
		return run, wait
	}
	until(t, s, "all jobs to run or to be blocked", func(snap *state.Snapshot) bool {
		run, wait := tally(snap)
		return run == fit && wait == jobs-fit
	})
	if err := s.state.Verify(); err != nil {
		t.Fatal(err)
	}
	fleet := s.state.SchedulerSnapshot().Fleet()
	for num, n := range fleet.All() {
		if use := fleet.InUse(num); use.CPU > 4000 || use.Memory > 4096 {
			t.Errorf("node %s is over-committed: %+v", n.ID, use)
		}
	}
	// Each that ends lets one more in.
	snap := s.state.Snapshot()
	for j := range snap.Jobs("*", "") {
		if running(snap, j.ID) == 1 {
			if _, err := s.DeregisterJob(deadline(t), &JobDeregisterRequest{Namespace: "default", JobID: j.ID}); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(t, s, "the next ones to run", func(snap *state.Snapshot) bool {
		run, wait := tally(snap)
		return run == fit && wait == jobs-2*fit
	})
}

// What a node says beside its allocations: events, services. Services end with their allocation.
func TestNodeNews(t *testing.T) {
	s := start(t, nil)
	n := join(t, s, runs)
	register(t, s, testJob("web", 1))
	snap := until(t, s, "a running allocation", func(snap *state.Snapshot) bool { return running(snap, "web") == 1 })
	a := snap.AllocsByJob("default", "web")[0]
	reg := func(id, node string) *model.ServiceRegistration {
		return &model.ServiceRegistration{ID: id, ServiceName: "www", Namespace: "default", NodeID: node, JobID: "web", AllocID: a.ID, Address: "127.0.0.1", Port: 80}
	}
	_, err := rpc.NodeUpdate.Call(deadline(t), n.sess.Conn(), &rpc.NodeUpdateRequest{
		NodeAuth: n.auth(), Events: []*model.NodeEvent{{Message: "hello", Subsystem: "Driver", Timestamp: time.Now()}},
		RegisterServices: []*model.ServiceRegistration{reg("s1", n.id), reg("s2", "another node")},
	})
	if err != nil {
		t.Fatal(err)
	}
	snap = s.state.Snapshot()
	if ev := snap.Node(n.id).Events; ev[len(ev)-1].Message != "hello" {
		t.Fatalf("events: %+v", ev)
	}
	if snap.Service("s1") == nil || snap.Service("s2") != nil {
		t.Fatal("a node registers its own services, and only those")
	}
	if _, err := s.DeregisterService(deadline(t), "default", "other", "s1"); err == nil {
		t.Fatal("a registration was removed under another name")
	}
	if _, err := s.DeregisterJob(deadline(t), &JobDeregisterRequest{Namespace: "default", JobID: "web"}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "no services", func(snap *state.Snapshot) bool {
		for range snap.Services("*") {
			return false
		}
		return true
	})
}

// Operators: configuration with compare-and-set, a paused broker, namespaces and pools in use.
func TestOperator(t *testing.T) {
	s := start(t, nil)
	join(t, s, runs)
	c := model.DefaultSchedulerConfig()
	c.PauseEvalBroker = true
	zero, wrong := uint64(0), uint64(99)
	if r, err := s.SetSchedulerConfig(deadline(t), &SchedulerConfigRequest{Config: c, CAS: &wrong}); err != nil || r.Updated {
		t.Fatalf("wrong index: %+v, %v", r, err)
	}
	if r, err := s.SetSchedulerConfig(deadline(t), &SchedulerConfigRequest{Config: c, CAS: &zero}); err != nil || !r.Updated {
		t.Fatalf("right index: %+v, %v", r, err)
	}
	r := register(t, s, testJob("web", 1))
	if st := s.Metrics().Broker; st.Ready != 1 {
		t.Fatalf("a paused broker has %+v", st)
	}
	if _, err := s.DeleteEvals(deadline(t), &EvalDeleteRequest{EvalIDs: []string{r.EvalID}}); err != nil {
		t.Fatal(err)
	}
	c.PauseEvalBroker = false
	if _, err := s.SetSchedulerConfig(deadline(t), &SchedulerConfigRequest{Config: c}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteEvals(deadline(t), &EvalDeleteRequest{EvalIDs: []string{"x"}}); err == nil {
		t.Fatal("evaluations were deleted under a running broker")
	}
	if _, err := s.EvaluateJob(deadline(t), &JobEvaluateRequest{Namespace: "default", JobID: "web"}); err != nil {
		t.Fatal(err)
	}
	until(t, s, "a running allocation", func(snap *state.Snapshot) bool { return running(snap, "web") == 1 })

	if _, err := s.UpsertNamespace(deadline(t), &model.Namespace{Name: "dev"}); err != nil {
		t.Fatal(err)
	}
	j := testJob("web", 1)
	j.Namespace = "dev"
	register(t, s, j)
	if _, err := s.DeleteNamespace(deadline(t), "dev"); err == nil {
		t.Fatal("a namespace with a running job was deleted")
	}
	if _, err := s.UpsertNodePool(deadline(t), &model.NodePool{Name: "all"}); err == nil {
		t.Fatal("a built-in pool was changed")
	}
	if _, err := s.UpsertNodePool(deadline(t), &model.NodePool{Name: "gpu"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DeleteNodePool(deadline(t), "gpu"); err != nil {
		t.Fatal(err)
	}
	if err := s.ReconcileSummaries(deadline(t)); err != nil {
		t.Fatal(err)
	}
	servers, _, err := s.RaftConfiguration()
	if err != nil || len(servers) != 1 || !servers[0].Leader || !servers[0].Voter || servers[0].Address != s.RPCAddr().String() {
		t.Fatalf("raft: %+v, %v", servers, err)
	}
}
