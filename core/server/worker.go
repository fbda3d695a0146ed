package server

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/scheduler"
	"github.com/droverhq/drover/core/server/broker"
)

func errNoLeader() error { return &rpc.Error{Class: rpc.ErrNoLeader, Text: rpc.ErrNoLeader.Error()} }

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// work takes evaluations from the broker one after the other until the server ends.
func (s *Server) work() {
	seed := rand.Uint64()
	for {
		d, err := s.broker.Dequeue(s.ctx, s.cfg.EnabledSchedulers)
		if err != nil {
			return
		}
		if err := s.workOn(d, seed); err != nil {
			if !errors.Is(err, rpc.ErrNoLeader) && s.ctx.Err() == nil {
				s.logger.Error("evaluation failed", "eval", d.Eval.ID, "job", d.Eval.JobID, "error", err)
			}
			s.broker.Nack(d.Eval.ID, d.Token)
			continue
		}
		s.broker.Ack(d.Eval.ID, d.Token)
	}
}

// workOn brings one evaluation to its end: complete, failed or blocked. An error means that it is to be tried again.
func (s *Server) workOn(d *broker.Delivery, seed uint64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the scheduler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	snap := s.state.SchedulerSnapshot()
	eval := snap.Eval(d.Eval.ID)
	if eval == nil || eval.Terminal() {
		return nil
	}
	h := fnv.New64a()
	h.Write([]byte(eval.ID))
	seed ^= h.Sum64()
	for attempt := 0; ; attempt++ {
		out, err := scheduler.Process(scheduler.Input{
			Eval: eval, State: snap, Configs: s.configs(snap), Now: time.Now().UTC(), Seed: seed + uint64(attempt), NewID: uuid.NewString, Attempt: attempt,
		})
		if err != nil {
			return s.storeFailure(eval, err)
		}
		evals := results(out, snap.Index())
		if out.Plan.Empty() {
			_, _, err := s.apply(s.ctx, &consensus.UpsertEvals{Evals: evals})
			return err
		}
		res, err := s.submit(out, evals, d, snap.Index())
		if err != nil {
			return err
		}
		if res.RefreshIndex == 0 {
			return nil
		}
		if committedAny(res) {
			attempt = -1
		}
		if err := s.state.WaitIndex(s.ctx, res.RefreshIndex); err != nil {
			return err
		}
		snap = s.state.SchedulerSnapshot()
	}
}

// results are the evaluations to store when the plan is committed in full.
func results(out *scheduler.Outcome, index uint64) []*model.Evaluation {
	if out.Eval.SnapshotIndex == 0 || out.Eval.Status == model.EvalBlocked {
		out.Eval.SnapshotIndex = index
	}
	evals := []*model.Evaluation{out.Eval}
	if b := out.Blocked; b != nil {
		if b.SnapshotIndex == 0 {
			b.SnapshotIndex = index
		}
		evals = append(evals, b)
	}
	return append(evals, out.FollowUps...)
}

func committedAny(r *model.PlanResult) bool {
	return len(r.NodeUpdate) > 0 || len(r.NodeAllocation) > 0 || r.Deployment != nil || len(r.DeploymentUpdates) > 0
}

// submit hands a plan to the applier and waits for what became of it. The evaluation's clock stands still meanwhile.
func (s *Server) submit(out *scheduler.Outcome, evals []*model.Evaluation, d *broker.Delivery, index uint64) (*model.PlanResult, error) {
	p := out.Plan
	p.EvalID, p.EvalToken, p.Priority = d.Eval.ID, d.Token, d.Eval.Priority
	if p.SnapshotIndex == 0 {
		p.SnapshotIndex = index
	}
	s.broker.PauseClock(d.Eval.ID, d.Token)
	defer s.broker.ResumeClock(d.Eval.ID, d.Token)
	return s.plans.submit(s.ctx, &plan{Plan: p, evals: evals, followUps: out.FollowUps})
}

// storeFailure ends an evaluation that the scheduler cannot work on.
func (s *Server) storeFailure(eval *model.Evaluation, cause error) error {
	f := eval.Copy()
	f.Status, f.StatusDescription = model.EvalFailed, cause.Error()
	_, _, err := s.apply(context.WithoutCancel(s.ctx), &consensus.UpsertEvals{Evals: []*model.Evaluation{f}})
	return err
}
