package nomadapi

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/hashicorp/nomad/api/contexts"

	"github.com/droverhq/drover/e2e/harness"
)

func testEvaluations(t *testing.T, f *fixture) {
	evals := f.c.Evaluations()
	list := get(evals.List(nil))(t)
	id := f.alloc.EvalID
	t.Run("info", func(t *testing.T) {
		e := get(evals.Info(id, nil))(t)
		if e.ID != id || e.Type != "service" || e.Status != "complete" || e.Priority != 50 || e.Namespace != "default" || e.CreateTime == 0 {
			t.Errorf("evaluation: %s", harness.Pretty(e))
		}
	})
	t.Run("allocations", func(t *testing.T) {
		if allocs := get(evals.Allocations(id, nil))(t); len(allocs) != 2 || allocs[0].EvalID != id {
			t.Errorf("allocations: %s", harness.Pretty(allocs))
		}
	})
	t.Run("prefix", func(t *testing.T) {
		if l := get(evals.PrefixList(id[:8]))(t); len(l) != 1 || l[0].ID != id {
			t.Errorf("prefix: %s", harness.Pretty(l))
		}
	})
	t.Run("count", func(t *testing.T) {
		n := get(evals.Count(nil))(t).Count
		if n < len(list) {
			t.Errorf("%d evaluations, listed were %d", n, len(list))
		}
		if n := get(evals.Count(&api.QueryOptions{Filter: `JobID == "web"`}))(t).Count; n == 0 {
			t.Error("none of web")
		}
	})
	t.Run("by job and status", func(t *testing.T) {
		for _, e := range get(evals.List(&api.QueryOptions{Params: map[string]string{"job": "web", "status": "complete"}}))(t) {
			if e.JobID != "web" || e.Status != "complete" {
				t.Errorf("listed %s %s", e.JobID, e.Status)
			}
		}
	})
	t.Run("blocked until there is room", func(t *testing.T) {
		j := f.service("toobig", 1, shell(webScript))
		j.TaskGroups[0].Tasks[0].Resources.MemoryMB = ptr(10 << 20)
		f.run(t, j)
		var id, blocked string
		f.until(t, "a blocked evaluation with the reason", func() error {
			l, _, err := f.c.Jobs().Evaluations("toobig", nil)
			if err != nil {
				return err
			}
			var states []string
			for _, e := range l {
				states = append(states, e.Status)
				if e.Status == "complete" && e.BlockedEval != "" && e.FailedTGAllocs["g"] != nil && e.FailedTGAllocs["g"].DimensionExhausted["memory"] == 1 {
					id, blocked = e.ID, e.BlockedEval
					return nil
				}
			}
			return fmt.Errorf("evaluations %v", states)
		})
		e := get(evals.Info(id, &api.QueryOptions{Params: map[string]string{"related": "true"}}))(t)
		if len(e.RelatedEvals) != 1 || e.RelatedEvals[0].ID != blocked || e.RelatedEvals[0].Status != "blocked" {
			t.Errorf("related: %s", harness.Pretty(e.RelatedEvals))
		}
	})
}

func testDeployments(t *testing.T, f *fixture) {
	deps := f.c.Deployments()
	var d *api.Deployment
	f.until(t, "web's deployment succeeds", func() (err error) {
		d, _, err = f.c.Jobs().LatestDeployment("web", nil)
		if err == nil && (d == nil || d.Status != "successful") {
			err = fmt.Errorf("%s", harness.Pretty(d))
		}
		return err
	})
	t.Run("info", func(t *testing.T) {
		d := get(deps.Info(d.ID, nil))(t)
		if g := d.TaskGroups["g"]; d.JobID != "web" || g.DesiredTotal != 2 || g.HealthyAllocs != 2 || g.PlacedAllocs != 2 {
			t.Errorf("deployment: %s", harness.Pretty(d))
		}
	})
	t.Run("lists", func(t *testing.T) {
		for name, l := range map[string][]*api.Deployment{
			"all":    get(deps.List(nil))(t),
			"prefix": get(deps.PrefixList(d.ID[:8]))(t),
			"job":    get(f.c.Jobs().Deployments("web", true, nil))(t),
		} {
			found := false
			for _, e := range l {
				found = found || e.ID == d.ID
			}
			if !found {
				t.Errorf("%s: not listed", name)
			}
		}
	})
	t.Run("allocations", func(t *testing.T) {
		l := get(deps.Allocations(d.ID, nil))(t)
		if len(l) != 2 || l[0].DeploymentStatus == nil || l[0].DeploymentStatus.Healthy == nil || !*l[0].DeploymentStatus.Healthy {
			t.Errorf("allocations: %s", harness.Pretty(l))
		}
	})
	t.Run("one that ended cannot fail", func(t *testing.T) {
		if _, _, err := deps.Fail(d.ID, nil); err == nil || !strings.Contains(err.Error(), "terminal") {
			t.Errorf("failing it: %v", err)
		}
	})
	t.Run("none is null", func(t *testing.T) {
		f.run(t, f.batch("undeployed", shell("true")))
		none, _, err := f.c.Jobs().LatestDeployment("undeployed", nil)
		if err != nil || none != nil {
			t.Errorf("deployment %v, %v", none, err)
		}
	})
	t.Run("canary waits for its promotion", func(t *testing.T) {
		j := f.service("canaried", 1, shell(webScript))
		j.Update.Canary = ptr(1)
		f.run(t, j)
		f.waitAllocs(t, "canaried", "running", 1)
		f.settled(t, "canaried")
		j.TaskGroups[0].Tasks[0].Env = map[string]string{"V": "2"}
		get(f.c.Jobs().Register(j, nil))(t)
		var d *api.Deployment
		f.until(t, "a healthy canary", func() (err error) {
			d, _, err = f.c.Jobs().LatestDeployment("canaried", nil)
			if err == nil && (d.JobVersion != 1 || d.TaskGroups["g"].HealthyAllocs != 1) {
				err = fmt.Errorf("%s", harness.Pretty(d))
			}
			return err
		})
		if g := d.TaskGroups["g"]; g.Promoted || len(g.PlacedCanaries) != 1 || d.Status != "running" {
			t.Fatalf("deployment: %s", harness.Pretty(d))
		}
		get(deps.Pause(d.ID, true, nil))(t)
		if now := get(deps.Info(d.ID, nil))(t); now.Status != "paused" {
			t.Errorf("status %s", now.Status)
		}
		get(deps.Pause(d.ID, false, nil))(t)
		get(deps.PromoteAll(d.ID, nil))(t)
		f.settled(t, "canaried")
		if now := get(deps.Info(d.ID, nil))(t); now.Status != "successful" || !now.TaskGroups["g"].Promoted {
			t.Errorf("after promotion: %s", harness.Pretty(now))
		}
		f.waitAllocs(t, "canaried", "running", 1)
	})
}

func testAgent(t *testing.T, f *fixture) {
	agent := f.c.Agent()
	t.Run("self", func(t *testing.T) {
		s := one(agent.Self())(t)
		if s.Config["Region"] != "global" || s.Config["Datacenter"] != "dc1" || s.Member.Name == "" || s.Member.Tags["build"] == "" || len(s.Stats) == 0 {
			t.Errorf("self: %s", harness.Pretty(s))
		}
		if r := one(agent.Region())(t); r != "global" {
			t.Errorf("region %q", r)
		}
		if n := one(agent.NodeName())(t); n == "" {
			t.Error("no node name")
		}
		if dc := one(agent.Datacenter())(t); dc != "dc1" {
			t.Errorf("datacenter %q", dc)
		}
	})
	t.Run("members", func(t *testing.T) {
		m := one(agent.Members())(t)
		if len(m.Members) != 1 || m.Members[0].Status != "alive" || m.Members[0].Tags["role"] != "nomad" || m.Members[0].Port == 0 {
			t.Errorf("members: %s", harness.Pretty(m))
		}
	})
	t.Run("health", func(t *testing.T) {
		h := one(agent.Health())(t)
		if h.Client == nil || !h.Client.Ok || h.Server == nil || !h.Server.Ok {
			t.Errorf("health: %s", harness.Pretty(h))
		}
	})
	t.Run("servers", func(t *testing.T) {
		if s := one(agent.Servers())(t); len(s) != 1 {
			t.Errorf("servers %v", s)
		}
	})
	t.Run("monitor", func(t *testing.T) {
		stop := make(chan struct{})
		defer close(stop)
		frames, errs := agent.Monitor(stop, &api.QueryOptions{Params: map[string]string{"log_level": "debug"}})
		get(f.c.Nodes().List(nil))(t) // something that is logged at debug
		select {
		case fr := <-frames:
			if fr == nil || len(fr.Data) == 0 {
				t.Errorf("frame %+v", fr)
			}
		case err := <-errs:
			t.Error(err)
		case <-time.After(limit):
			t.Error("no log line")
		}
	})
	t.Run("status", func(t *testing.T) {
		leader := one(f.c.Status().Leader())(t)
		peers := one(f.c.Status().Peers())(t)
		if !strings.Contains(leader, ":") || len(peers) != 1 || peers[0] != leader {
			t.Errorf("leader %q, peers %q", leader, peers)
		}
	})
	t.Run("regions", func(t *testing.T) {
		if r := one(f.c.Regions().List())(t); len(r) != 1 || r[0] != "global" {
			t.Errorf("regions %q", r)
		}
	})
	t.Run("system", func(t *testing.T) {
		if err := f.c.System().GarbageCollect(); err != nil {
			t.Error(err)
		}
		if err := f.c.System().ReconcileSummaries(); err != nil {
			t.Error(err)
		}
		f.waitAllocs(t, "web", "running", 2) // what runs is kept
	})
}

func testOperator(t *testing.T, f *fixture) {
	op := f.c.Operator()
	t.Run("raft configuration", func(t *testing.T) {
		r := one(op.RaftGetConfiguration(nil))(t)
		if len(r.Servers) != 1 || !r.Servers[0].Leader || !r.Servers[0].Voter || r.Servers[0].Address == "" || r.Servers[0].ID == "" {
			t.Errorf("raft: %s", harness.Pretty(r))
		}
	})
	t.Run("scheduler configuration", func(t *testing.T) {
		was := get(op.SchedulerGetConfiguration(nil))(t).SchedulerConfig
		if was.SchedulerAlgorithm != api.SchedulerAlgorithmBinpack || !was.PreemptionConfig.SystemSchedulerEnabled {
			t.Errorf("defaults: %s", harness.Pretty(was))
		}
		now := *was
		now.SchedulerAlgorithm = api.SchedulerAlgorithmSpread
		get(op.SchedulerSetConfiguration(&now, nil))(t)
		got := get(op.SchedulerGetConfiguration(nil))(t).SchedulerConfig
		if got.SchedulerAlgorithm != api.SchedulerAlgorithmSpread || got.ModifyIndex <= was.ModifyIndex {
			t.Errorf("after the change: %s", harness.Pretty(got))
		}
		stale := *was
		if r := get(op.SchedulerCASConfiguration(&stale, nil))(t); r.Updated {
			t.Error("an old modify index was accepted")
		}
		back := *was
		back.ModifyIndex = got.ModifyIndex
		if r := get(op.SchedulerCASConfiguration(&back, nil))(t); !r.Updated {
			t.Error("the right modify index was refused")
		}
		nonsense := *was
		nonsense.SchedulerAlgorithm = "nonsense"
		_, _, err := op.SchedulerSetConfiguration(&nonsense, nil)
		status(t, err, 400)
	})
	t.Run("registration can be disabled", func(t *testing.T) {
		c := *get(op.SchedulerGetConfiguration(nil))(t).SchedulerConfig
		c.RejectJobRegistration = true
		get(op.SchedulerSetConfiguration(&c, nil))(t)
		t.Cleanup(func() {
			c.RejectJobRegistration = false
			get(op.SchedulerSetConfiguration(&c, nil))(t)
		})
		_, _, err := f.c.Jobs().Register(f.batch("rejected", shell("true")), nil)
		status(t, err, 403, "disabled by the scheduler configuration")
	})
	t.Run("metrics", func(t *testing.T) {
		m := get(op.MetricsSummary(nil))(t)
		if m.Timestamp == "" || len(m.Gauges) == 0 {
			t.Errorf("metrics: %s", harness.Pretty(m))
		}
		prom := string(one(op.Metrics(&api.QueryOptions{Params: map[string]string{"format": "prometheus"}}))(t))
		if !strings.Contains(prom, "# TYPE nomad_") {
			t.Errorf("prometheus text: %.300s", prom)
		}
	})
	t.Run("snapshot", func(t *testing.T) {
		r, err := op.Snapshot(nil)
		saved := text(t, r, err) // the client checks the digest
		if _, err := op.SnapshotRestore(strings.NewReader(saved[:len(saved)/2]), nil); err == nil {
			t.Error("half a snapshot was restored")
		}
		if _, err := op.SnapshotRestore(strings.NewReader(saved), nil); err != nil {
			t.Error(err)
		}
		f.waitAllocs(t, "web", "running", 2)
	})
}

func testDiscovery(t *testing.T, f *fixture) {
	services := f.c.Services()
	t.Run("list", func(t *testing.T) {
		l := get(services.List(nil))(t)
		if len(l) != 1 || l[0].Namespace != "default" || len(l[0].Services) != 1 || l[0].Services[0].ServiceName != "web" || l[0].Services[0].Tags[0] != "green" {
			t.Errorf("services: %s", harness.Pretty(l))
		}
	})
	t.Run("get", func(t *testing.T) {
		regs := get(services.Get("web", nil))(t)
		if len(regs) != 2 || regs[0].JobID != "web" || regs[0].Address == "" || regs[0].Port < 20000 || regs[0].NodeID != f.nodeID || regs[0].Datacenter != "dc1" {
			t.Errorf("registrations: %s", harness.Pretty(regs))
		}
		if regs := get(services.Get("nosuch", nil))(t); regs == nil || len(regs) != 0 {
			t.Errorf("unknown service: %v", regs)
		}
		if regs := get(services.Get("web", &api.QueryOptions{Params: map[string]string{"choose": "1|me"}}))(t); len(regs) != 1 {
			t.Errorf("chose %d", len(regs))
		}
		if regs := get(f.c.Jobs().Services("web", nil))(t); len(regs) != 2 {
			t.Errorf("by job: %d", len(regs))
		}
	})
	t.Run("they go with their job", func(t *testing.T) {
		j := f.service("fleeting", 1, shell(webScript))
		j.TaskGroups[0].Services = []*api.Service{{Name: "fleeting", Provider: "nomad"}}
		f.run(t, j)
		f.waitAllocs(t, "fleeting", "running", 1)
		count := func(n int) func() error {
			return func() error {
				regs, _, err := services.Get("fleeting", nil)
				if err == nil && len(regs) != n {
					err = fmt.Errorf("%d registrations", len(regs))
				}
				return err
			}
		}
		f.until(t, "registered", count(1))
		if _, _, err := f.c.Jobs().Deregister("fleeting", false, nil); err != nil {
			t.Fatal(err)
		}
		f.until(t, "deregistered", count(0))
	})
	t.Run("search", func(t *testing.T) {
		for context, want := range map[contexts.Context]string{
			contexts.Jobs:   "web",
			contexts.Allocs: f.alloc.ID,
			contexts.Nodes:  f.nodeID,
		} {
			prefix := want
			if len(want) > 8 {
				prefix = want[:7] // an odd number of digits too
			}
			for _, c := range []contexts.Context{context, contexts.All} {
				r := get(f.c.Search().PrefixSearch(prefix, c, nil))(t)
				found := false
				for _, m := range r.Matches[context] {
					found = found || m == want
				}
				if !found {
					t.Errorf("%s in %s: %s", prefix, c, harness.Pretty(r))
				}
			}
		}
	})
	t.Run("namespaces and pools", func(t *testing.T) {
		if l := get(f.c.Namespaces().List(nil))(t); len(l) != 1 || l[0].Name != "default" {
			t.Errorf("namespaces: %s", harness.Pretty(l))
		}
		names := ""
		for _, p := range get(f.c.NodePools().List(nil))(t) {
			names += p.Name + " "
		}
		if names != "all default " {
			t.Errorf("pools: %q", names)
		}
	})
}

func testEvents(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(timeout(t))
	defer cancel()
	ch := one(f.c.EventStream().Stream(ctx, map[api.Topic][]string{
		api.TopicJob: {"streamed"}, api.TopicAllocation: {"streamed"}, api.TopicEvaluation: {"streamed"},
	}, 0, &api.QueryOptions{}))(t)
	f.run(t, f.batch("streamed", shell("true")))
	seen := map[string]bool{}
	var last uint64
	for !seen["complete"] {
		select {
		case e, ok := <-ch:
			if !ok || e.Err != nil {
				t.Fatalf("the stream ended (%v) with %v seen", e, seen)
			}
			if e.Index < last {
				t.Errorf("index %d after %d", e.Index, last)
			}
			last = e.Index
			for _, ev := range e.Events {
				seen[string(ev.Topic)+"/"+ev.Type] = true
				switch ev.Topic {
				case api.TopicJob:
					if j := one(ev.Job())(t); j == nil || *j.ID != "streamed" {
						t.Errorf("job event: %s", harness.Pretty(ev))
					}
				case api.TopicAllocation:
					a := one(ev.Allocation())(t)
					if a == nil || a.JobID != "streamed" || a.Job != nil {
						t.Errorf("allocation event: %s", harness.Pretty(ev))
					} else {
						seen[a.ClientStatus] = true
					}
				case api.TopicEvaluation:
					if e := one(ev.Evaluation())(t); e == nil || e.JobID != "streamed" {
						t.Errorf("evaluation event: %s", harness.Pretty(ev))
					}
				default:
					t.Errorf("not asked for: %s", harness.Pretty(ev))
				}
			}
		case <-ctx.Done():
			t.Fatalf("seen only %v", seen)
		}
	}
	for _, want := range []string{"Job/JobRegistered", "Allocation/PlanResult", "Allocation/AllocationUpdated", "Evaluation/JobRegistered"} {
		if !seen[want] {
			t.Errorf("no %s among %v", want, seen)
		}
	}
}

func testNodes(t *testing.T, f *fixture) {
	nodes := f.c.Nodes()
	t.Run("list", func(t *testing.T) {
		l := get(nodes.List(&api.QueryOptions{Params: map[string]string{"resources": "true", "os": "true"}}))(t)
		if len(l) != 1 || l[0].NodeResources == nil || l[0].NodeResources.Memory.MemoryMB == 0 || l[0].Attributes["os.name"] == "" || l[0].SchedulingEligibility != "eligible" {
			t.Errorf("nodes: %s", harness.Pretty(l))
		}
		if l := get(nodes.PrefixList(f.nodeID[:6]))(t); len(l) != 1 {
			t.Errorf("by prefix: %d", len(l))
		}
	})
	t.Run("info", func(t *testing.T) {
		n := get(nodes.Info(f.nodeID, nil))(t)
		for _, key := range []string{"kernel.name", "cpu.arch", "cpu.numcores", "memory.totalbytes", "unique.hostname", "unique.network.ip-address", "driver.raw_exec", "nomad.version", "os.signals"} {
			if n.Attributes[key] == "" {
				t.Errorf("no attribute %s", key)
			}
		}
		if n.Status != "ready" || n.Datacenter != "dc1" || n.NodePool != "default" || !n.Drivers["raw_exec"].Healthy || n.HTTPAddr == "" {
			t.Errorf("node: %s", harness.Pretty(n))
		}
		if len(n.Events) == 0 || n.Events[0].Message == "" {
			t.Errorf("events: %s", harness.Pretty(n.Events))
		}
	})
	t.Run("allocations", func(t *testing.T) {
		n := 0
		for _, a := range get(nodes.Allocations(f.nodeID, nil))(t) {
			if a.JobID == "web" && a.ClientStatus == "running" {
				n++
				if a.Job == nil || *a.Job.Type != "service" {
					t.Error("an allocation without its job: the drain monitor would ignore it")
				}
			}
		}
		if n != 2 {
			t.Errorf("%d of web run there", n)
		}
	})
	t.Run("stats", func(t *testing.T) {
		s := one(nodes.Stats(f.nodeID, nil))(t)
		if s.Memory == nil || s.Memory.Total == 0 || len(s.CPU) == 0 || s.Uptime == 0 {
			t.Errorf("stats: %s", harness.Pretty(s))
		}
	})
	t.Run("collect", func(t *testing.T) {
		if err := nodes.GC(f.nodeID, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("metadata", func(t *testing.T) {
		r := one(f.c.Nodes().Meta().Apply(&api.NodeMetaApplyRequest{NodeID: f.nodeID, Meta: map[string]*string{"rack": ptr("r1")}}, nil))(t)
		if r.Meta["rack"] != "r1" {
			t.Errorf("meta: %s", harness.Pretty(r))
		}
		f.until(t, "the node says so", func() error {
			n, _, err := nodes.Info(f.nodeID, nil)
			if err == nil && n.Meta["rack"] != "r1" {
				err = fmt.Errorf("meta %v", n.Meta)
			}
			return err
		})
	})
	t.Run("evaluate", func(t *testing.T) {
		if _, _, err := nodes.ForceEvaluate(f.nodeID, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("eligibility", func(t *testing.T) {
		r := one(nodes.ToggleEligibility(f.nodeID, false, nil))(t)
		if r.NodeModifyIndex == 0 {
			t.Errorf("answer %+v", r)
		}
		if n := get(nodes.Info(f.nodeID, nil))(t); n.SchedulingEligibility != "ineligible" {
			t.Errorf("eligibility %s", n.SchedulingEligibility)
		}
		f.run(t, f.batch("waits", shell("true")))
		f.until(t, "its evaluation blocks", func() error {
			l, _, err := f.c.Jobs().Evaluations("waits", nil)
			if err != nil {
				return err
			}
			for _, e := range l {
				if e.Status == "blocked" {
					return nil
				}
			}
			return fmt.Errorf("%d evaluations", len(l))
		})
		one(nodes.ToggleEligibility(f.nodeID, true, nil))(t)
		f.waitAllocs(t, "waits", "complete", 1)
	})
	t.Run("drain", func(t *testing.T) {
		// One at a time and with no other node to go to, only the deadline ends it.
		r := one(nodes.UpdateDrainOpts(f.nodeID, &api.DrainOptions{DrainSpec: &api.DrainSpec{Deadline: time.Second}, Meta: map[string]string{"why": "test"}}, nil))(t)
		var messages []string
		for m := range nodes.MonitorDrain(timeout(t), f.nodeID, r.NodeModifyIndex, false) {
			if m.Level == api.MonitorMsgLevelError {
				t.Errorf("monitor: %s", m)
			}
			messages = append(messages, m.Message)
		}
		for _, a := range get(nodes.Allocations(f.nodeID, nil))(t) {
			if a.ClientStatus == "pending" || a.ClientStatus == "running" {
				t.Errorf("left on the node: %s of %s, %s, wanted %s, with its job: %v", a.ID, a.JobID, a.ClientStatus, a.DesiredStatus, a.Job != nil)
			}
		}
		if all := strings.Join(messages, "\n"); !strings.Contains(all, "Drain complete") || !strings.Contains(all, "have stopped") {
			t.Errorf("the monitor said:\n%s", all)
		}
		n := get(nodes.Info(f.nodeID, nil))(t)
		if n.Drain || n.SchedulingEligibility != "ineligible" || n.LastDrain == nil || n.LastDrain.Status != api.DrainStatusComplete || n.LastDrain.Meta["why"] != "test" {
			t.Errorf("after the drain: %v %s %s", n.Drain, n.SchedulingEligibility, harness.Pretty(n.LastDrain))
		}
		one(nodes.UpdateDrain(f.nodeID, nil, true, nil))(t)
		f.waitAllocs(t, "web", "running", 2) // they were only waiting for a place
	})
	t.Run("purge", func(t *testing.T) {
		get(nodes.Purge(f.nodeID, nil))(t)
		f.until(t, "the node registers again", func() error {
			n, _, err := nodes.Info(f.nodeID, nil)
			if err == nil && n.Status != "ready" {
				err = fmt.Errorf("status %s", n.Status)
			}
			return err
		})
		f.waitAllocs(t, "web", "running", 2)
	})
}
