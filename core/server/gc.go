package server

import (
	"context"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// maxReap bounds how many rows one entry deletes.
const maxReap = 4096

// collectGarbage forgets what has ended long enough ago.
func (s *Server) collectGarbage(ctx context.Context) {
	tick := time.NewTicker(s.cfg.GC.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := s.collect(ctx, s.cfg.GC, time.Now()); err != nil && ctx.Err() == nil {
				s.logger.Error("garbage collection failed", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// SystemGC forgets everything that has ended, however long ago.
func (s *Server) SystemGC(ctx context.Context) error {
	return s.collect(ctx, GC{}, time.Now())
}

func (s *Server) collect(ctx context.Context, t GC, now time.Time) error {
	// Nodes come second: with their allocations gone more of them can be forgotten.
	g := findGarbage(s.state.Snapshot(), t, now)
	for _, r := range g.entries() {
		if _, _, err := s.apply(ctx, r); err != nil {
			return err
		}
	}
	nodes := deadNodes(s.state.Snapshot(), t, now)
	if len(nodes) == 0 {
		return nil
	}
	_, _, err := s.apply(ctx, &consensus.DeleteNodes{NodeIDs: nodes})
	return err
}

// garbage is what can be forgotten.
type garbage struct {
	evals, allocs, deployments []string
	jobs                       []model.JobID
}

func (g *garbage) entries() []*consensus.Reap {
	var out []*consensus.Reap
	cut := func(ids []string, set func(*consensus.Reap, []string)) {
		for len(ids) > 0 {
			n := min(len(ids), maxReap)
			r := &consensus.Reap{}
			set(r, ids[:n])
			out = append(out, r)
			ids = ids[n:]
		}
	}
	cut(g.allocs, func(r *consensus.Reap, ids []string) { r.Allocs = ids })
	cut(g.evals, func(r *consensus.Reap, ids []string) { r.Evals = ids })
	cut(g.deployments, func(r *consensus.Reap, ids []string) { r.Deployments = ids })
	if len(g.jobs) > 0 {
		out = append(out, &consensus.Reap{Jobs: g.jobs})
	}
	return out
}

// findGarbage decides what can be forgotten. A zero GC forgets everything that has ended.
func findGarbage(snap *state.Snapshot, t GC, now time.Time) *garbage {
	g := &garbage{}
	done := map[string]bool{} // evaluations that go with their job
	for j := range snap.Jobs(state.AllNamespaces, "") {
		if evals, allocs, ok := deadJob(snap, j, t, now); ok {
			g.jobs = append(g.jobs, j.Key())
			g.evals = append(g.evals, evals...)
			g.allocs = append(g.allocs, allocs...)
			for _, id := range evals {
				done[id] = true
			}
			for d := range snap.DeploymentsByJob(j.Namespace, j.ID) {
				g.deployments = append(g.deployments, d.ID)
			}
		}
	}
	for e := range snap.Evals(state.AllNamespaces, "") {
		if done[e.ID] {
			continue
		}
		if allocs, ok := deadEval(snap, e, t, now); ok {
			g.evals = append(g.evals, e.ID)
			g.allocs = append(g.allocs, allocs...)
		}
	}
	taken := map[string]bool{}
	for _, id := range g.deployments {
		taken[id] = true
	}
	for d := range snap.Deployments(state.AllNamespaces, "") {
		if !taken[d.ID] && deadDeployment(snap, d, t, now) {
			g.deployments = append(g.deployments, d.ID)
		}
	}
	return g
}

func older(unixNano int64, threshold time.Duration, now time.Time) bool {
	return now.Sub(time.Unix(0, unixNano)) >= threshold
}

// deadJob tells whether a job and everything of it can go.
func deadJob(snap *state.Snapshot, j *model.Job, t GC, now time.Time) (evals, allocs []string, ok bool) {
	batch := j.Type == model.JobTypeBatch || j.Type == model.JobTypeSysBatch
	if j.Status != model.JobStatusDead || !(j.Stop || batch) || !older(j.SubmitTime, t.JobThreshold, now) {
		return nil, nil, false
	}
	if (j.IsPeriodic() || j.IsParameterized()) && !j.Stop {
		return nil, nil, false
	}
	for _, v := range snap.JobVersions(j.Namespace, j.ID) {
		if v.VersionTag != nil {
			return nil, nil, false
		}
	}
	for e := range snap.EvalsByJob(j.Namespace, j.ID) {
		if !e.Terminal() || !older(e.ModifyTime, t.JobThreshold, now) {
			return nil, nil, false
		}
		evals = append(evals, e.ID)
	}
	for _, a := range snap.AllocsByJob(j.Namespace, j.ID) {
		if !deadAlloc(snap, a, j, t.JobThreshold, now) {
			return nil, nil, false
		}
		allocs = append(allocs, a.ID)
	}
	return evals, allocs, true
}

// deadEval tells whether an evaluation and its allocations can go.
func deadEval(snap *state.Snapshot, e *model.Evaluation, t GC, now time.Time) (allocs []string, ok bool) {
	threshold := t.EvalThreshold
	j := snap.Job(e.Namespace, e.JobID)
	batch := e.Type == model.JobTypeBatch || e.Type == model.JobTypeSysBatch
	if batch {
		threshold = t.BatchEvalThreshold
	}
	if !e.Terminal() || !older(e.ModifyTime, threshold, now) {
		return nil, false
	}
	// What a batch job has finished must be remembered as long as the job, or it would run again.
	if batch && j != nil && !(j.Stop && j.Status == model.JobStatusDead) && len(snap.AllocsByEval(e.ID)) > 0 {
		return nil, false
	}
	for _, a := range snap.AllocsByEval(e.ID) {
		if !deadAlloc(snap, a, j, threshold, now) {
			return nil, false
		}
		allocs = append(allocs, a.ID)
	}
	return allocs, true
}

// deadAlloc tells whether an allocation is of no use any more. j is its job's current version.
func deadAlloc(snap *state.Snapshot, a *model.Allocation, j *model.Job, threshold time.Duration, now time.Time) bool {
	if !a.Terminal() || !older(a.ModifyTime, threshold, now) {
		return false
	}
	if n := snap.Node(a.NodeID); !a.ClientTerminal() && n != nil && !n.Down() {
		return false // its node is still stopping it
	}
	if j == nil || j.Stop || j.Status == model.JobStatusDead || a.ServerTerminal() || a.ClientStatus != model.AllocClientFailed || a.NextAllocation != "" {
		return true
	}
	// A failed allocation that may still be replaced is what its replacement is made from.
	g := j.Group(a.TaskGroup)
	if g == nil || !g.ReschedulePolicy.Enabled() {
		return true
	}
	p := g.ReschedulePolicy
	return !p.Unlimited && older(a.ModifyTime, p.Interval, now)
}

func deadDeployment(snap *state.Snapshot, d *model.Deployment, t GC, now time.Time) bool {
	if d.Active() || !older(d.ModifyTime, t.DeploymentThreshold, now) {
		return false
	}
	for _, a := range snap.AllocsByDeployment(d.ID) {
		if !a.Terminal() {
			return false
		}
	}
	return true
}

// deadNodes are the nodes that are down for long and hold nothing.
func deadNodes(snap *state.Snapshot, t GC, now time.Time) []string {
	var out []string
	for n := range snap.Nodes() {
		if n.Status != model.NodeStatusDown || now.Sub(time.Unix(n.StatusUpdatedAt, 0)) < t.NodeThreshold {
			continue
		}
		empty := true
		for _, a := range snap.AllocsByNode(n.ID) {
			if !a.Terminal() {
				empty = false
				break
			}
		}
		if empty {
			out = append(out, n.ID)
		}
	}
	return out
}
