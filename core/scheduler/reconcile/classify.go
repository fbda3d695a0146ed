package reconcile

import (
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
)

// sets are a group's allocations by what is to become of them.
type sets struct {
	keep          []*model.Allocation // run, or count as if they did
	migrate       []*model.Allocation // to be moved
	lost          []*model.Allocation // their node is gone
	lostLater     []*model.Allocation // lost, but their node needs time to stop them: replaced later
	failedNow     []*model.Allocation // to be replaced
	failedLater   []delayed           // to be replaced later; they are in keep as well
	disconnecting []*model.Allocation // run on a node that has just been cut off
	unknown       []*model.Allocation // on a node that is cut off, their replacement is in keep
	ignored       int                 // ended batch instances of older versions
}

// delayed is a failed allocation and when it is to be replaced.
type delayed struct {
	alloc *model.Allocation
	at    time.Time
}

// fate is what its node means for a live allocation.
type fate uint8

const (
	stays fate = iota
	moves
	isLost
	disconnects
	isUnknown
)

// nodeFate tells what an allocation's node means for it. The allocation is live.
func (in *Input) nodeFate(a *model.Allocation, d *model.Disconnect) fate {
	node := in.Node(a.NodeID)
	lasts := d != nil && d.LostAfter > 0
	switch {
	case a.ClientStatus == model.AllocClientUnknown && lasts:
		return in.unknownFate(a, node, d)
	case node.Down():
		return isLost
	case node.Status == model.NodeStatusDisconnected:
		if lasts && a.ClientStatus == model.AllocClientRunning {
			return disconnects
		}
		return isLost
	case is(a.DesiredTransition.Migrate):
		return moves
	}
	return stays
}

// unknownFate is nodeFate for an allocation that was cut off before.
func (in *Input) unknownFate(a *model.Allocation, node *model.Node, d *model.Disconnect) fate {
	switch {
	case node == nil:
		return isLost
	case !d.Replace:
		return stays
	case node.Status == model.NodeStatusDown, !in.Now.Before(unknownSince(a).Add(d.LostAfter)):
		return isLost
	}
	return isUnknown
}

// unknownSince is when an allocation was last cut off.
func unknownSince(a *model.Allocation) time.Time {
	for _, s := range slices.Backward(a.AllocStates) {
		if s.Value == model.AllocClientUnknown {
			return s.Time
		}
	}
	return time.Unix(0, a.ModifyTime)
}

// lostSince is when an allocation was given up; zero when it was not.
func lostSince(a *model.Allocation) time.Time {
	for _, s := range slices.Backward(a.AllocStates) {
		if s.Value == model.AllocClientLost {
			return s.Time
		}
	}
	return time.Unix(0, a.ModifyTime)
}

// classify sorts a group's allocations. batch says that a task's success is final.
func (in *Input) classify(g *model.TaskGroup, allocs []*model.Allocation, batch bool, d *model.Deployment) sets {
	var s sets
	for _, a := range allocs {
		switch {
		case a.ServerTerminal():
			in.classifyStopped(&s, g, a, batch)
		case batch && a.ClientTerminal() && a.JobVersion < in.Job.Version:
			s.ignored++
		case a.ClientTerminal():
			in.classifyEnded(&s, g, a, batch, d)
		default:
			in.classifyLive(&s, g, a)
		}
	}
	slices.SortFunc(s.failedLater, func(a, b delayed) int { return a.at.Compare(b.at) })
	return s
}

// classifyStopped: what the servers stopped counts no more, with two exceptions: a batch instance that had succeeded or
// was stopped by a user without wish for another, and one whose cut-off node must first get time to stop it.
func (in *Input) classifyStopped(s *sets, g *model.TaskGroup, a *model.Allocation, batch bool) {
	switch {
	case batch && a.JobVersion == in.Job.Version &&
		(a.ClientStatus == model.AllocClientComplete && succeeded(a) || is(a.DesiredTransition.MigrateDisablePlacement)):
		s.keep = append(s.keep, a)
	case a.ClientStatus == model.AllocClientLost && a.NextAllocation == "" && in.Now.Before(lostSince(a).Add(stopDelay(g))):
		s.lostLater = append(s.lostLater, a)
	}
}

// succeeded tells whether every task of an ended allocation ended well.
func succeeded(a *model.Allocation) bool {
	for _, t := range a.TaskStates {
		if t.State != model.TaskDead || t.Failed {
			return false
		}
	}
	return len(a.TaskStates) > 0
}

func (in *Input) classifyEnded(s *sets, g *model.TaskGroup, a *model.Allocation, batch bool, d *model.Deployment) {
	switch {
	case a.NextAllocation != "": // replaced
	case a.ClientStatus == model.AllocClientFailed:
		switch when, at := in.reschedule(a, g.ReschedulePolicy, d); when {
		case now:
			s.failedNow = append(s.failedNow, a)
		case later:
			s.keep = append(s.keep, a)
			s.failedLater = append(s.failedLater, delayed{a, at})
		default:
			s.keep = append(s.keep, a)
		}
	case batch && a.ClientStatus == model.AllocClientComplete:
		s.keep = append(s.keep, a)
	}
}

func (in *Input) classifyLive(s *sets, g *model.TaskGroup, a *model.Allocation) {
	switch in.nodeFate(a, g.Disconnect) {
	case moves:
		s.migrate = append(s.migrate, a)
	case isLost:
		s.lost = append(s.lost, a)
	case disconnects:
		s.disconnecting = append(s.disconnecting, a)
	case isUnknown:
		s.unknown = append(s.unknown, a)
	default:
		s.keep = append(s.keep, a)
	}
}

// stopDelay is how long a lost allocation's node may take to stop it by itself.
func stopDelay(g *model.TaskGroup) time.Duration {
	if g.Disconnect == nil || g.Disconnect.StopOnClientAfter <= 0 {
		return 0
	}
	var kill time.Duration
	for _, t := range g.Tasks {
		kill = max(kill, t.KillTimeout)
	}
	return g.Disconnect.StopOnClientAfter + kill
}

// byIndex orders allocations by the index in their name, then by age.
func byIndex(list []*model.Allocation) {
	slices.SortFunc(list, func(a, b *model.Allocation) int {
		if c := nameIndex(a.Name) - nameIndex(b.Name); c != 0 {
			return c
		}
		if a.CreateIndex != b.CreateIndex {
			if a.CreateIndex < b.CreateIndex {
				return -1
			}
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// without returns the allocations of list that drop does not hold.
func without(list []*model.Allocation, drop map[string]bool) []*model.Allocation {
	if len(drop) == 0 {
		return list
	}
	out := list[:0:0]
	for _, a := range list {
		if !drop[a.ID] {
			out = append(out, a)
		}
	}
	return out
}
