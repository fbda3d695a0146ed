package server

import (
	"context"
	"slices"
	"sync"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// maxUpdates bounds how many nodes' reports go into one entry.
const maxUpdates = 512

// updateBatch gathers what nodes report while the entry before is being written.
type updateBatch struct {
	wake nudge

	mu      sync.Mutex
	waiting []*report
}

type report struct {
	consensus.NodeReport
	done chan reportDone
}

type reportDone struct {
	index uint64
	err   error
}

func newUpdateBatch() *updateBatch { return &updateBatch{wake: newNudge()} }

func (b *updateBatch) take() []*report {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxUpdates)
	out := slices.Clone(b.waiting[:n])
	b.waiting = slices.Delete(b.waiting, 0, n)
	if len(b.waiting) > 0 {
		b.wake.poke()
	}
	return out
}

// fail answers everything that waits.
func (b *updateBatch) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.waiting {
		r.done <- reportDone{err: err}
	}
	b.waiting = nil
}

func (s *Server) nodeUpdate(ctx context.Context, q *rpc.NodeUpdateRequest) (*rpc.NodeUpdateResponse, error) {
	if err := s.authenticate(ctx, q.NodeAuth); err != nil {
		return nil, err
	}
	return ask(ctx, s, rpc.NodeUpdate, q, s.takeUpdate)
}

// takeUpdate runs on the leader.
func (s *Server) takeUpdate(ctx context.Context, q *rpc.NodeUpdateRequest) (*rpc.NodeUpdateResponse, error) {
	r := &report{
		NodeReport: consensus.NodeReport{
			NodeID: q.NodeID, Allocs: clientSide(q.Allocs), Events: q.Events,
			RegisterServices: ownServices(q), RemoveServices: q.RemoveServices,
		},
		done: make(chan reportDone, 1),
	}
	s.updates.mu.Lock()
	s.updates.waiting = append(s.updates.waiting, r)
	s.updates.mu.Unlock()
	s.updates.wake.poke()
	if !s.leads() { // since it was asked: nobody would take the report any more
		s.updates.fail(errNoLeader())
	}
	select {
	case d := <-r.done:
		if d.err != nil {
			return nil, d.err
		}
		return &rpc.NodeUpdateResponse{Index: d.index}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// clientSide keeps of each allocation what a node may say.
func clientSide(allocs []*model.Allocation) []*model.Allocation {
	out := make([]*model.Allocation, 0, len(allocs))
	for _, a := range allocs {
		out = append(out, &model.Allocation{
			ID: a.ID, ClientStatus: a.ClientStatus, ClientDescription: a.ClientDescription, TaskStates: a.TaskStates,
			DeploymentStatus: a.DeploymentStatus, NetworkStatus: a.NetworkStatus,
		})
	}
	return out
}

// ownServices keeps the registrations that name the node itself.
func ownServices(q *rpc.NodeUpdateRequest) []*model.ServiceRegistration {
	return slices.DeleteFunc(slices.Clone(q.RegisterServices), func(r *model.ServiceRegistration) bool { return r.NodeID != q.NodeID })
}

// applyUpdates stores what nodes report, many nodes' news in one entry, with the evaluations that follow from it.
func (s *Server) applyUpdates(ctx context.Context) {
	for {
		select {
		case <-s.updates.wake.ch:
		case <-ctx.Done():
			return
		}
		batch := s.updates.take()
		if len(batch) == 0 {
			continue
		}
		entry := &consensus.NodeUpdates{}
		for _, r := range batch {
			entry.Updates = append(entry.Updates, r.NodeReport)
		}
		entry.Evals = updateEvals(s.state.Snapshot(), entry.Updates)
		index, _, err := s.apply(ctx, entry)
		if ctx.Err() != nil {
			err = errNoLeader() // the nodes ask the next one
		}
		for _, r := range batch {
			r.done <- reportDone{index, err}
		}
	}
}

// updateEvals asks anew for the jobs of allocations that failed or came back.
func updateEvals(snap *state.Snapshot, updates []consensus.NodeReport) []*model.Evaluation {
	seen := map[model.JobID]bool{}
	var out []*model.Evaluation
	for _, u := range updates {
		for _, a := range u.Allocs {
			old := snap.Alloc(a.ID)
			if old == nil || seen[old.JobKey()] {
				continue
			}
			trigger := updateTrigger(old, a)
			j := snap.Job(old.Namespace, old.JobID)
			if trigger == "" || j == nil {
				continue
			}
			seen[old.JobKey()] = true
			out = append(out, newEval(j, trigger))
		}
	}
	return out
}

// updateTrigger is why an allocation's news calls for an evaluation; "" when they do not.
func updateTrigger(old, a *model.Allocation) string {
	switch {
	case old.ClientStatus == model.AllocClientUnknown && a.ClientStatus != "" && a.ClientStatus != model.AllocClientUnknown:
		return model.TriggerReconnect
	case a.ClientStatus == model.AllocClientFailed && old.ClientStatus != model.AllocClientFailed && !old.ServerTerminal() && old.FollowupEvalID == "":
		return model.TriggerAllocFailure
	}
	return ""
}
