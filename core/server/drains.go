package server

import (
	"context"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/server/drain"
	"github.com/droverhq/drover/core/state"
)

// watchDrains empties the nodes that are to be drained. It looks when allocations or nodes changed, at most every
// drainPace.
func (s *Server) watchDrains(ctx context.Context) {
	const drainPace = 100 * time.Millisecond
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.nudges.drains.ch:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		next := map[string]time.Time{}
		snap := s.state.SchedulerSnapshot()
		for _, n := range snap.Fleet().All() {
			if n.DrainStrategy == nil {
				continue
			}
			if at := s.stepDrain(ctx, snap, n, now); !at.IsZero() {
				next[n.ID] = at
			}
		}
		wait := untilFirst(next, now)
		timer.Reset(wait)
		if len(next) > 0 {
			// Many small changes while a node empties are one look.
			select {
			case <-time.After(min(wait, drainPace)):
			case <-ctx.Done():
				return
			}
		}
	}
}

// stepDrain does what is next for a node and returns when to look again.
func (s *Server) stepDrain(ctx context.Context, snap *state.Snapshot, n *model.Node, now time.Time) time.Time {
	a := drain.Step(drain.View{
		Node: n, Allocs: snap.AllocsByNode(n.ID), Job: snap.JobOf,
		Group: func(key model.JobID) []*model.Allocation { return snap.AllocsByJob(key.Namespace, key.ID) },
	}, now)
	var err error
	switch {
	case a.Done:
		_, _, err = s.apply(ctx, &consensus.NodeDrain{NodeID: n.ID, Complete: true})
	case len(a.Migrate) > 0:
		yes := true
		entry := &consensus.AllocTransitions{AllocIDs: a.Migrate, Transition: model.DesiredTransition{Migrate: &yes}}
		seen := map[model.JobID]bool{}
		for _, id := range a.Migrate {
			al := snap.Alloc(id)
			if j := snap.Job(al.Namespace, al.JobID); j != nil && !seen[j.Key()] {
				seen[j.Key()] = true
				e := newEval(j, model.TriggerNodeDrain)
				e.NodeID = n.ID
				entry.Evals = append(entry.Evals, e)
			}
		}
		_, _, err = s.apply(ctx, entry)
	}
	if err != nil && ctx.Err() == nil {
		s.logger.Error("cannot go on with drain", "node", n.ID, "error", err)
		return now.Add(retryStep)
	}
	return a.Next
}
