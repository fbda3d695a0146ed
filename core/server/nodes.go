package server

import (
	"context"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// NodeUpdateResponse tells what a change of a node started.
type NodeUpdateResponse struct {
	NodeModifyIndex uint64
	EvalIDs         []string
	EvalCreateIndex uint64
	Index           uint64
}

func nodeResponse(index uint64, evals []*model.Evaluation) *NodeUpdateResponse {
	r := &NodeUpdateResponse{NodeModifyIndex: index, Index: index}
	for _, e := range evals {
		r.EvalIDs = append(r.EvalIDs, e.ID)
		r.EvalCreateIndex = index
	}
	return r
}

func findNode(snap *state.Snapshot, id string) (*model.Node, error) {
	n := snap.Node(id)
	if n == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "node not found")
	}
	return n, nil
}

// NodeDrainRequest empties a node; a nil DrainSpec stops doing so.
type NodeDrainRequest struct {
	NodeID       string
	DrainSpec    *model.DrainSpec
	MarkEligible bool // with a nil DrainSpec: take new allocations again
	Meta         map[string]string
}

// DrainNode starts or cancels a drain.
func (s *Server) DrainNode(ctx context.Context, q *NodeDrainRequest) (*NodeUpdateResponse, error) {
	snap := s.state.Snapshot()
	n, err := findNode(snap, q.NodeID)
	if err != nil {
		return nil, err
	}
	entry := &consensus.NodeDrain{NodeID: n.ID, MarkEligible: q.MarkEligible, Meta: q.Meta}
	if q.DrainSpec != nil {
		entry.Strategy = &model.DrainStrategy{Deadline: time.Duration(q.DrainSpec.Deadline), IgnoreSystemJobs: q.DrainSpec.IgnoreSystemJobs}
	} else {
		changed := *n
		changed.DrainStrategy = nil
		entry.Evals = nodeEvals(snap, &changed, model.TriggerNodeUpdate)
	}
	index, _, err := s.apply(ctx, entry)
	if err != nil {
		return nil, err
	}
	return nodeResponse(index, entry.Evals), nil
}

// NodeEligibilityRequest says whether a node takes new allocations.
type NodeEligibilityRequest struct {
	NodeID      string
	Eligibility string
}

// SetNodeEligibility changes it.
func (s *Server) SetNodeEligibility(ctx context.Context, q *NodeEligibilityRequest) (*NodeUpdateResponse, error) {
	if q.Eligibility != model.NodeEligible && q.Eligibility != model.NodeIneligible {
		return nil, rpc.Errorf(rpc.ErrInvalid, "invalid scheduling eligibility %q: it must be %q or %q", q.Eligibility, model.NodeEligible, model.NodeIneligible)
	}
	snap := s.state.Snapshot()
	n, err := findNode(snap, q.NodeID)
	if err != nil {
		return nil, err
	}
	entry := &consensus.NodeEligibility{NodeID: n.ID, Eligibility: q.Eligibility}
	if q.Eligibility == model.NodeEligible && n.SchedulingEligibility != model.NodeEligible {
		entry.Evals = nodeEvals(snap, n, model.TriggerNodeUpdate)
	}
	index, _, err := s.apply(ctx, entry)
	if err != nil {
		return nil, err
	}
	return nodeResponse(index, entry.Evals), nil
}

// PurgeNode forgets a node. What ran on it is lost and replaced.
func (s *Server) PurgeNode(ctx context.Context, id string) (*NodeUpdateResponse, error) {
	snap := s.state.Snapshot()
	n, err := findNode(snap, id)
	if err != nil {
		return nil, err
	}
	gone := *n
	gone.Status = model.NodeStatusDown
	entry := &consensus.DeleteNodes{NodeIDs: []string{id}, Evals: nodeEvals(snap, &gone, model.TriggerNodeUpdate)}
	index, _, err := s.apply(ctx, entry)
	if err != nil {
		return nil, err
	}
	if sess := s.sessions.get(id); sess != nil {
		sess.Close() // a node that is alive registers anew
	}
	return nodeResponse(index, entry.Evals), nil
}

// EvaluateNode has everything that concerns a node looked at again.
func (s *Server) EvaluateNode(ctx context.Context, id string) (*NodeUpdateResponse, error) {
	snap := s.state.Snapshot()
	n, err := findNode(snap, id)
	if err != nil {
		return nil, err
	}
	evals := nodeEvals(snap, n, model.TriggerNodeUpdate)
	if len(evals) == 0 {
		return nodeResponse(n.ModifyIndex, nil), nil
	}
	index, _, err := s.apply(ctx, &consensus.UpsertEvals{Evals: evals})
	if err != nil {
		return nil, err
	}
	r := nodeResponse(index, evals)
	r.NodeModifyIndex = n.ModifyIndex
	return r, nil
}
