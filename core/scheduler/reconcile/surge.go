package reconcile

import (
	"slices"

	"github.com/droverhq/drover/core/model"
)

// With update.max_surge an instance that is to be replaced runs on, beside the one that takes its place under the same
// name, until that one is healthy. The old one is then "covered": it does not count, and nothing else is done to it.
// Neither names the other as its previous one: on one node the new one would wait for the old one's end.

// surge ends covered instances whose successor is healthy, takes the others out of the sets and returns them.
func (r *generic) surge(g *model.TaskGroup, s *sets) (covered []*model.Allocation) {
	if r.batch || len(s.keep) == 0 {
		return nil
	}
	r.dropHalfDone(g, s) // whatever this version says: the one before it may have had a surge
	if r.deployment == nil || g.Update == nil || g.Update.MaxSurge == 0 {
		return nil
	}
	successor := map[string]*model.Allocation{}
	for _, a := range slices.Concat(s.keep, s.failedNow) { // one that failed and may be replaced covers all the same
		if a.DeploymentID != r.deployment.ID || a.JobVersion != r.Job.Version || isCanary(a) {
			continue
		}
		if have := successor[a.Name]; have == nil || have.Terminal() {
			successor[a.Name] = a
		}
	}
	gone := map[string]bool{}
	for _, a := range slices.Concat(s.keep, s.failedNow) {
		next := successor[a.Name]
		if next == nil || next == a || a.JobVersion == r.Job.Version {
			continue
		}
		gone[a.ID] = true
		switch h := healthy(next); {
		case h != nil && *h && !next.Terminal(), a.ClientTerminal(): // one that ended by itself is not started again
			r.stop(g.Name, a, Updating, "")
		default:
			covered = append(covered, a)
		}
	}
	s.keep, s.failedNow = without(s.keep, gone), without(s.failedNow, gone)
	s.failedLater = slices.DeleteFunc(s.failedLater, func(d delayed) bool { return gone[d.alloc.ID] })
	r.res.desired(g.Name).Ignore += uint64(len(covered))
	return covered
}

// dropHalfDone ends the instances of a roll-out that failed or was overtaken which had not become healthy while the ones
// they were to replace still run.
func (r *generic) dropHalfDone(g *model.TaskGroup, s *sets) {
	byName := map[string][]*model.Allocation{}
	for _, a := range s.keep {
		if a.ClientStatus == model.AllocClientRunning {
			byName[a.Name] = append(byName[a.Name], a)
		}
	}
	gone := map[string]bool{}
	for _, a := range slices.Concat(s.keep, s.failedNow) {
		over := a.JobVersion < r.Job.Version || r.failed() && a.DeploymentID == r.deployment.ID
		if h := healthy(a); !over || h != nil && *h || isCanary(a) {
			continue
		}
		if slices.ContainsFunc(byName[a.Name], func(b *model.Allocation) bool { return b.JobVersion < a.JobVersion }) {
			gone[a.ID] = true
			r.stop(g.Name, a, NotNeeded, "")
		}
	}
	s.keep, s.failedNow = without(s.keep, gone), without(s.failedNow, gone)
	s.failedLater = slices.DeleteFunc(s.failedLater, func(d delayed) bool { return gone[d.alloc.ID] })
}

// update replaces an instance: beside the old one while the surge has room (so many run beyond the count already), in
// its place otherwise.
func (r *generic) update(g *model.TaskGroup, a *model.Allocation, beyond *int) {
	if g.Update == nil || a.Terminal() || *beyond >= g.Update.MaxSurge {
		r.replace(g, a, r.Job, Updating, false)
		return
	}
	*beyond++
	r.res.Place = append(r.res.Place, Placement{Name: a.Name, Group: g, Job: r.Job})
}
