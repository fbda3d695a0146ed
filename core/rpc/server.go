package rpc

import "github.com/droverhq/drover/core/model"

// Calls between servers.
var (
	ServerGroup = Unary[Empty, ServerGroupResponse]{"/drover.core.v1.Servers/Group"}
	ServerNode  = Unary[ServerNodeRequest, ServerNodeResponse]{"/drover.core.v1.Servers/Node"}
	EvalDequeue = Unary[EvalDequeueRequest, EvalDequeueResponse]{"/drover.core.v1.Servers/EvalDequeue"}
	EvalFinish  = Unary[EvalFinishRequest, Empty]{"/drover.core.v1.Servers/EvalFinish"}
	EvalStore   = Unary[EvalStoreRequest, Empty]{"/drover.core.v1.Servers/EvalStore"}
	PlanSubmit  = Unary[PlanSubmitRequest, PlanSubmitResponse]{"/drover.core.v1.Servers/PlanSubmit"}
)

// ServerGroupResponse is what a server knows of its raft group.
type ServerGroupResponse struct {
	ID        string
	Member    bool     // it belongs to a group already
	Servers   []string // the IDs of that group's members, as far as it knows; nil from a server that does not tell
	LastIndex uint64
	LastTerm  uint64
	Contact   int64 // since it last heard the leader, ns; -1 never, 0 it leads
}

// ServerNodeRequest asks whether a node is connected to this server.
type ServerNodeRequest struct{ NodeID string }

// ServerNodeResponse answers it.
type ServerNodeResponse struct{ Connected bool }

// EvalDequeueRequest asks the leader for an evaluation to work on. It is answered within about a second, empty if there
// is none.
type EvalDequeueRequest struct{ Types []string }

// EvalDequeueResponse hands one out: whoever has the token must finish it. Index is what the worker's state must have
// reached before it begins.
type EvalDequeueResponse struct {
	Eval  *model.Evaluation // nil: none
	Token string
	Index uint64
}

// EvalFinishRequest gives an evaluation back, as done or to be tried again.
type EvalFinishRequest struct {
	EvalID, Token string
	Done          bool
}

// EvalStoreRequest stores what became of evaluations that changed nothing else.
type EvalStoreRequest struct{ Evals []*model.Evaluation }

// PlanSubmitRequest hands a plan to the leader with the evaluations to store when it is committed.
type PlanSubmitRequest struct {
	Plan      *model.Plan
	Evals     []*model.Evaluation
	FollowUps []*model.Evaluation
}

// PlanSubmitResponse tells what became of a plan.
type PlanSubmitResponse struct {
	Committed    bool   // any of it
	RefreshIndex uint64 // not 0: some of it was not; try again with state of this index
}
