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

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/scheduler"
)

func errNoLeader() error { return &rpc.Error{Class: rpc.ErrNoLeader, Text: rpc.ErrNoLeader.Error()} }

func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// work takes evaluations from the leader's broker, wherever that is, one after the other until the server ends.
func (s *Server) work() {
	seed := rand.Uint64()
	for s.ctx.Err() == nil {
		at := s.desk()
		d, err := at.dequeue(s.ctx)
		if err != nil {
			pause(s.ctx, s.role.next(), askAgain)
			continue
		}
		if d.Eval == nil {
			continue
		}
		err = s.workOn(at, d, seed)
		if err != nil && !errors.Is(err, rpc.ErrNoLeader) && s.ctx.Err() == nil {
			s.logger.Error("evaluation failed", "eval", d.Eval.ID, "job", d.Eval.JobID, "error", err)
		}
		at.finish(d, err == nil)
	}
}

// workOn brings one evaluation to its end: complete, failed or blocked. An error means that it is to be tried again.
func (s *Server) workOn(at desk, d *delivery, seed uint64) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the scheduler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if err := s.state.WaitIndex(s.ctx, d.Index); err != nil {
		return err
	}
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
			return at.store(failed(eval, err))
		}
		evals := results(out, snap.Index())
		if out.Plan.Empty() {
			return at.store(evals...)
		}
		res, err := at.submit(d, planOf(out, evals, d, snap.Index()))
		if err != nil {
			return err
		}
		if res.RefreshIndex == 0 {
			return nil
		}
		if res.Committed {
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

// planOf is the plan as it goes to the applier.
func planOf(out *scheduler.Outcome, evals []*model.Evaluation, d *delivery, index uint64) *rpc.PlanSubmitRequest {
	p := out.Plan
	p.EvalID, p.EvalToken, p.Priority = d.Eval.ID, d.Token, d.Eval.Priority
	if p.SnapshotIndex == 0 {
		p.SnapshotIndex = index
	}
	return &rpc.PlanSubmitRequest{Plan: p, Evals: evals, FollowUps: out.FollowUps}
}

// failed is an evaluation that the scheduler cannot work on.
func failed(eval *model.Evaluation, cause error) *model.Evaluation {
	f := eval.Copy()
	f.Status, f.StatusDescription = model.EvalFailed, cause.Error()
	return f
}

// pause waits for a while, for a change or for the end.
func pause(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
	}
}
