package server

import (
	"context"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// AllocStopRequest ends an allocation; its job gets another one in its place.
type AllocStopRequest struct {
	AllocID         string
	NoShutdownDelay bool
	Reschedule      bool // replace it as if it had failed: batch allocations too
}

// AllocStopResponse names the evaluation that does it.
type AllocStopResponse struct {
	EvalID string
	Index  uint64
}

// StopAlloc has an allocation moved away.
func (s *Server) StopAlloc(ctx context.Context, q *AllocStopRequest) (*AllocStopResponse, error) {
	snap := s.state.Snapshot()
	a := snap.Alloc(q.AllocID)
	if a == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "alloc not found")
	}
	job := snap.Job(a.Namespace, a.JobID)
	if job == nil {
		if job = snap.JobOf(a); job == nil {
			return nil, jobNotFound(a.JobID)
		}
	}
	yes := true
	trigger := model.TriggerAllocStop
	t := model.DesiredTransition{Migrate: &yes}
	if q.Reschedule {
		trigger = model.TriggerAllocReschedule
		t = model.DesiredTransition{Migrate: &yes, Reschedule: &yes}
	}
	if q.NoShutdownDelay {
		t.NoShutdownDelay = &yes
	}
	eval := newEval(job, trigger)
	index, _, err := s.apply(ctx, &consensus.AllocTransitions{
		AllocIDs: []string{a.ID}, Transition: t, Evals: []*model.Evaluation{eval},
	})
	return &AllocStopResponse{EvalID: eval.ID, Index: index}, err
}
