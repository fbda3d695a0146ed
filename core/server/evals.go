package server

import (
	"context"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/rpc"
)

// maxEvalDelete bounds one request, so that it fits one log entry.
const maxEvalDelete = 7281

// EvalDeleteRequest names evaluations to forget, with their allocations that have ended.
type EvalDeleteRequest struct {
	EvalIDs []string
}

// EvalDeleteResponse counts them.
type EvalDeleteResponse struct {
	Count int
	Index uint64
}

// DeleteEvals forgets evaluations; only while the broker is paused, because it would hand them out.
func (s *Server) DeleteEvals(ctx context.Context, q *EvalDeleteRequest) (*EvalDeleteResponse, error) {
	snap := s.state.Snapshot()
	if !snap.SchedulerConfig().PauseEvalBroker {
		return nil, rpc.Errorf(rpc.ErrConflict, "eval broker is enabled; eval broker must be paused to delete evals")
	}
	if len(q.EvalIDs) == 0 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "evals must be deleted by either ID or filter")
	}
	if len(q.EvalIDs) > maxEvalDelete {
		return nil, rpc.Errorf(rpc.ErrInvalid, "request includes %v evaluation IDs, must be %v or fewer", len(q.EvalIDs), maxEvalDelete)
	}
	reap := &consensus.Reap{Evals: q.EvalIDs}
	for _, id := range q.EvalIDs {
		if snap.Eval(id) == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "eval not found: %s", id)
		}
		for _, a := range snap.AllocsByEval(id) {
			if !a.Terminal() {
				return nil, rpc.Errorf(rpc.ErrConflict, "eval %s has the allocation %s, which has not ended", id, a.ID)
			}
		}
	}
	index, _, err := s.apply(ctx, reap)
	return &EvalDeleteResponse{Count: len(q.EvalIDs), Index: index}, err
}
