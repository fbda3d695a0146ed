package reconcile

import (
	"github.com/droverhq/drover/core/model"
)

// Descriptions of deployments, as users know them.
const (
	DeploymentIsRunning  = "Deployment is running"
	DeploymentNeedsHand  = "Deployment is running but requires manual promotion"
	DeploymentPromotes   = "Deployment is running pending automatic promotion"
	DeploymentIsDone     = "Deployment completed successfully"
	DeploymentJobStopped = "Cancelled because job is stopped"
	DeploymentNewerJob   = "Cancelled due to newer version of job"
)

// settleDeployments cancels a deployment that the job has left behind and tells the one of the current version from an
// old one, which is of an earlier version or done.
func (in *Input) settleDeployments(res *Result) (current, old *model.Deployment) {
	d := in.Deployment
	switch {
	case d == nil:
		return nil, nil
	case in.Job.Stopped():
		cancel(res, d, DeploymentJobStopped)
		return nil, d
	case d.JobVersion != in.Job.Version || d.JobCreateIndex != in.Job.CreateIndex:
		cancel(res, d, DeploymentNewerJob)
		return nil, d
	case d.Status == model.DeploymentSuccessful:
		return nil, d
	}
	return d, nil
}

func cancel(res *Result, d *model.Deployment, why string) {
	if !d.Active() {
		return
	}
	res.DeploymentUpdates = append(res.DeploymentUpdates, &model.DeploymentStatusUpdate{
		DeploymentID: d.ID, Status: model.DeploymentCancelled, StatusDescription: why,
	})
}

func (r *generic) paused() bool {
	return r.deployment != nil && r.deployment.Status == model.DeploymentPaused
}

func (r *generic) failed() bool {
	return r.deployment != nil && r.deployment.Status == model.DeploymentFailed
}

// dropOldCanaries ends canaries that will never be promoted.
func (r *generic) dropOldCanaries(g *model.TaskGroup, allocs []*model.Allocation) []*model.Allocation {
	unwanted := map[string]bool{}
	for _, d := range []*model.Deployment{r.old, r.deployment} {
		if d == nil || d == r.deployment && d.Status != model.DeploymentFailed {
			continue
		}
		state := d.TaskGroups[g.Name]
		if state == nil || state.Promoted || d.Status == model.DeploymentSuccessful {
			continue
		}
		for _, id := range state.PlacedCanaries {
			unwanted[id] = true
		}
	}
	if len(unwanted) == 0 {
		return allocs
	}
	for _, a := range allocs {
		if !unwanted[a.ID] || a.Terminal() {
			continue
		}
		if r.Node(a.NodeID).Down() {
			r.stop(g.Name, a, Lost, model.AllocClientLost)
		} else {
			r.stop(g.Name, a, NotNeeded, "")
		}
	}
	return without(allocs, unwanted)
}

// groupState returns the group's part of the current deployment (a copy), or what it would be in a new one; known tells
// which.
func (r *generic) groupState(g *model.TaskGroup) (state *model.DeploymentState, known bool) {
	if r.deployment != nil {
		if s := r.deployment.TaskGroups[g.Name]; s != nil {
			c := *s
			return &c, true
		}
	}
	return newState(g, g.Count), false
}

func newState(g *model.TaskGroup, total int) *model.DeploymentState {
	s := &model.DeploymentState{DesiredTotal: total}
	if g.Update != nil {
		s.AutoRevert, s.AutoPromote, s.ProgressDeadline = g.Update.AutoRevert, g.Update.AutoPromote, g.Update.ProgressDeadline
		s.OnDeadline = g.Update.OnDeadline
	}
	return s
}

// canaryHouse stops canaries that would have to move: others are placed for them.
func (r *generic) canaryHouse(g *model.TaskGroup, state *model.DeploymentState, keep, migrate []*model.Allocation) (k, m []*model.Allocation) {
	if state.Promoted || len(state.PlacedCanaries) == 0 {
		return keep, migrate
	}
	moving := pick(migrate, state.PlacedCanaries)
	for _, a := range moving {
		r.stop(g.Name, a, Migrating, "")
	}
	return keep, without(migrate, ids(moving))
}

// wantsCanaries tells whether more canaries are to be placed.
func (r *generic) wantsCanaries(g *model.TaskGroup, state *model.DeploymentState, destructive, canaries []*model.Allocation) bool {
	if r.batch || !g.HasUpdateStrategy() || g.Update.Canary == 0 || state.Promoted {
		return false
	}
	return len(destructive) > 0 && len(canaries) < g.Update.Canary
}

// placeCanaries places those that are missing, under the names of the allocations they are to replace.
func (r *generic) placeCanaries(g *model.TaskGroup, s *sets, canaries, destructive []*model.Allocation) {
	if r.paused() || r.failed() {
		return
	}
	free := newNames(r.Job.ID, g.Name, s.keep, s.migrate, s.failedNow)
	used := map[string]bool{}
	for _, c := range canaries {
		used[c.Name] = true
	}
	for _, a := range s.failedNow {
		if isCanary(a) {
			used[a.Name] = true
		}
	}
	missing := g.Update.Canary - len(canaries)
	for _, a := range s.failedNow {
		if r.isCurrentCanary(a) {
			missing-- // it is placed again as a canary
		}
	}
	for _, a := range destructive {
		if missing > 0 && !used[a.Name] {
			used[a.Name] = true
			missing--
			r.placeCanary(g, a.Name)
		}
	}
	for ; missing > 0; missing-- {
		r.placeCanary(g, free.take())
	}
}

func (r *generic) placeCanary(g *model.TaskGroup, name string) {
	r.res.Place = append(r.res.Place, Placement{Name: name, Group: g, Job: r.Job, Canary: true})
	r.res.desired(g.Name).Canary++
}

// deploy begins a roll-out, or adds the group to the one just begun: on the job's first run and when the update changes
// something.
func (r *generic) deploy(g *model.TaskGroup, state *model.DeploymentState, known bool, allocs []*model.Allocation, updating bool) {
	if known {
		r.complete = r.complete && done(state)
		return
	}
	if r.batch || !g.HasUpdateStrategy() || state.DesiredTotal == 0 || r.deployment != nil {
		return
	}
	ran := false
	for _, a := range allocs {
		ran = ran || a.JobVersion == r.Job.Version
	}
	if ran && !updating || r.old != nil && r.old.JobVersion == r.Job.Version && !updating {
		return
	}
	if r.res.Deployment == nil {
		r.res.Deployment = r.newDeployment()
	}
	r.res.Deployment.TaskGroups[g.Name] = state
}

func (in *Input) newDeployment() *model.Deployment {
	return &model.Deployment{
		ID: in.NewID(), Namespace: in.Job.Namespace, JobID: in.Job.ID, JobVersion: in.Job.Version,
		JobModifyIndex: in.Job.ModifyIndex, JobSpecModifyIndex: in.Job.JobModifyIndex, JobCreateIndex: in.Job.CreateIndex,
		TaskGroups: map[string]*model.DeploymentState{}, Status: model.DeploymentRunning,
		StatusDescription: DeploymentIsRunning, EvalPriority: in.Eval.Priority,
		CreateTime: in.Now.UnixNano(), ModifyTime: in.Now.UnixNano(),
	}
}

// done tells whether a group has all that its deployment wants.
func done(s *model.DeploymentState) bool {
	return s.HealthyAllocs >= max(s.DesiredTotal, s.DesiredCanaries) && (s.DesiredCanaries == 0 || s.Promoted)
}

// concludeDeployment says what waits for a hand, and ends a deployment that has all it wants.
func concludeDeployment(res *Result, current *model.Deployment, complete bool) {
	if d := res.Deployment; d != nil {
		d.StatusDescription = waitingFor(d)
		return
	}
	if current.Active() && complete && len(current.TaskGroups) > 0 {
		res.DeploymentUpdates = append(res.DeploymentUpdates, &model.DeploymentStatusUpdate{
			DeploymentID: current.ID, Status: model.DeploymentSuccessful, StatusDescription: DeploymentIsDone,
		})
	}
}

func waitingFor(d *model.Deployment) string {
	canaries, auto := false, true
	for _, s := range d.TaskGroups {
		if s.DesiredCanaries > 0 {
			canaries = true
			auto = auto && s.AutoPromote
		}
	}
	switch {
	case canaries && auto:
		return DeploymentPromotes
	case canaries:
		return DeploymentNeedsHand
	}
	return DeploymentIsRunning
}
