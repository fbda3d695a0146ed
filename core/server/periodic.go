package server

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// launchPeriodic launches the children of periodic jobs when they are due. What fell due while no server led is made up
// for once.
func (s *Server) launchPeriodic(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.nudges.periodic.ch:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		snap := s.state.Snapshot()
		wait := time.Hour
		for j := range snap.Jobs(state.AllNamespaces, "") {
			if !j.IsPeriodic() || !j.Periodic.Enabled || j.Stop || j.IsParameterized() {
				continue
			}
			due := dueAt(snap, j)
			if due.IsZero() {
				continue
			}
			if !due.After(now) {
				if _, err := s.launch(ctx, snap, j, now, due); err != nil && ctx.Err() == nil {
					s.logger.Error("cannot launch periodic job", "job", j.ID, "error", err)
				}
				due = nextLaunch(j.Periodic, now)
				if due.IsZero() {
					continue
				}
			}
			wait = min(wait, max(due.Sub(now), time.Millisecond))
		}
		timer.Reset(wait)
	}
}

// dueAt is when a job's next child is due: counted from the last one, or from when the job was registered.
func dueAt(snap *state.Snapshot, j *model.Job) time.Time {
	from := time.Unix(0, j.SubmitTime)
	if p := snap.PeriodicLaunch(j.Namespace, j.ID); p != nil && p.Launch > j.SubmitTime {
		from = time.Unix(0, p.Launch)
	}
	return nextLaunch(j.Periodic, from)
}

// launch registers a child, unless an earlier one runs and overlap is prohibited: then the time counts as used.
func (s *Server) launch(ctx context.Context, snap *state.Snapshot, parent *model.Job, now, due time.Time) (*PeriodicForceResponse, error) {
	if parent.Periodic.ProhibitOverlap {
		for child := range snap.JobChildren(parent.Namespace, parent.ID) {
			if child.Status != model.JobStatusDead {
				return &PeriodicForceResponse{}, s.skipLaunch(ctx, parent, now)
			}
		}
	}
	child, err := childOf(parent)
	if err != nil {
		return nil, err
	}
	child.ID = fmt.Sprintf("%s/periodic-%d", parent.ID, due.Unix())
	child.Name = child.ID
	r, err := s.registerEntry(ctx, &consensus.RegisterJob{
		Job: child, Tracked: s.cfg.Limits.JobTrackedVersions, Eval: jobEval(child, model.TriggerPeriodic, 0), Launch: now.UnixNano(),
	}, nil)
	if err != nil {
		return nil, err
	}
	return &PeriodicForceResponse{EvalID: r.EvalID, EvalCreateIndex: r.EvalCreateIndex, Index: r.Index}, nil
}

// skipLaunch remembers that a launch was left out.
func (s *Server) skipLaunch(ctx context.Context, parent *model.Job, now time.Time) error {
	_, _, err := s.apply(ctx, &consensus.SkipLaunch{Namespace: parent.Namespace, JobID: parent.ID, Launch: now.UnixNano()})
	return err
}

// PeriodicForceResponse names the evaluation of the child; EvalID is empty when an earlier one still runs and overlap is
// prohibited.
type PeriodicForceResponse struct {
	EvalID          string
	EvalCreateIndex uint64
	Index           uint64
}

// ForcePeriodic launches a child of a periodic job now.
func (s *Server) ForcePeriodic(ctx context.Context, namespace, id string) (*PeriodicForceResponse, error) {
	snap := s.state.Snapshot()
	job := snap.Job(namespace, id)
	if job == nil {
		return nil, jobNotFound(id)
	}
	if !job.IsPeriodic() {
		return nil, rpc.Errorf(rpc.ErrInvalid, "can't force launch non-periodic job %q", id)
	}
	if err := s.registrationAllowed(snap); err != nil {
		return nil, err
	}
	now := time.Now()
	return s.launch(ctx, snap, job, now, now)
}
