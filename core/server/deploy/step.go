// Package deploy decides what comes next in a roll-out. It is pure; the server's watcher is its shell.
package deploy

import (
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
)

// View is all that a decision rests on.
type View struct {
	Deployment *model.Deployment
	Job        *model.Job   // the current version; nil when it is purged
	Versions   []*model.Job // kept versions, newest first
	Allocs     []*model.Allocation

	// Seen is the index up to which changes of health have led to an evaluation.
	Seen uint64
}

// Actions is what is to be done now. Several may be set at once.
type Actions struct {
	Update     *model.DeploymentStatusUpdate // end the roll-out, or say how it stands
	Revert     *model.Job                    // and register this older version anew
	Promote    bool                          // let the canaries take over
	Reschedule []string                      // unhealthy allocations that may be replaced
	Evaluate   bool                          // let the scheduler go on
	Seen       uint64
	Next       time.Time // look again then, even if nothing changes; zero: no need to
}

// Descriptions of roll-outs that ended.
const (
	DescUnhealthy  = "Failed due to unhealthy allocations"
	DescDeadline   = "Failed due to progress deadline"
	DescByUser     = "Deployment marked as failed"
	DescJobStopped = "Cancelled because job is stopped"
	DescPaused     = "Deployment is paused"
	DescDone       = "Deployment completed successfully"
	DescRunning    = "Deployment is running"
	DescLate       = "Deployment is running past its progress deadline"
)

// Step decides what comes next. The scheduler places, replaces and ends successful roll-outs; Step sees to it that it
// is asked when allocations became healthy or not, promotes by itself where that is wished, and ends what cannot succeed.
func Step(v View, now time.Time) Actions {
	d := v.Deployment
	a := Actions{Seen: v.Seen}
	if !d.Active() {
		return a
	}
	if v.Job.Stopped() {
		a.Update = &model.DeploymentStatusUpdate{DeploymentID: d.ID, Status: model.DeploymentCancelled, StatusDescription: DescJobStopped}
		return a
	}
	if v.Job.Version != d.JobVersion {
		return a // a newer version was registered: its evaluation ends this roll-out
	}
	for _, al := range v.Allocs {
		if st := al.DeploymentStatus; st != nil && st.Healthy != nil && st.ModifyIndex > a.Seen {
			a.Seen = st.ModifyIndex
			a.Evaluate = true
		}
	}
	if d.Status != model.DeploymentRunning {
		a.Evaluate = false
		return a
	}
	if why, groups := v.failure(now, &a); why != "" {
		return v.end(a, why, groups)
	}
	switch late, said := v.late(now), d.StatusDescription == DescLate; {
	case late && !said:
		a.Update = &model.DeploymentStatusUpdate{DeploymentID: d.ID, Status: d.Status, StatusDescription: DescLate}
	case said && !late:
		a.Update = &model.DeploymentStatusUpdate{DeploymentID: d.ID, Status: d.Status, StatusDescription: DescRunning}
	}
	if v.concluded(now, &a) {
		a.Update = &model.DeploymentStatusUpdate{DeploymentID: d.ID, Status: model.DeploymentSuccessful, StatusDescription: DescDone}
		a.Evaluate = true
		return a
	}
	if v.autoPromote() {
		a.Promote, a.Evaluate = true, true
	}
	return a
}

// failure tells why the roll-out cannot succeed and which groups are to blame, or collects what may still be tried.
func (v View) failure(now time.Time, a *Actions) (why string, groups []string) {
	for _, al := range v.Allocs {
		g := v.Deployment.TaskGroups[al.TaskGroup]
		if g == nil || al.ServerTerminal() || al.NextAllocation != "" || !unhealthy(al) && al.ClientStatus != model.AllocClientFailed {
			continue
		}
		if g.ProgressDeadline == 0 || v.exhausted(al, now) {
			why = DescUnhealthy
			groups = append(groups, al.TaskGroup)
			continue
		}
		if r := al.DesiredTransition.Reschedule; r == nil || !*r {
			a.Reschedule = append(a.Reschedule, al.ID)
			a.Evaluate = true
		}
	}
	if why != "" {
		return why, groups
	}
	for name, g := range v.Deployment.TaskGroups {
		if !v.progressing(name, g) || g.RequireProgressBy.IsZero() || late(g, now) {
			continue
		}
		if !g.RequireProgressBy.After(now) {
			why = DescDeadline
			groups = append(groups, name)
		} else if a.Next.IsZero() || g.RequireProgressBy.Before(a.Next) {
			a.Next = g.RequireProgressBy
		}
	}
	slices.Sort(groups)
	return why, groups
}

// late tells whether the roll-out goes on although a group's deadline has passed, because its job says so.
func (v View) late(now time.Time) bool {
	for name, g := range v.Deployment.TaskGroups {
		if v.progressing(name, g) && late(g, now) {
			return true
		}
	}
	return false
}

func late(g *model.DeploymentState, now time.Time) bool {
	return g.OnDeadline == model.OnDeadlineKeepTrying && !g.RequireProgressBy.IsZero() && !g.RequireProgressBy.After(now)
}

func unhealthy(a *model.Allocation) bool {
	return a.DeploymentStatus != nil && a.DeploymentStatus.Healthy != nil && !*a.DeploymentStatus.Healthy
}

// progressing tells whether a group still has to show that allocations become healthy: not while only a promotion is
// missing. What became healthy and has ended since does not count.
func (v View) progressing(name string, g *model.DeploymentState) bool {
	canarying := g.DesiredCanaries > 0 && !g.Promoted
	healthy := 0
	for _, a := range v.Allocs {
		if a.TaskGroup == name && isHealthy(a) && !a.Terminal() && (!canarying || slices.Contains(g.PlacedCanaries, a.ID)) {
			healthy++
		}
	}
	if canarying {
		return healthy < g.DesiredCanaries
	}
	return healthy < g.DesiredTotal
}

func isHealthy(a *model.Allocation) bool {
	return a.DeploymentStatus != nil && a.DeploymentStatus.Healthy != nil && *a.DeploymentStatus.Healthy
}

// concluded tells whether all is healthy although the scheduler, which ends roll-outs, did not say so by the deadline: it
// may have something to do for the job that cannot be done.
func (v View) concluded(now time.Time, a *Actions) bool {
	var last time.Time
	for name, g := range v.Deployment.TaskGroups {
		if v.progressing(name, g) || g.DesiredCanaries > 0 && !g.Promoted {
			return false
		}
		if g.RequireProgressBy.After(last) {
			last = g.RequireProgressBy
		}
	}
	if last.After(now) {
		a.Next = last
	}
	return !last.IsZero() && !last.After(now)
}

// exhausted tells whether an allocation is not replaced any more.
func (v View) exhausted(a *model.Allocation, now time.Time) bool {
	g := v.Job.Group(a.TaskGroup)
	if g == nil || g.ReschedulePolicy == nil || v.Job.Type == model.JobTypeSystem {
		return true
	}
	p := g.ReschedulePolicy
	if p.Unlimited {
		return false
	}
	tried := 0
	if a.RescheduleTracker != nil {
		for _, e := range a.RescheduleTracker.Events {
			if now.Sub(time.Unix(0, e.RescheduleTime)) < p.Interval {
				tried++
			}
		}
	}
	return tried >= p.Attempts
}

// end fails the roll-out and goes back to a stable version where a group to blame asks for it.
func (v View) end(a Actions, why string, groups []string) Actions {
	a.Update = &model.DeploymentStatusUpdate{DeploymentID: v.Deployment.ID, Status: model.DeploymentFailed, StatusDescription: why}
	a.Reschedule, a.Evaluate = nil, true
	for _, name := range groups {
		if reverts(v.Deployment.TaskGroups[name], why) {
			a.Revert, a.Update.StatusDescription = Revert(why, v.Job, v.Versions)
			break
		}
	}
	return a
}

// reverts tells whether a group's failure sends the job back to a stable version. What is said for the deadline counts
// there, auto_revert for everything else.
func reverts(g *model.DeploymentState, why string) bool {
	if why == DescDeadline && g.OnDeadline != "" {
		return g.OnDeadline == model.OnDeadlineRevert
	}
	return g.AutoRevert
}

// Revert picks the version to go back to, nil when there is none, and completes the description.
func Revert(why string, job *model.Job, versions []*model.Job) (*model.Job, string) {
	for _, old := range versions {
		if !old.Stable || old.Version >= job.Version {
			continue
		}
		if !model.SpecChanged(old, job) {
			return nil, fmt.Sprintf("%s - not rolling back to stable job version %d as current job has same specification", why, old.Version)
		}
		back := *old
		back.Stable, back.VersionTag, back.SubmitTime = false, nil, 0
		return &back, fmt.Sprintf("%s - rolling back to job version %d", why, old.Version)
	}
	return nil, why + " - no stable job version to auto revert to"
}

func (v View) autoPromote() bool {
	waiting := false
	for _, g := range v.Deployment.TaskGroups {
		if g.DesiredCanaries == 0 || g.Promoted {
			continue
		}
		if !g.AutoPromote {
			return false
		}
		waiting = true
	}
	return waiting && Promotable(v.Deployment, nil, v.Allocs) == nil
}

// Promotable tells why the canaries of the groups (all with none named) cannot take over; nil when they can.
func Promotable(d *model.Deployment, groups []string, allocs []*model.Allocation) error {
	found := false
	for name, g := range d.TaskGroups {
		if g.DesiredCanaries == 0 || g.Promoted || (len(groups) > 0 && !slices.Contains(groups, name)) {
			continue
		}
		found = true
		healthy := 0
		for _, a := range allocs {
			if a.TaskGroup == name && slices.Contains(g.PlacedCanaries, a.ID) && isHealthy(a) && !a.Terminal() {
				healthy++
			}
		}
		if healthy < g.DesiredCanaries {
			return fmt.Errorf("task group %q has %d/%d healthy allocations", name, healthy, g.DesiredCanaries)
		}
	}
	if !found {
		return fmt.Errorf("no canaries to promote")
	}
	return nil
}
