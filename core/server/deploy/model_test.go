package deploy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler"
	"github.com/droverhq/drover/core/server/deploy"
	"github.com/droverhq/drover/core/state"
)

// Random histories of roll-outs in virtual time: the real state, scheduler and Step, with nodes that come and go, instances
// that become healthy, fail or do nothing, and people who pause, promote, give up and submit. After each second of them
// every roll-out that has run out of time has ended, with a reason.
func TestEveryRolloutEnds(t *testing.T) {
	ended := map[string]int{}
	for seed := range uint64(150) {
		w := newModel(t, seed)
		for range 60 {
			w.something()
			w.pass(time.Duration(1+w.rng.IntN(20)) * time.Second)
		}
		w.pass(time.Hour) // nobody does anything any more
		for d := range w.snap().Deployments(state.AllNamespaces, "") {
			ended[d.Status]++
		}
	}
	t.Log(ended)
	for _, status := range []string{model.DeploymentSuccessful, model.DeploymentFailed, model.DeploymentCancelled} {
		if ended[status] == 0 {
			t.Errorf("no roll-out became %s: the histories show too little", status)
		}
	}
}

// history is one run of the model.
type history struct {
	t     *testing.T
	rng   *rand.Rand
	st    *state.Store
	now   time.Time
	index uint64
	ids   int
	story strings.Builder

	evals    []*model.Evaluation // to be worked on, at WaitUntil
	blocked  bool                // an evaluation waits for room
	seen     map[string]uint64
	wake     map[string]time.Time
	progress map[string]time.Time // by roll-out: when something last gave it its full time
	healthy  int                  // of ten instances, how many become healthy
}

const nodes = 4

func newModel(t *testing.T, seed uint64) *history {
	st, err := state.New(state.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := &history{t: t, rng: rand.New(rand.NewPCG(seed, 1)), st: st, now: time.Unix(1_700_000_000, 0).UTC(), index: 1,
		seen: map[string]uint64{}, wake: map[string]time.Time{}, progress: map[string]time.Time{}, healthy: 5}
	fmt.Fprintf(&w.story, "seed %d\n", seed)
	for i := range nodes {
		w.write(func(tx *state.Txn) { tx.RegisterNode(node(i), nil) })
	}
	return w
}

func node(i int) *model.Node {
	return &model.Node{
		ID: fmt.Sprintf("n%d", i), Name: fmt.Sprintf("n%d", i), Datacenter: "dc1", NodePool: "default",
		Status: model.NodeStatusReady, SchedulingEligibility: model.NodeEligible,
		Drivers: map[string]*model.DriverInfo{"run": {Detected: true, Healthy: true}},
		NodeResources: &model.NodeResources{ // room for three instances
			Cpu: model.NodeCPU{CpuShares: 350, TotalCpuCores: 1}, Memory: model.NodeMemory{MemoryMB: 8192}, Disk: model.NodeDisk{DiskMB: 100000},
		},
	}
}

func (w *history) snap() *state.Snapshot { return w.st.Snapshot() }

func (w *history) say(format string, args ...any) {
	fmt.Fprintf(&w.story, "%6s ", w.now.Sub(time.Unix(1_700_000_000, 0)))
	fmt.Fprintf(&w.story, format+"\n", args...)
}

func (w *history) write(fn func(*state.Txn)) {
	w.index++
	if err := w.st.Write(w.index, w.now, "Test", func(tx *state.Txn) error { fn(tx); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *history) newID() string {
	w.ids++
	return fmt.Sprintf("id-%05d", w.ids)
}

func (w *history) job() *model.Job { return w.snap().Job("default", "web") }

func (w *history) current() *model.Deployment {
	if d := w.snap().LatestDeployment("default", "web"); d.Active() {
		return d
	}
	return nil
}

func (w *history) evaluate(trigger, deployment string) {
	w.evals = append(w.evals, &model.Evaluation{
		ID: w.newID(), Namespace: "default", JobID: "web", Type: model.JobTypeService, Priority: 50, TriggeredBy: trigger,
		Status: model.EvalPending, DeploymentID: deployment,
	})
}

// something happens from outside.
func (w *history) something() {
	d := w.current()
	switch w.rng.IntN(20) {
	case 0, 1:
		w.register()
	case 2:
		w.healthy = w.rng.IntN(11)
	case 3, 4:
		id := fmt.Sprintf("n%d", w.rng.IntN(nodes))
		status := model.NodeStatusReady
		if w.snap().Node(id).Status == model.NodeStatusReady {
			status = model.NodeStatusDown
		}
		w.say("node %s is %s", id, status)
		w.write(func(tx *state.Txn) { tx.SetNodeStatus(id, status, "", true) })
		w.evaluate(model.TriggerNodeUpdate, "")
	case 5:
		if d != nil {
			w.pause(d)
		}
	case 6, 7:
		if d != nil && deploy.Promotable(d, nil, w.snap().AllocsByDeployment(d.ID)) == nil {
			w.promote(d)
		}
	case 8:
		if d != nil && w.rng.IntN(4) == 0 {
			w.act(d, deploy.Actions{Update: &model.DeploymentStatusUpdate{DeploymentID: d.ID, Status: model.DeploymentFailed, StatusDescription: deploy.DescByUser}})
		}
	default:
		w.report()
	}
}

func (w *history) register() {
	pick := func(of ...int) int { return of[w.rng.IntN(len(of))] }
	g := &model.TaskGroup{
		Name: "g", Count: 1 + w.rng.IntN(5), EphemeralDisk: &model.EphemeralDisk{SizeMB: 1},
		Tasks: []*model.Task{{Name: "t", Driver: "run", Config: map[string]any{"v": w.rng.IntN(3)}, Resources: &model.Resources{CPU: 100, MemoryMB: 10}}},
		Update: &model.Update{
			MaxParallel: 1 + w.rng.IntN(3), MaxSurge: pick(0, 0, 1, 3), Canary: pick(0, 0, 1, 2), AutoRevert: w.rng.IntN(2) == 0,
			ProgressDeadline: time.Duration(pick(30, 60, 120)) * time.Second,
		},
		ReschedulePolicy: &model.ReschedulePolicy{Delay: 5 * time.Second, DelayFunction: "constant", Unlimited: true},
	}
	g.Update.AutoPromote = g.Update.Canary > 0 && w.rng.IntN(2) == 0
	g.Update.OnDeadline = []string{"", "", model.OnDeadlineFail, model.OnDeadlineRevert}[w.rng.IntN(4)]
	if w.rng.IntN(3) == 0 {
		g.ReschedulePolicy.Unlimited, g.ReschedulePolicy.Attempts, g.ReschedulePolicy.Interval = false, pick(0, 2), time.Minute
	}
	j := &model.Job{ID: "web", Name: "web", Namespace: "default", Type: model.JobTypeService, Priority: 50, Datacenters: []string{"*"},
		NodePool: "default", TaskGroups: []*model.TaskGroup{g}}
	w.write(func(tx *state.Txn) { j, _ = tx.UpsertJob(j, nil, 6) })
	w.say("job v%d: count %d, update %+v", j.Version, g.Count, *g.Update)
	w.evaluate(model.TriggerJobRegister, "")
}

func (w *history) pause(d *model.Deployment) {
	u := &model.DeploymentStatusUpdate{DeploymentID: d.ID, Status: model.DeploymentPaused, StatusDescription: deploy.DescPaused}
	if d.Status == model.DeploymentPaused {
		u.Status, u.StatusDescription = model.DeploymentRunning, deploy.DescRunning
		w.progress[d.ID] = w.now
		w.evaluate(model.TriggerDeploymentWatcher, d.ID)
	}
	w.say("deployment %s is %s by a person", d.ID, u.Status)
	w.write(func(tx *state.Txn) { tx.UpdateDeploymentStatus(u) })
	w.wake[d.ID] = w.now
}

func (w *history) promote(d *model.Deployment) {
	w.say("deployment %s is promoted", d.ID)
	w.write(func(tx *state.Txn) { tx.PromoteDeployment(d.ID, nil) })
	w.progress[d.ID] = w.now
	w.wake[d.ID] = w.now
	w.evaluate(model.TriggerDeploymentWatcher, d.ID)
}

// report lets nodes say how some instances do.
func (w *history) report() {
	for _, a := range w.snap().AllocsByJob("default", "web") {
		if w.snap().Node(a.NodeID).Status != model.NodeStatusReady || a.ClientTerminal() || w.rng.IntN(2) == 0 {
			continue
		}
		u := &model.Allocation{ID: a.ID, ClientStatus: model.AllocClientRunning}
		undecided := a.DeploymentID != "" && (a.DeploymentStatus == nil || a.DeploymentStatus.Healthy == nil)
		switch ok := w.rng.IntN(10) < w.healthy; {
		case a.ServerTerminal():
			u.ClientStatus = model.AllocClientComplete
		case undecided && ok:
			u.DeploymentStatus = &model.AllocDeploymentStatus{Healthy: &ok, Timestamp: w.now}
			w.progress[a.DeploymentID] = w.now
		case undecided && w.rng.IntN(3) == 0, !undecided && w.rng.IntN(30) == 0:
			u.ClientStatus = model.AllocClientFailed
			u.TaskStates = map[string]*model.TaskState{"t": {State: model.TaskDead, Failed: true, FinishedAt: w.now}}
			if undecided {
				u.DeploymentStatus = &model.AllocDeploymentStatus{Healthy: &ok, Timestamp: w.now}
			}
			w.evaluate(model.TriggerAllocFailure, "")
		}
		w.say("%s %s v%d of %s: %s %v", a.ID, a.Name, a.JobVersion, a.DeploymentID, u.ClientStatus, u.DeploymentStatus != nil)
		w.write(func(tx *state.Txn) { tx.UpdateAllocsFromNode(a.NodeID, []*model.Allocation{u}) })
		if a.DeploymentID != "" {
			w.wake[a.DeploymentID] = w.now
		}
	}
}

// pass lets time go by, from one thing that is due to the next.
func (w *history) pass(d time.Duration) {
	for end := w.now.Add(d); ; {
		w.settle()
		w.check()
		next := end
		for _, at := range w.wake {
			if at.After(w.now) && at.Before(next) {
				next = at
			}
		}
		for _, e := range w.evals {
			if e.WaitUntil.After(w.now) && e.WaitUntil.Before(next) {
				next = e.WaitUntil
			}
		}
		if w.now = next; !next.Before(end) {
			w.settle()
			w.check()
			return
		}
	}
}

// settle does all that is due now.
func (w *history) settle() {
	for round := 0; ; round++ {
		if round > 500 {
			w.fail("it does not settle")
		}
		did := false
		for i, e := range w.evals {
			if !e.WaitUntil.After(w.now) {
				w.evals = append(w.evals[:i:i], w.evals[i+1:]...)
				w.work(e)
				did = true
				break
			}
		}
		for id, at := range w.wake {
			if !did && !at.After(w.now) {
				delete(w.wake, id)
				w.step(id)
				did = true
			}
		}
		if !did {
			return
		}
	}
}

// work is the scheduler's.
func (w *history) work(e *model.Evaluation) {
	out, err := scheduler.Process(scheduler.Input{Eval: e, State: w.st.SchedulerSnapshot(), Now: w.now, Seed: w.rng.Uint64(), NewID: w.newID})
	if err != nil {
		w.fail("%v", err)
	}
	p := out.Plan
	if d := p.Deployment; d != nil {
		w.say("deployment %s of v%d begins", d.ID, d.JobVersion)
		w.progress[d.ID] = w.now
		w.wake[d.ID] = w.now
	}
	for _, list := range p.NodeAllocation {
		for _, a := range list {
			if a.CreateIndex == 0 {
				w.say("%s %s v%d is placed for %s", a.ID, a.Name, a.JobVersion, a.DeploymentID)
			}
			if d := w.snap().Deployment(a.DeploymentID); d != nil && d.TaskGroups["g"].PlacedAllocs == 0 {
				w.progress[d.ID] = w.now // its first
			}
		}
	}
	for _, list := range p.NodeUpdate {
		for _, a := range list {
			w.say("%s %s v%d is stopped: %s", a.ID, a.Name, a.JobVersion, a.DesiredDescription)
		}
	}
	w.write(func(tx *state.Txn) {
		tx.ApplyPlan(&model.PlanResult{NodeUpdate: p.NodeUpdate, NodeAllocation: p.NodeAllocation, NodePreemptions: p.NodePreemptions,
			Deployment: p.Deployment, DeploymentUpdates: p.DeploymentUpdates}, nil)
	})
	for _, u := range p.DeploymentUpdates {
		w.say("deployment %s is %s by the scheduler: %s", u.DeploymentID, u.Status, u.StatusDescription)
	}
	w.evals = append(w.evals, out.FollowUps...)
	if d := w.current(); d != nil {
		w.wake[d.ID] = w.now
	}
}

// step is the deployment watcher's.
func (w *history) step(id string) {
	snap := w.snap()
	d := snap.Deployment(id)
	if !d.Active() {
		return
	}
	a := deploy.Step(deploy.View{Deployment: d, Job: snap.Job("default", "web"), Versions: snap.JobVersions("default", "web"),
		Allocs: snap.AllocsByDeployment(id), Seen: w.seen[id]}, w.now)
	w.act(d, a)
	w.seen[id] = a.Seen
	if !a.Next.IsZero() && w.wake[id].IsZero() {
		w.wake[id] = a.Next
	}
}

// act does as the server does.
func (w *history) act(d *model.Deployment, a deploy.Actions) {
	switch {
	case a.Update != nil:
		w.say("deployment %s is %s by the watcher: %s", d.ID, a.Update.Status, a.Update.StatusDescription)
		w.write(func(tx *state.Txn) {
			tx.UpdateDeploymentStatus(a.Update)
			if a.Revert != nil && w.job().Version == d.JobVersion {
				tx.UpsertJob(a.Revert, nil, 6)
			}
		})
	case a.Promote:
		w.promote(d)
		return
	case len(a.Reschedule) > 0:
		yes := true
		w.write(func(tx *state.Txn) { tx.SetTransition(a.Reschedule, model.DesiredTransition{Reschedule: &yes}) })
	}
	if a.Evaluate || a.Update != nil {
		w.evaluate(model.TriggerDeploymentWatcher, d.ID)
		w.wake[d.ID] = w.now
	}
}

func (w *history) fail(format string, args ...any) {
	w.t.Helper()
	story := w.story.String()
	w.t.Fatalf(format+"\n%s", append(args, story[max(0, len(story)-12000):])...)
}

// check is the promise: a roll-out that runs, and does not wait for a person, ends a second after its deadline at the
// latest; one that ended says why, and at most one is under way.
func (w *history) check() {
	w.t.Helper()
	active := 0
	for d := range w.snap().Deployments(state.AllNamespaces, "") {
		if d.StatusDescription == "" {
			w.fail("deployment %s is %s without a reason", d.ID, d.Status)
		}
		if !d.Active() {
			continue
		}
		active++
		g := d.TaskGroups["g"]
		canary := g.DesiredCanaries > 0 && !g.Promoted && !g.AutoPromote && deploy.Promotable(d, nil, w.snap().AllocsByDeployment(d.ID)) == nil
		if d.Status == model.DeploymentPaused || canary {
			continue
		}
		if by := w.progress[d.ID].Add(g.ProgressDeadline + time.Second); w.now.After(by) {
			w.fail("deployment %s of v%d should have ended at %v: %+v", d.ID, d.JobVersion, by.Sub(time.Unix(1_700_000_000, 0)), *g)
		}
	}
	if active > 1 {
		w.fail("%d roll-outs are under way", active)
	}
}
