package server

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/core/state"
)

// maxBatch bounds how many plans and allocations go into one entry.
const (
	maxBatchPlans  = 128
	maxBatchAllocs = 4096
)

// plan is a plan on its way through the applier.
type plan struct {
	*model.Plan
	evals     []*model.Evaluation // stored with the plan when all of it is committed
	followUps []*model.Evaluation // of those, what allocations name: stored with any part of it
	done      chan planDone
}

type planDone struct {
	result *model.PlanResult
	err    error
}

// planQueue orders plans by priority, then by arrival.
type planQueue struct {
	mu      sync.Mutex
	enabled bool
	plans   []*plan
	wake    nudge
}

func newPlanQueue() *planQueue { return &planQueue{wake: newNudge()} }

// errStale says that a plan's evaluation was given to another worker.
var errStale = errors.New("the plan's evaluation is no longer this worker's")

func (q *planQueue) enable(on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.enabled = on
	if on {
		return
	}
	for _, p := range q.plans {
		p.done <- planDone{err: errNoLeader()}
	}
	q.plans = nil
}

func (q *planQueue) submit(ctx context.Context, p *plan) (*model.PlanResult, error) {
	p.done = make(chan planDone, 1)
	q.mu.Lock()
	if !q.enabled {
		q.mu.Unlock()
		return nil, errNoLeader()
	}
	i, _ := slices.BinarySearchFunc(q.plans, p, func(a, b *plan) int {
		if a.Priority >= b.Priority { // those of the same priority came first
			return -1
		}
		return 1
	})
	q.plans = slices.Insert(q.plans, i, p)
	q.mu.Unlock()
	q.wake.poke()
	select {
	case d := <-p.done:
		return d.result, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// take removes the next plans, as many as one entry should hold.
func (q *planQueue) take() []*plan {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, allocs := 0, 0
	for _, p := range q.plans {
		allocs += size(p.Plan)
		// A plan that is committed whole or not at all has an entry to itself: then there is nothing to undo.
		alone := p.AllAtOnce || q.plans[0].AllAtOnce
		if n > 0 && (alone || n == maxBatchPlans || allocs > maxBatchAllocs) {
			break
		}
		n++
	}
	out := slices.Clone(q.plans[:n])
	q.plans = slices.Delete(q.plans, 0, n)
	if len(q.plans) > 0 {
		q.wake.poke()
	}
	return out
}

func (q *planQueue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.plans)
}

func size(p *model.Plan) int {
	n := 0
	for _, m := range []map[string][]*model.Allocation{p.NodeUpdate, p.NodeAllocation, p.NodePreemptions} {
		for _, list := range m {
			n += len(list)
		}
	}
	return n
}

// applyPlans is the one writer of allocations: it checks each plan against the state as it is now and commits what still
// fits. While an entry is being written the next plans gather, so the slower the log, the more plans share an entry.
func (s *Server) applyPlans(ctx context.Context) {
	for {
		select {
		case <-s.plans.wake.ch:
		case <-ctx.Done():
			return
		}
		if batch := s.plans.take(); len(batch) > 0 {
			s.applyBatch(ctx, batch)
		}
	}
}

func (s *Server) applyBatch(ctx context.Context, batch []*plan) {
	c := newChecker(s.state.SchedulerSnapshot())
	entry := &consensus.ApplyPlans{}
	results := make([]*model.PlanResult, len(batch))
	for i, p := range batch {
		if !s.broker.Outstanding(p.EvalID, p.EvalToken) {
			p.done <- planDone{err: errStale}
			continue
		}
		var commit consensus.CommittedPlan
		results[i], commit = c.check(p)
		entry.Plans = append(entry.Plans, commit)
	}
	if len(entry.Plans) == 0 {
		return
	}
	index, _, err := s.apply(ctx, entry)
	if ctx.Err() != nil {
		err = errNoLeader()
	}
	for i, p := range batch {
		r := results[i]
		if r == nil {
			continue
		}
		if err != nil {
			p.done <- planDone{err: err}
			continue
		}
		r.AllocIndex = index
		if r.RefreshIndex != 0 {
			r.RefreshIndex = index
		}
		p.done <- planDone{result: r}
	}
}

// checker re-checks the plans of one batch, each as if those before it were already committed.
type checker struct {
	snap    *state.Snapshot
	draft   *fleet.Draft
	removed map[string]bool // allocations that a plan of this batch ends
}

func newChecker(snap *state.Snapshot) *checker {
	return &checker{snap: snap, draft: snap.Fleet().Draft(), removed: map[string]bool{}}
}

// check decides which nodes' parts of a plan are committed. A node for which it no longer fits is left out; with
// AllAtOnce nothing is committed then.
func (c *checker) check(p *plan) (*model.PlanResult, consensus.CommittedPlan) {
	r := &model.PlanResult{
		NodeUpdate:        map[string][]*model.Allocation{},
		NodeAllocation:    map[string][]*model.Allocation{},
		NodePreemptions:   map[string][]*model.Allocation{},
		Deployment:        p.Deployment,
		DeploymentUpdates: p.DeploymentUpdates,
	}
	for _, node := range nodesOf(p.Plan) {
		stops, places, evicts := p.NodeUpdate[node], p.NodeAllocation[node], p.NodePreemptions[node]
		if !c.fits(node, stops, evicts, places) {
			r.RejectedNodes = append(r.RejectedNodes, node)
			if p.AllAtOnce {
				break
			}
			continue
		}
		put(r.NodeUpdate, node, stops)
		put(r.NodeAllocation, node, places)
		put(r.NodePreemptions, node, evicts)
	}
	if len(r.RejectedNodes) > 0 {
		r.RefreshIndex = max(c.snap.Index(), p.SnapshotIndex)
		if p.AllAtOnce {
			return &model.PlanResult{RejectedNodes: r.RejectedNodes, RefreshIndex: r.RefreshIndex}, consensus.CommittedPlan{}
		}
	}
	sets, rest := consensus.Pack(withoutJob(r.NodeAllocation))
	commit := consensus.CommittedPlan{
		NodeUpdate: c.slim(r.NodeUpdate), NodeAllocation: rest, Placed: sets, NodePreemptions: c.slim(r.NodePreemptions),
		Deployment: r.Deployment, DeploymentUpdates: r.DeploymentUpdates,
		Evals: c.preemptionEvals(p, r.NodePreemptions),
	}
	if r.RefreshIndex == 0 {
		commit.Evals = append(commit.Evals, p.evals...)
	} else {
		commit.Evals = append(commit.Evals, p.followUps...)
	}
	return r, commit
}

func put(m map[string][]*model.Allocation, node string, allocs []*model.Allocation) {
	if len(allocs) > 0 {
		m[node] = allocs
	}
}

func nodesOf(p *model.Plan) []string {
	set := map[string]bool{}
	for _, m := range []map[string][]*model.Allocation{p.NodeUpdate, p.NodeAllocation, p.NodePreemptions} {
		for id := range m {
			set[id] = true
		}
	}
	out := make([]string, 0, len(set))
	for id := range set {
		out = append(out, id)
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}

// fits checks one node's part and, when it fits, counts it in.
func (c *checker) fits(node string, stops, evicts, places []*model.Allocation) bool {
	for _, a := range places {
		// An allocation that was ended since the plan was made does not come back.
		stored := c.snap.Alloc(a.ID)
		if stored != nil && a.DesiredStatus == model.AllocDesiredRun && (stored.ServerTerminal() || c.removed[a.ID]) {
			return false
		}
	}
	var removed []*model.Allocation
	for _, list := range [][]*model.Allocation{stops, evicts, places} {
		for _, a := range list {
			if stored := c.snap.Alloc(a.ID); stored != nil && !c.removed[a.ID] {
				removed = append(removed, stored)
			}
		}
	}
	if len(places) == 0 {
		// Ending allocations is always possible, also on a node that is gone.
		for _, a := range removed {
			c.draft.ReleaseAlloc(a)
		}
	} else if ok, _ := feasible.CheckDraft(c.draft, node, removed, places); !ok {
		return false
	}
	for _, list := range [][]*model.Allocation{stops, evicts} {
		for _, a := range list {
			c.removed[a.ID] = true
		}
	}
	return true
}

// slim keeps the fields by which a plan ends allocations: the rest is in the state already.
func (c *checker) slim(allocs map[string][]*model.Allocation) map[string][]*model.Allocation {
	out := make(map[string][]*model.Allocation, len(allocs))
	for node, list := range allocs {
		for _, a := range list {
			s := &model.Allocation{
				ID: a.ID, DesiredStatus: a.DesiredStatus, DesiredDescription: a.DesiredDescription,
				FollowupEvalID: a.FollowupEvalID, PreemptedByAllocation: a.PreemptedByAllocation,
			}
			if stored := c.snap.Alloc(a.ID); stored != nil && stored.ClientStatus != a.ClientStatus {
				s.ClientStatus, s.ClientDescription = a.ClientStatus, a.ClientDescription
			}
			if stored := c.snap.Alloc(a.ID); stored == nil || stored.RescheduleTracker != a.RescheduleTracker {
				s.RescheduleTracker = a.RescheduleTracker
			}
			out[node] = append(out[node], s)
		}
	}
	return out
}

func withoutJob(allocs map[string][]*model.Allocation) map[string][]*model.Allocation {
	for _, list := range allocs {
		for i, a := range list {
			if a.Job != nil {
				bare := *a
				bare.Job = nil
				list[i] = &bare
			}
		}
	}
	return allocs
}

// preemptionEvals are for the jobs that lose allocations to a plan.
func (c *checker) preemptionEvals(p *plan, evicted map[string][]*model.Allocation) []*model.Evaluation {
	seen := map[model.JobID]bool{}
	var out []*model.Evaluation
	for _, list := range evicted {
		for _, a := range list {
			stored := c.snap.Alloc(a.ID)
			if stored == nil || seen[stored.JobKey()] {
				continue
			}
			seen[stored.JobKey()] = true
			if j := c.snap.Job(stored.Namespace, stored.JobID); j != nil {
				e := newEval(j, model.TriggerPreemption)
				e.PreviousEval = p.EvalID
				e.ID = uuid.NewString()
				out = append(out, e)
			}
		}
	}
	return out
}
