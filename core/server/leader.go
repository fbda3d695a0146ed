package server

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/server/blocked"
	"github.com/droverhq/drover/core/state"
)

// retryLead is how soon a server that leads tries again to take up the leader's work.
const retryLead = time.Second

// watchLeadership runs the leader's loops for as long as this server leads.
func (s *Server) watchLeadership() {
	var again <-chan time.Time
	take := func(leads bool) {
		s.stopLeading()
		again = nil
		if leads && !s.lead() {
			again = time.After(retryLead)
		}
	}
	for {
		select {
		case leads := <-s.raft.LeaderCh():
			take(leads)
			s.role.turn()
		case <-s.nudges.relead.ch:
			take(s.raft.IsLeader())
		case <-again:
			take(s.raft.IsLeader())
			s.role.turn()
		case <-s.ctx.Done():
			return
		}
	}
}

// lead fills the queues from the state and starts the loops. It is false when the log does not move, as on a disk that
// stands still for a moment: for raft this server leads, and nobody else will.
func (s *Server) lead() bool {
	if err := s.barrier(s.ctx); err != nil {
		s.logger.Error("cannot take up leadership", "error", err, "retry_in", retryLead)
		return false
	}
	if err := s.nameCluster(); err != nil {
		s.logger.Error("cannot take up leadership", "error", err, "retry_in", retryLead)
		return false
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.plans.enable(true)
	s.restoreLeader()
	loops := []func(context.Context){
		s.applyPlans, s.reapEvals, s.retryBlocked, s.watchDeployments, s.watchDrains, s.launchPeriodic, s.collectGarbage,
		s.applyUpdates,
	}
	done := make(chan struct{}, len(loops))
	for _, loop := range loops {
		s.goRun(func() {
			defer func() { done <- struct{}{} }()
			loop(ctx)
		})
	}
	s.leadMu.Lock()
	s.leading = func() {
		cancel()
		for range loops {
			<-done
		}
	}
	close(s.ready)
	s.leadMu.Unlock()
	if s.autopilot != nil {
		s.autopilot.Start(ctx)
	}
	s.logger.Info("this server leads", "id", s.id, "address", s.addr.String())
	return true
}

// stopLeading ends the loops and empties the queues.
func (s *Server) stopLeading() {
	s.leadMu.Lock()
	stop := s.leading
	if stop == nil {
		s.leadMu.Unlock()
		return
	}
	s.leading = nil
	s.ready = make(chan struct{})
	s.leadMu.Unlock()
	if s.autopilot != nil {
		<-s.autopilot.Stop()
	}

	s.broker.Disable()
	s.plans.enable(false)
	s.updates.fail(errNoLeader())
	stop()
	s.beats.stop()
	s.blockedMu.Lock()
	s.blocked = blocked.New()
	s.blockedMu.Unlock()
	s.logger.Info("this server no longer leads")
}

// restoreLeader puts what is in the state into the queues. Entries that commit meanwhile are queued by committed; being
// queued twice does no harm.
func (s *Server) restoreLeader() {
	s.broker.Enable()
	snap := s.state.Snapshot()
	s.broker.Pause(snap.SchedulerConfig().PauseEvalBroker)
	s.committed(restored(snap))
	s.blockedMu.Lock()
	again := s.blocked.TakeAll()
	s.blockedMu.Unlock()
	s.broker.Enqueue(again...)
	for n := range snap.Nodes() {
		if n.Status != model.NodeStatusDown {
			s.beats.reset(n.ID, s.cfg.Heartbeat.FailoverTTL)
		}
	}
}

// restored presents the whole state as if it had been written at once.
func restored(snap *state.Snapshot) *state.Commit {
	c := &state.Commit{Index: snap.Index()}
	for e := range snap.Evals(state.AllNamespaces, "") {
		if !e.Terminal() {
			c.Evals = append(c.Evals, e)
		}
	}
	for d := range snap.Deployments(state.AllNamespaces, "") {
		if d.Active() {
			c.Deployments = append(c.Deployments, d.ID)
		}
	}
	for j := range snap.Jobs(state.AllNamespaces, "") {
		if j.IsPeriodic() {
			c.Jobs = append(c.Jobs, j.Key())
		}
	}
	return c
}

// reapEvals stores what the broker and the blocked tracker decided about evaluations: that they are of no use any more,
// or that they were tried too often.
func (s *Server) reapEvals(ctx context.Context) {
	for {
		select {
		case <-s.nudges.evals.ch:
		case <-ctx.Done():
			return
		}
		var write []*model.Evaluation
		write = append(write, s.broker.TakeCanceled()...)
		s.blockedMu.Lock()
		write = append(write, s.blocked.TakeDuplicates()...)
		s.blockedMu.Unlock()
		for _, e := range s.broker.TakeFailed() {
			write = append(write, failEval(e)...)
		}
		if len(write) == 0 {
			continue
		}
		if _, _, err := s.apply(ctx, &consensus.UpsertEvals{Evals: write}); err != nil && ctx.Err() == nil {
			// They are still pending or blocked in the state, so the next leader takes them up.
			s.logger.Error("cannot store ended evaluations", "count", len(write), "error", err)
		}
	}
}

// failEval ends an evaluation that no worker could finish and has it tried again later.
func failEval(e *model.Evaluation) []*model.Evaluation {
	const limit = 3
	f := e.Copy()
	f.Status = model.EvalFailed
	f.StatusDescription = fmt.Sprintf("evaluation reached delivery limit (%d)", limit)
	next := &model.Evaluation{
		ID: uuid.NewString(), Namespace: e.Namespace, Priority: e.Priority, Type: e.Type, JobID: e.JobID,
		JobModifyIndex: e.JobModifyIndex, TriggeredBy: model.TriggerFailedFollowUp, Status: model.EvalPending,
		PreviousEval: e.ID, WaitUntil: time.Now().Add(time.Minute + jitter(5*time.Minute)),
	}
	f.NextEval = next.ID
	return []*model.Evaluation{f, next}
}

// retryBlocked gives evaluations whose plans kept colliding another try each minute.
func (s *Server) retryBlocked(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.blockedMu.Lock()
			again := s.blocked.UnblockFailed()
			s.blocked.Prune(now)
			s.blockedMu.Unlock()
			s.broker.Enqueue(again...)
		case <-ctx.Done():
			return
		}
	}
}
