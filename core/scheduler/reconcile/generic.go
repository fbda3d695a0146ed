package reconcile

import (
	"slices"

	"github.com/droverhq/drover/core/model"
)

// generic is one run over a service or batch job.
type generic struct {
	*Input
	res   *Result
	batch bool

	deployment *model.Deployment // of this version of the job; nil when there is none
	old        *model.Deployment // of an earlier version, or done: only its canaries matter
	complete   bool              // every group of the deployment has all it wants
	versions   *versions
}

// Generic reconciles a service or batch job.
func Generic(in Input) *Result {
	r := &generic{
		Input: &in, res: &Result{Desired: map[string]*model.DesiredUpdates{}},
		batch:    in.Eval.Type == model.JobTypeBatch,
		complete: true, versions: newVersions(&in),
	}
	r.deployment, r.old = in.settleDeployments(r.res)
	in.giveUpOnDeadNodes(r.res)
	groups := byGroup(in.Allocs)
	if in.Job.Stopped() {
		for _, name := range groupNames(groups) {
			r.stopAll(name, groups[name])
		}
		return r.res
	}
	for _, g := range in.Job.TaskGroups {
		r.group(g, groups[g.Name])
		delete(groups, g.Name)
	}
	for _, name := range groupNames(groups) {
		r.stopAll(name, groups[name]) // the group is no longer in the job
	}
	concludeDeployment(r.res, r.deployment, r.complete)
	return r.res
}

func byGroup(allocs []*model.Allocation) map[string][]*model.Allocation {
	out := map[string][]*model.Allocation{}
	for _, a := range allocs {
		out[a.TaskGroup] = append(out[a.TaskGroup], a)
	}
	return out
}

func groupNames(groups map[string][]*model.Allocation) []string {
	out := make([]string, 0, len(groups))
	for name := range groups {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// giveUpOnDeadNodes marks as lost what was to be stopped on nodes that cannot stop it any more.
func (in *Input) giveUpOnDeadNodes(res *Result) {
	for _, a := range in.Allocs {
		if a.ServerTerminal() && !a.ClientTerminal() && in.Node(a.NodeID).Down() {
			res.Stop = append(res.Stop, Stop{Alloc: a, Description: a.DesiredDescription, ClientStatus: model.AllocClientLost})
		}
	}
}

// stopAll ends what runs of a group.
func (r *generic) stopAll(group string, allocs []*model.Allocation) {
	byIndex(allocs)
	for _, a := range allocs {
		if a.Terminal() {
			continue
		}
		if r.Node(a.NodeID).Down() {
			r.stop(group, a, Lost, model.AllocClientLost)
		} else {
			r.stop(group, a, NotNeeded, "")
		}
	}
}

// stop ends one allocation and counts it.
func (r *generic) stop(group string, a *model.Allocation, why, clientStatus string) {
	r.res.Stop = append(r.res.Stop, Stop{Alloc: a, Description: why, ClientStatus: clientStatus})
	r.res.desired(group).Stop++
}

// group reconciles one group.
func (r *generic) group(g *model.TaskGroup, allocs []*model.Allocation) {
	desired := r.res.desired(g.Name)
	byIndex(allocs)
	allocs = r.dropOldCanaries(g, allocs)
	s := r.classify(g, allocs, r.batch, r.deployment)
	desired.Ignore += uint64(s.ignored + len(s.unknown) + len(s.lostLater))

	state, known := r.groupState(g)
	s.keep, s.migrate = r.canaryHouse(g, state, s.keep, s.migrate)
	r.disconnect(g, &s)
	r.reconnect(g, &s)
	r.delayLost(g, &s)
	r.stopLost(g, s.lost)
	covered := r.surge(g, &s)

	canaries := pick(s.keep, state.PlacedCanaries)
	canarying := state.DesiredCanaries > 0 && !state.Promoted
	r.stopSurplus(g, &s, state, canaries, canarying)
	r.rescheduleLater(g, &s)
	canaries = pick(s.keep, state.PlacedCanaries)

	destructive, adapt, same := r.updates(g, s.keep)
	desired.Ignore += uint64(same)
	for _, a := range adapt {
		r.res.Adapt = append(r.res.Adapt, a)
		desired.InPlaceUpdate++
	}

	needCanaries := r.wantsCanaries(g, state, destructive, canaries)
	if needCanaries {
		state.DesiredCanaries = g.Update.Canary
		canarying = true
		r.placeCanaries(g, &s, canaries, destructive)
	}
	open := !r.paused() && !r.failed() && !canarying
	place := r.placements(g, &s, canaries, canarying)
	limit := r.place(g, &s, place, destructive, open, canarying)
	done := 0
	if open {
		done = min(limit, len(destructive))
		beyond := len(covered)
		for _, a := range destructive[:done] {
			r.update(g, a, &beyond)
			desired.DestructiveUpdate++
		}
	}
	desired.Ignore += uint64(len(destructive) - done)
	r.migrate(g, &s, canarying)

	r.deploy(g, state, known, allocs, len(destructive)+len(adapt) > 0)
	if needCanaries || len(covered)+len(destructive)+len(adapt)+len(place)+len(s.migrate)+len(s.failedNow)+len(s.failedLater) > 0 {
		r.complete = false
	}
}

// replace stops an allocation and places one of the same name, both or neither.
func (r *generic) replace(g *model.TaskGroup, a *model.Allocation, job *model.Job, why string, canary bool) {
	r.res.Place = append(r.res.Place, Placement{
		Name: a.Name, Group: groupOf(job, g), Job: job, Previous: a, Canary: canary,
		Replaces: &Stop{Alloc: a, Description: why},
	})
}

// groupOf returns the group as it is in another version of the job.
func groupOf(job *model.Job, g *model.TaskGroup) *model.TaskGroup {
	if other := job.Group(g.Name); other != nil {
		return other
	}
	return g
}

// pick returns the allocations of list that are named by ids.
func pick(list []*model.Allocation, ids []string) []*model.Allocation {
	var out []*model.Allocation
	for _, a := range list {
		if slices.Contains(ids, a.ID) {
			out = append(out, a)
		}
	}
	return out
}
