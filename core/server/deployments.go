package server

import (
	"context"
	"sync"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server/deploy"
	"github.com/droverhq/drover/core/state"
)

// DeploymentUpdateResponse tells what a change of a roll-out started.
type DeploymentUpdateResponse struct {
	EvalID                string
	EvalCreateIndex       uint64
	DeploymentModifyIndex uint64
	RevertedJobVersion    *uint64
	Index                 uint64
}

// running finds a roll-out that has not ended, with its job.
func (s *Server) running(id string) (*state.Snapshot, *model.Deployment, *model.Job, error) {
	snap := s.state.Snapshot()
	d := snap.Deployment(id)
	if d == nil {
		return nil, nil, nil, rpc.Errorf(rpc.ErrNotFound, "deployment not found")
	}
	if !d.Active() {
		return nil, nil, nil, rpc.Errorf(rpc.ErrConflict, "can't change terminal deployment %s: it is %s", id, d.Status)
	}
	job := snap.Job(d.Namespace, d.JobID)
	if job == nil {
		return nil, nil, nil, jobNotFound(d.JobID)
	}
	return snap, d, job, nil
}

func deploymentEval(d *model.Deployment, j *model.Job) *model.Evaluation {
	e := newEval(j, model.TriggerDeploymentWatcher)
	e.DeploymentID = d.ID
	if d.EvalPriority > 0 {
		e.Priority = d.EvalPriority
	}
	return e
}

func (s *Server) changeDeployment(ctx context.Context, entry consensus.Entry, eval *model.Evaluation) (*DeploymentUpdateResponse, error) {
	index, v, err := s.apply(ctx, entry)
	if err != nil {
		return nil, err
	}
	resp := &DeploymentUpdateResponse{DeploymentModifyIndex: index, Index: index}
	if eval != nil {
		resp.EvalID, resp.EvalCreateIndex = eval.ID, index
	}
	if r, ok := v.(*consensus.Registered); ok && r.Job != nil && r.Changed {
		resp.RevertedJobVersion = &r.Job.Version
	}
	return resp, nil
}

// FailDeployment ends a roll-out as failed; the job goes back to a stable version where it asks for that.
func (s *Server) FailDeployment(ctx context.Context, id string) (*DeploymentUpdateResponse, error) {
	snap, d, job, err := s.running(id)
	if err != nil {
		return nil, err
	}
	entry := &consensus.DeploymentStatus{
		Update: model.DeploymentStatusUpdate{DeploymentID: id, Status: model.DeploymentFailed, StatusDescription: deploy.DescByUser},
		Eval:   deploymentEval(d, job), Tracked: s.cfg.Limits.JobTrackedVersions,
	}
	for _, g := range d.TaskGroups {
		if g.AutoRevert && job.Version == d.JobVersion {
			entry.Revert, entry.Update.StatusDescription = deploy.Revert(deploy.DescByUser, job, snap.JobVersions(job.Namespace, job.ID))
			break
		}
	}
	return s.changeDeployment(ctx, entry, entry.Eval)
}

// PauseDeployment stops placing for a roll-out, or goes on.
func (s *Server) PauseDeployment(ctx context.Context, id string, pause bool) (*DeploymentUpdateResponse, error) {
	_, d, job, err := s.running(id)
	if err != nil {
		return nil, err
	}
	entry := &consensus.DeploymentStatus{
		Update: model.DeploymentStatusUpdate{DeploymentID: id, Status: model.DeploymentPaused, StatusDescription: deploy.DescPaused},
	}
	if !pause {
		entry.Update.Status, entry.Update.StatusDescription = model.DeploymentRunning, deploy.DescRunning
		entry.Eval = deploymentEval(d, job)
	}
	return s.changeDeployment(ctx, entry, entry.Eval)
}

// PromoteDeployment lets the canaries of the groups (all with none named) take over.
func (s *Server) PromoteDeployment(ctx context.Context, id string, groups []string) (*DeploymentUpdateResponse, error) {
	snap, d, job, err := s.running(id)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if d.TaskGroups[g] == nil {
			return nil, rpc.Errorf(rpc.ErrInvalid, "deployment %s has no group %q", id, g)
		}
	}
	if err := deploy.Promotable(d, groups, snap.AllocsByDeployment(id)); err != nil {
		return nil, rpc.Errorf(rpc.ErrConflict, "can't promote deployment %s: %v", id, err)
	}
	entry := &consensus.PromoteDeployment{DeploymentID: id, Groups: groups, Eval: deploymentEval(d, job)}
	return s.changeDeployment(ctx, entry, entry.Eval)
}

// SetAllocHealth says by hand which allocations of a roll-out are healthy.
func (s *Server) SetAllocHealth(ctx context.Context, id string, healthy, unhealthy []string) (*DeploymentUpdateResponse, error) {
	snap, d, job, err := s.running(id)
	if err != nil {
		return nil, err
	}
	if len(healthy)+len(unhealthy) == 0 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "must specify at least one healthy/unhealthy allocation ID")
	}
	for _, alloc := range append(append([]string(nil), healthy...), unhealthy...) {
		a := snap.Alloc(alloc)
		if a == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "unknown alloc %q", alloc)
		}
		if a.DeploymentID != id {
			return nil, rpc.Errorf(rpc.ErrInvalid, "alloc %q is not part of deployment %q", alloc, id)
		}
	}
	entry := &consensus.DeploymentHealth{
		DeploymentID: id, Healthy: healthy, Unhealthy: unhealthy, Eval: deploymentEval(d, job), Tracked: s.cfg.Limits.JobTrackedVersions,
	}
	return s.changeDeployment(ctx, entry, entry.Eval)
}

// rollouts collects which roll-outs to look at.
type rollouts struct {
	mu    sync.Mutex
	dirty map[string]bool
}

func (r *rollouts) add(ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dirty == nil {
		r.dirty = map[string]bool{}
	}
	for _, id := range ids {
		r.dirty[id] = true
	}
}

func (r *rollouts) take() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.dirty
	r.dirty = nil
	return out
}

// retryStep is how soon a decision that could not be stored is made again.
const retryStep = time.Second

// watchDeployments looks at each roll-out when one of its allocations changed or its time has come.
func (s *Server) watchDeployments(ctx context.Context) {
	seen := map[string]uint64{}
	next := map[string]time.Time{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.nudges.deployments.ch:
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		look := s.rollouts.take()
		if look == nil {
			look = map[string]bool{}
		}
		for id, at := range next {
			if !at.After(now) {
				look[id] = true
			}
		}
		for id := range look {
			delete(next, id)
			if at := s.stepDeployment(ctx, id, seen, now); !at.IsZero() {
				next[id] = at
			}
		}
		timer.Reset(untilFirst(next, now))
	}
}

func untilFirst(next map[string]time.Time, now time.Time) time.Duration {
	wait := time.Hour
	for _, at := range next {
		wait = min(wait, max(at.Sub(now), time.Millisecond))
	}
	return wait
}

// stepDeployment does what is next for a roll-out and returns when to look again.
func (s *Server) stepDeployment(ctx context.Context, id string, seen map[string]uint64, now time.Time) time.Time {
	snap := s.state.Snapshot()
	d := snap.Deployment(id)
	if !d.Active() {
		delete(seen, id)
		return time.Time{}
	}
	job := snap.Job(d.Namespace, d.JobID)
	v := deploy.View{
		Deployment: d, Job: job, Versions: snap.JobVersions(d.Namespace, d.JobID), Allocs: snap.AllocsByDeployment(id), Seen: seen[id],
	}
	a := deploy.Step(v, now)
	if err := s.actOnDeployment(ctx, d, job, a); err != nil {
		if ctx.Err() == nil {
			s.logger.Error("cannot go on with deployment", "deployment", id, "job", d.JobID, "error", err)
		}
		return now.Add(retryStep)
	}
	seen[id] = a.Seen
	return a.Next
}

func (s *Server) actOnDeployment(ctx context.Context, d *model.Deployment, job *model.Job, a deploy.Actions) error {
	var eval *model.Evaluation
	if job != nil && (a.Evaluate || a.Update != nil) {
		eval = deploymentEval(d, job)
	}
	var entry consensus.Entry
	switch {
	case a.Update != nil:
		entry = &consensus.DeploymentStatus{Update: *a.Update, Revert: a.Revert, Eval: eval, Tracked: s.cfg.Limits.JobTrackedVersions}
	case a.Promote:
		entry = &consensus.PromoteDeployment{DeploymentID: d.ID, Eval: eval}
	case len(a.Reschedule) > 0:
		yes := true
		entry = &consensus.AllocTransitions{
			AllocIDs: a.Reschedule, Transition: model.DesiredTransition{Reschedule: &yes}, Evals: []*model.Evaluation{eval},
		}
	case eval != nil:
		entry = &consensus.UpsertEvals{Evals: []*model.Evaluation{eval}}
	default:
		return nil
	}
	_, _, err := s.apply(ctx, entry)
	return err
}
