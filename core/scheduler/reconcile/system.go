package reconcile

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// Nodes is what System asks about nodes beyond Input.Node.
type Nodes struct {
	// Ready lists the nodes that take placements and are in the job's pool and datacenters.
	Ready []*model.Node

	// Suits tells whether the group's constraints hold on a node; room is not asked.
	Suits func(nodeID string, g *model.TaskGroup) bool
}

// system is one run over a system or sysbatch job.
type system struct {
	*Input
	nodes    Nodes
	res      *Result
	once     bool // sysbatch: what ended is not run again
	versions *versions

	deployment *model.Deployment
	complete   bool
}

// System reconciles a system or sysbatch job: one set of instances on every node that suits.
func System(in Input, nodes Nodes) *Result {
	r := &system{
		Input: &in, nodes: nodes, res: &Result{Desired: map[string]*model.DesiredUpdates{}},
		once: in.Eval.Type == model.JobTypeSysBatch, versions: newVersions(&in), complete: true,
	}
	r.deployment, _ = in.settleDeployments(r.res)
	in.giveUpOnDeadNodes(r.res)
	groups := byGroup(in.Allocs)
	if !in.Job.Stopped() {
		for _, g := range in.Job.TaskGroups {
			r.group(g, groups[g.Name])
			delete(groups, g.Name)
		}
	}
	for _, name := range groupNames(groups) {
		for _, a := range groups[name] {
			r.remove(name, a)
		}
	}
	if !in.Job.Stopped() {
		concludeDeployment(r.res, r.deployment, r.complete)
	}
	return r.res
}

// remove ends an allocation of a group that is not wanted at all.
func (r *system) remove(group string, a *model.Allocation) {
	switch {
	case a.Terminal():
	case r.Node(a.NodeID).Down():
		r.stop(group, a, Lost, model.AllocClientLost)
	default:
		r.stop(group, a, NotNeeded, "")
	}
}

func (r *system) stop(group string, a *model.Allocation, why, clientStatus string) {
	r.res.Stop = append(r.res.Stop, Stop{Alloc: a, Description: why, ClientStatus: clientStatus})
	r.res.desired(group).Stop++
}

// slot is one instance that one node should have.
type slot struct{ node, name string }

// group reconciles one group over all nodes.
func (r *system) group(g *model.TaskGroup, allocs []*model.Allocation) {
	desired := r.res.desired(g.Name)
	byIndex(allocs)
	wanted := map[string]bool{} // ready nodes that suit
	for _, n := range r.nodes.Ready {
		if r.nodes.Suits(n.ID, g) {
			wanted[n.ID] = true
		}
	}
	live, filled := r.sort(g, allocs, wanted)

	var destructive, kept []*model.Allocation
	changed := 0
	for _, a := range live {
		switch {
		case a.JobVersion == r.Job.Version:
			kept = append(kept, a)
			desired.Ignore++
		case !r.versions.differ(a.JobVersion, g.Name) && r.Fits(a, g):
			r.res.Adapt = append(r.res.Adapt, a)
			desired.InPlaceUpdate++
			changed++
		default:
			destructive = append(destructive, a)
			changed++
		}
	}
	placed := r.fill(g, wanted, filled)
	r.update(g, destructive, kept)
	r.deploy(g, allocs, len(wanted)*r.count(g), changed, len(destructive))
	if placed+changed > 0 {
		r.complete = false
	}
}

func (r *system) count(g *model.TaskGroup) int {
	if r.once {
		return g.Count
	}
	return min(g.Count, 1)
}

// sort stops what must end and returns what runs on, and which slots are taken.
func (r *system) sort(g *model.TaskGroup, allocs []*model.Allocation, wanted map[string]bool) (live []*model.Allocation, filled map[slot]bool) {
	desired := r.res.desired(g.Name)
	filled = map[slot]bool{}
	var cutOff []*model.Allocation
	for _, a := range allocs {
		at := slot{a.NodeID, a.Name}
		if a.Terminal() {
			if r.once && a.JobVersion == r.Job.Version && r.ended(a) {
				filled[at] = true
			}
			continue
		}
		switch r.nodeFate(a, g.Disconnect) {
		case isLost:
			r.stop(g.Name, a, Lost, model.AllocClientLost)
			continue
		case disconnects:
			cutOff = append(cutOff, a)
			filled[at] = true
			continue
		case isUnknown:
			filled[at] = true
			desired.Ignore++
			continue
		case moves:
			desired.Migrate++
			r.res.Stop = append(r.res.Stop, Stop{Alloc: a, Description: NodeTainted})
			filled[at] = true
			continue
		}
		switch {
		case nameIndex(a.Name) >= r.count(g), filled[at]:
			r.stop(g.Name, a, NotNeeded, "")
		case wanted[a.NodeID]:
			filled[at] = true
			live = append(live, a)
		case a.JobVersion == r.Job.Version:
			filled[at] = true // the node takes nothing new, but keeps what it has
			desired.Ignore++
		default:
			r.stop(g.Name, a, NotNeeded, "")
		}
	}
	if len(cutOff) > 0 {
		markUnknown(r.Input, r.res, cutOff, g.Disconnect.LostAfter)
		desired.Disconnect += uint64(len(cutOff))
	}
	return live, filled
}

// ended tells whether a terminal sysbatch allocation counts as run: it came to its end, well or not, and was not given
// up or stopped before.
func (r *system) ended(a *model.Allocation) bool {
	return a.ClientStatus == model.AllocClientComplete && !a.ServerTerminal() ||
		a.ClientStatus == model.AllocClientComplete && succeeded(a) || a.ClientStatus == model.AllocClientFailed
}

// fill places what nodes lack and returns how many that is.
func (r *system) fill(g *model.TaskGroup, wanted map[string]bool, filled map[slot]bool) int {
	if r.deployment != nil && r.deployment.Status == model.DeploymentPaused {
		return 0
	}
	placed := 0
	for _, n := range r.nodes.Ready {
		if !wanted[n.ID] {
			continue
		}
		for i := range r.count(g) {
			name := allocName(r.Job.Name, g.Name, i)
			if filled[slot{n.ID, name}] {
				continue
			}
			r.res.Place = append(r.res.Place, Placement{Name: name, Group: g, Job: r.Job, NodeID: n.ID})
			r.res.desired(g.Name).Place++
			placed++
		}
	}
	return placed
}

// update replaces what runs something else now, as many at a time as the update strategy and the health of those before
// allow. Canaries are the first of them.
func (r *system) update(g *model.TaskGroup, destructive, kept []*model.Allocation) {
	desired := r.res.desired(g.Name)
	slices.SortFunc(destructive, func(a, b *model.Allocation) int { return strings.Compare(a.NodeID, b.NodeID) })
	limit, canary := r.limit(g, destructive, kept)
	limit = min(limit, len(destructive))
	for _, a := range destructive[:limit] {
		r.res.Place = append(r.res.Place, Placement{
			Name: a.Name, Group: g, Job: r.Job, NodeID: a.NodeID, Previous: a, Canary: canary,
			Replaces: &Stop{Alloc: a, Description: Updating},
		})
		desired.DestructiveUpdate++
		if canary {
			desired.Canary++
		}
	}
	desired.Ignore += uint64(len(destructive) - limit)
}

func (r *system) limit(g *model.TaskGroup, destructive, kept []*model.Allocation) (limit int, canary bool) {
	if r.once || !g.HasUpdateStrategy() {
		return len(destructive), false
	}
	if r.deployment == nil {
		if g.Update.Canary > 0 {
			return canaries(g, len(destructive)), true
		}
		return g.Update.MaxParallel, false
	}
	if r.deployment.Status != model.DeploymentRunning {
		return 0, false
	}
	limit = unhealthyLimit(g.Update.MaxParallel, r.deployment, kept)
	if s := r.deployment.TaskGroups[g.Name]; s != nil && s.DesiredCanaries > 0 && !s.Promoted {
		return min(limit, max(0, s.DesiredCanaries-len(s.PlacedCanaries))), true
	}
	return limit, false
}

// canaries is the number of canaries: a share of what must be replaced, at least one, at most max_parallel.
func canaries(g *model.TaskGroup, destructive int) int {
	return min((destructive*g.Update.Canary+99)/100, g.Update.MaxParallel)
}

// deploy begins a roll-out on the job's first run and when something changes, and sees whether one is done.
func (r *system) deploy(g *model.TaskGroup, allocs []*model.Allocation, total, changed, destructive int) {
	if r.deployment != nil {
		if s := r.deployment.TaskGroups[g.Name]; s != nil {
			c := *s
			c.DesiredTotal = min(c.DesiredTotal, total) // nodes may have left since
			r.complete = r.complete && done(&c)
		}
		return
	}
	if r.once || !g.HasUpdateStrategy() || total == 0 {
		return
	}
	for _, a := range allocs {
		if a.JobVersion == r.Job.Version && changed == 0 {
			return
		}
	}
	if d := r.Deployment; d != nil && d.JobVersion == r.Job.Version && d.JobCreateIndex == r.Job.CreateIndex && changed == 0 {
		return
	}
	if r.res.Deployment == nil {
		r.res.Deployment = r.newDeployment()
	}
	s := newState(g, total)
	if g.Update.Canary > 0 && destructive > 0 {
		s.DesiredCanaries = canaries(g, destructive)
	}
	r.res.Deployment.TaskGroups[g.Name] = s
}
