package reconcile

import (
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
)

// batchWindow is how far apart delayed replacements may be to share an evaluation.
const batchWindow = 5 * time.Second

// stopLost gives up what was on nodes that are gone.
func (r *generic) stopLost(g *model.TaskGroup, lost []*model.Allocation) {
	for _, a := range lost {
		r.stop(g.Name, a, Lost, model.AllocClientLost)
	}
}

// delayLost keeps apart those whose node is to get time to stop them before they are replaced.
func (r *generic) delayLost(g *model.TaskGroup, s *sets) {
	delay := stopDelay(g)
	if delay == 0 || len(s.lost) == 0 {
		return
	}
	e := r.followUp(r.res, model.TriggerAllocFailure, "created for delayed replacement of lost allocations", r.Now.Add(delay))
	for _, a := range s.lost {
		r.res.Stop = append(r.res.Stop, Stop{
			Alloc: a, Description: Lost, ClientStatus: model.AllocClientLost, FollowupEvalID: e.ID,
		})
		r.res.desired(g.Name).Stop++
	}
	s.lostLater = append(s.lostLater, s.lost...)
	s.lost = nil
}

// rescheduleLater makes evaluations for the failed ones whose time has not come.
func (r *generic) rescheduleLater(g *model.TaskGroup, s *sets) {
	var e *model.Evaluation
	for _, d := range s.failedLater {
		if d.alloc.FollowupEvalID != "" && d.at.After(r.Now) {
			continue // its evaluation exists
		}
		if e == nil || d.at.Sub(e.WaitUntil) > batchWindow {
			e = r.followUp(r.res, model.TriggerAllocFailure, "created for delayed rescheduling", d.at)
		}
		a := *d.alloc
		a.FollowupEvalID = e.ID
		r.res.Update = append(r.res.Update, &a)
		r.res.desired(g.Name).RescheduleLater++
	}
}

// stopSurplus ends what is beyond the count: doubles of promoted canaries first, then what is to move anyway, then the
// highest indexes, and of equal names the older one.
func (r *generic) stopSurplus(g *model.TaskGroup, s *sets, state *model.DeploymentState, canaries []*model.Allocation, canarying bool) {
	isCanary := ids(canaries)
	candidates := s.keep
	if canarying {
		candidates = without(s.keep, isCanary)
	}
	failed := slices.DeleteFunc(slices.Clone(s.failedNow), func(a *model.Allocation) bool { return canarying && r.isCurrentCanary(a) })
	surplus := len(candidates) + len(s.migrate) + len(s.lostLater) + len(failed) - g.Count
	if surplus <= 0 {
		return
	}
	stopped := map[string]bool{}
	end := func(a *model.Allocation) {
		if surplus <= 0 || stopped[a.ID] {
			return
		}
		stopped[a.ID] = true
		surplus--
		if !a.Terminal() {
			r.stop(g.Name, a, NotNeeded, "")
		}
	}
	if state.Promoted {
		names := map[string]bool{}
		for _, c := range canaries {
			names[c.Name] = true
		}
		for _, a := range candidates {
			if names[a.Name] && !isCanary[a.ID] {
				end(a)
			}
		}
	}
	for _, a := range slices.Backward(s.migrate) {
		end(a)
	}
	for _, a := range slices.Backward(failed) {
		if end(a); stopped[a.ID] {
			r.stop(g.Name, a, NotNeeded, "") // or it would be replaced
		}
	}
	seen := map[string]bool{}
	for _, a := range slices.Backward(candidates) { // newest of a name first
		if seen[a.Name] {
			end(a)
		}
		seen[a.Name] = true
	}
	for _, a := range slices.Backward(candidates) {
		end(a)
	}
	s.keep = without(s.keep, stopped)
	s.migrate, s.failedNow = without(s.migrate, stopped), without(s.failedNow, stopped)
	s.failedLater = slices.DeleteFunc(s.failedLater, func(d delayed) bool { return stopped[d.alloc.ID] })
}

func ids(list []*model.Allocation) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, a := range list {
		out[a.ID] = true
	}
	return out
}

// updates sorts what is kept by what the new version means for it.
func (r *generic) updates(g *model.TaskGroup, keep []*model.Allocation) (destructive, adapt []*model.Allocation, same int) {
	for _, a := range keep {
		switch {
		case a.JobVersion == r.Job.Version:
			same++
		case r.versions.differ(a.JobVersion, g.Name):
			destructive = append(destructive, a)
		case a.Terminal():
			same++
		case !r.Fits(a, g):
			destructive = append(destructive, a)
		default:
			adapt = append(adapt, a)
		}
	}
	return destructive, adapt, same
}

// placements lists what the group is short of: replacements of failed ones, then of lost ones, then free names.
func (r *generic) placements(g *model.TaskGroup, s *sets, canaries []*model.Allocation, canarying bool) []Placement {
	var out []Placement
	for _, a := range s.failedNow {
		out = append(out, r.again(g, a, canarying, true))
	}
	for _, a := range s.disconnecting {
		if g.Disconnect != nil && g.Disconnect.Replace {
			out = append(out, r.again(g, a, canarying, false))
		}
	}
	have := len(s.keep) + len(s.migrate) + len(s.failedNow) + len(s.lostLater) + len(s.disconnecting)
	if canarying {
		have -= len(canaries)
		for _, a := range s.failedNow {
			if r.isCurrentCanary(a) {
				have--
			}
		}
	}
	for _, a := range s.lost {
		if have >= g.Count {
			break
		}
		if a.NextAllocation == "" && !(canarying && r.isCurrentCanary(a)) {
			out = append(out, r.again(g, a, canarying, false))
			have++
		}
	}
	if have < g.Count {
		free := newNames(r.Job.ID, g.Name, s.keep, s.migrate, s.failedNow, s.lostLater, s.disconnecting)
		for _, p := range out {
			free.used[nameIndex(p.Name)] = true
		}
		job := r.Job
		if canarying {
			job = r.stableJob(s)
		}
		for ; have < g.Count; have++ {
			out = append(out, Placement{Name: free.take(), Group: groupOf(job, g), Job: job})
		}
	}
	return out
}

// again places an instance once more under its name. While canaries are out, instances that are not canaries keep
// running what they ran.
func (r *generic) again(g *model.TaskGroup, a *model.Allocation, canarying, failed bool) Placement {
	canary := canarying && r.isCurrentCanary(a)
	job := r.Job
	if canarying && !canary {
		if was := r.Version(a.JobVersion); was != nil {
			job = was
		}
	}
	p := Placement{Name: a.Name, Group: groupOf(job, g), Job: job, Previous: a, Canary: canary, Reschedule: failed}
	if failed {
		p.Replaces = &Stop{Alloc: a, Description: Rescheduled}
	}
	return p
}

// stableJob is the version that instances other than canaries run while canaries are out.
func (r *generic) stableJob(s *sets) *model.Job {
	var best *model.Job
	for _, a := range s.keep {
		if a.JobVersion >= r.Job.Version || best != nil && a.JobVersion <= best.Version {
			continue
		}
		if v := r.Version(a.JobVersion); v != nil {
			best = v
		}
	}
	if best == nil {
		return r.Job
	}
	return best
}

// newestStable is the newest earlier version whose roll-out succeeded, nil when none is known.
func (r *generic) newestStable() *model.Job {
	for v := r.Job.Version; v > 0; v-- {
		if j := r.Version(v - 1); j != nil && j.Stable {
			return j
		}
	}
	return nil
}

func (r *generic) isCurrentCanary(a *model.Allocation) bool {
	return isCanary(a) && r.deployment != nil && a.DeploymentID == r.deployment.ID
}

func isCanary(a *model.Allocation) bool {
	return a.DeploymentStatus != nil && a.DeploymentStatus.Canary
}

// place puts the placements into the result, as far as the deployment allows, and returns how many destructive updates
// may follow.
func (r *generic) place(g *model.TaskGroup, s *sets, place []Placement, destructive []*model.Allocation, open, canarying bool) int {
	desired := r.res.desired(g.Name)
	limit := r.limit(g, s, destructive, canarying)
	add := func(p Placement) {
		r.res.Place = append(r.res.Place, p)
		desired.Place++
		if p.Reschedule {
			desired.RescheduleNow++
			desired.Stop++
		}
	}
	if open {
		for _, p := range place {
			add(p)
		}
		return limit - min(limit, len(place))
	}
	// The deployment is held up. What was running before must go on running all the same: lost and failed instances are
	// replaced, unless it was the failed deployment itself that they belong to.
	for _, p := range place {
		ofFailed := r.failed() && p.Previous != nil && p.Previous.DeploymentID == r.deployment.ID
		switch {
		case p.Previous == nil && r.failed():
			// Nothing is left of the instance (a drain stopped it, say), and a version that failed must not spread: the
			// newest version that is known to work takes its place, so that the service does not stay down.
			stable := r.newestStable()
			switch state := r.deployment.TaskGroups[g.Name]; {
			case stable != nil:
				p.Job, p.Group = stable, groupOf(stable, g)
			case state == nil || state.UnhealthyAllocs > 0:
				continue
			} // else there was no room for it in time, and nothing speaks against it
		case p.Previous == nil, p.Reschedule && ofFailed:
			continue
		}
		add(p)
	}
	return limit
}

// limit is how many destructive updates may be made now.
func (r *generic) limit(g *model.TaskGroup, s *sets, destructive []*model.Allocation, canarying bool) int {
	if !g.HasUpdateStrategy() || r.batch || len(destructive)+len(s.migrate) == 0 {
		return g.Count
	}
	if r.paused() || r.failed() || canarying {
		return 0
	}
	limit := g.Update.MaxParallel
	if r.deployment == nil {
		return limit
	}
	return unhealthyLimit(limit, r.deployment, s.keep)
}

// unhealthyLimit lowers a limit by the deployment's instances that are not yet healthy; one that is unhealthy stops all.
func unhealthyLimit(limit int, d *model.Deployment, list []*model.Allocation) int {
	for _, a := range list {
		if a.DeploymentID != d.ID {
			continue
		}
		switch h := healthy(a); {
		case h == nil:
			limit--
		case !*h:
			return 0
		}
	}
	return max(limit, 0)
}

func healthy(a *model.Allocation) *bool {
	if a.DeploymentStatus == nil {
		return nil
	}
	return a.DeploymentStatus.Healthy
}

// migrate moves allocations off their nodes.
func (r *generic) migrate(g *model.TaskGroup, s *sets, canarying bool) {
	for _, a := range s.migrate {
		r.res.desired(g.Name).Migrate++
		if is(a.DesiredTransition.MigrateDisablePlacement) {
			r.res.Stop = append(r.res.Stop, Stop{Alloc: a, Description: Migrating})
			continue
		}
		p := r.again(g, a, canarying, false)
		r.res.Stop = append(r.res.Stop, Stop{Alloc: a, Description: Migrating})
		r.res.Place = append(r.res.Place, p)
	}
}
