package server

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server/broker"
)

const (
	// dequeueWait is how long the leader lets another server's worker wait for an evaluation.
	dequeueWait = time.Second
	// askAgain is when a worker asks again after there was no leader to ask.
	askAgain = 250 * time.Millisecond
	// finishTimeout bounds giving an evaluation back; after that the broker hands it out again by itself.
	finishTimeout = 10 * time.Second
)

// delivery is an evaluation that a worker has; Eval is nil when there was none.
type delivery = rpc.EvalDequeueResponse

// desk is where a worker takes evaluations and hands in what it decided: this server's own when it leads, else the
// leader's.
type desk interface {
	dequeue(ctx context.Context) (*delivery, error)
	finish(d *delivery, done bool)
	store(evals ...*model.Evaluation) error
	submit(d *delivery, q *rpc.PlanSubmitRequest) (*rpc.PlanSubmitResponse, error)
}

// desk of the leader as it is now.
func (s *Server) desk() desk {
	if s.raft.IsLeader() {
		return ownDesk{s}
	}
	if addr, id := s.raft.Leader(); addr != "" && id != s.id {
		if conn, err := s.peers.Conn(addr); err == nil {
			return leaderDesk{s, conn}
		}
	}
	return noDesk{}
}

// ownDesk is this server's, which leads.
type ownDesk struct{ *Server }

func (o ownDesk) dequeue(ctx context.Context) (*delivery, error) {
	turned := o.role.next()
	if !o.raft.IsLeader() {
		return nil, errNoLeader()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-turned:
			cancel()
		case <-ctx.Done():
		}
	}()
	d, err := o.broker.Dequeue(ctx, o.cfg.EnabledSchedulers)
	if err != nil {
		return nil, err
	}
	return &delivery{Eval: d.Eval, Token: d.Token}, nil
}

func (o ownDesk) finish(d *delivery, done bool) { giveBack(o.broker, d.Eval.ID, d.Token, done) }

func giveBack(b *broker.Broker, id, token string, done bool) error {
	if done {
		return b.Ack(id, token)
	}
	return b.Nack(id, token)
}

func (o ownDesk) store(evals ...*model.Evaluation) error {
	_, _, err := o.apply(o.ctx, &consensus.UpsertEvals{Evals: evals})
	return err
}

// submit hands a plan to the applier and waits for what became of it. The evaluation's clock stands still meanwhile.
func (o ownDesk) submit(d *delivery, q *rpc.PlanSubmitRequest) (*rpc.PlanSubmitResponse, error) {
	return o.submitPlan(o.ctx, q)
}

func (s *Server) submitPlan(ctx context.Context, q *rpc.PlanSubmitRequest) (*rpc.PlanSubmitResponse, error) {
	s.broker.PauseClock(q.Plan.EvalID, q.Plan.EvalToken)
	defer s.broker.ResumeClock(q.Plan.EvalID, q.Plan.EvalToken)
	r, err := s.plans.submit(ctx, &plan{Plan: q.Plan, evals: q.Evals, followUps: q.FollowUps})
	if err != nil {
		return nil, err
	}
	return &rpc.PlanSubmitResponse{Committed: committedAny(r), RefreshIndex: r.RefreshIndex}, nil
}

// leaderDesk is another server's.
type leaderDesk struct {
	*Server
	conn grpc.ClientConnInterface
}

func (l leaderDesk) dequeue(ctx context.Context) (*delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, dequeueWait+finishTimeout)
	defer cancel()
	return rpc.EvalDequeue.Call(ctx, l.conn, &rpc.EvalDequeueRequest{Types: l.cfg.EnabledSchedulers})
}

func (l leaderDesk) finish(d *delivery, done bool) {
	ctx, cancel := context.WithTimeout(l.ctx, finishTimeout)
	defer cancel()
	if _, err := rpc.EvalFinish.Call(ctx, l.conn, &rpc.EvalFinishRequest{EvalID: d.Eval.ID, Token: d.Token, Done: done}); err != nil {
		l.logger.Debug("an evaluation was not given back; the leader hands it out again", "eval", d.Eval.ID, "error", err)
	}
}

func (l leaderDesk) store(evals ...*model.Evaluation) error {
	_, err := rpc.EvalStore.Call(l.ctx, l.conn, &rpc.EvalStoreRequest{Evals: evals})
	return err
}

func (l leaderDesk) submit(d *delivery, q *rpc.PlanSubmitRequest) (*rpc.PlanSubmitResponse, error) {
	// The job goes once, with the plan, and not with each allocation.
	withoutJob(q.Plan.NodeAllocation)
	withoutJob(q.Plan.NodeUpdate)
	withoutJob(q.Plan.NodePreemptions)
	return rpc.PlanSubmit.Call(l.ctx, l.conn, q)
}

// noDesk stands for a leader that is not known.
type noDesk struct{}

func (noDesk) dequeue(context.Context) (*delivery, error) { return nil, errNoLeader() }
func (noDesk) finish(*delivery, bool)                     {}
func (noDesk) store(...*model.Evaluation) error           { return errNoLeader() }
func (noDesk) submit(*delivery, *rpc.PlanSubmitRequest) (*rpc.PlanSubmitResponse, error) {
	return nil, errNoLeader()
}

// serveDequeue hands an evaluation to another server's worker, which begins once its state is as new as this server's.
func (s *Server) serveDequeue(ctx context.Context, q *rpc.EvalDequeueRequest) (*rpc.EvalDequeueResponse, error) {
	if !s.leads() {
		return nil, errNoLeader()
	}
	wait, cancel := context.WithTimeout(ctx, dequeueWait)
	defer cancel()
	d, err := s.broker.Dequeue(wait, q.Types)
	switch {
	case err == nil:
	case ctx.Err() == nil && wait.Err() != nil:
		return &rpc.EvalDequeueResponse{}, nil
	default:
		return nil, err
	}
	return &rpc.EvalDequeueResponse{Eval: d.Eval, Token: d.Token, Index: s.state.Snapshot().Index()}, nil
}

func (s *Server) serveFinish(_ context.Context, q *rpc.EvalFinishRequest) (*rpc.Empty, error) {
	return &rpc.Empty{}, giveBack(s.broker, q.EvalID, q.Token, q.Done)
}

func (s *Server) serveStore(ctx context.Context, q *rpc.EvalStoreRequest) (*rpc.Empty, error) {
	if !s.leads() {
		return nil, errNoLeader()
	}
	_, _, err := s.apply(ctx, &consensus.UpsertEvals{Evals: q.Evals})
	return &rpc.Empty{}, err
}

func (s *Server) servePlan(ctx context.Context, q *rpc.PlanSubmitRequest) (*rpc.PlanSubmitResponse, error) {
	if q.Plan == nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "submission without a plan")
	}
	if !s.leads() {
		return nil, errNoLeader()
	}
	return s.submitPlan(ctx, q)
}
