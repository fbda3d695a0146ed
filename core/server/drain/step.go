// Package drain decides how a node is emptied. It is pure; the server's watcher is its shell.
package drain

import (
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
)

// View is all that a decision rests on.
type View struct {
	Node   *model.Node
	Allocs []*model.Allocation                   // on the node
	Job    func(*model.Allocation) *model.Job    // the version an allocation runs; nil when it is unknown
	Group  func(model.JobID) []*model.Allocation // all allocations of a job, on all nodes
}

// Actions is what is to be done now.
type Actions struct {
	Migrate []string  // allocations to move away
	Done    bool      // the node is empty
	Next    time.Time // look again then, even if nothing changes
}

// Step decides what comes next: services move at the pace of their migrate block, batch jobs may
// end by themselves, system jobs stop last, and at the deadline everything left goes at once.
func Step(v View, now time.Time) Actions {
	s := v.Node.DrainStrategy
	if s == nil {
		return Actions{}
	}
	var a Actions
	var services, batches, systems []*model.Allocation
	for _, al := range v.Allocs {
		if al.ClientTerminal() {
			continue
		}
		switch kind(v.Job(al)) {
		case model.JobTypeSystem:
			systems = append(systems, al)
		case model.JobTypeBatch, model.JobTypeSysBatch:
			batches = append(batches, al)
		default:
			services = append(services, al)
		}
	}
	if s.IgnoreSystemJobs {
		systems = nil
	}
	if len(services)+len(batches)+len(systems) == 0 {
		return Actions{Done: true}
	}
	force := s.Deadline < 0 || (!s.ForceDeadline.IsZero() && !s.ForceDeadline.After(now))
	if force {
		a.migrate(services, batches, systems)
		return a
	}
	if !s.ForceDeadline.IsZero() {
		a.Next = s.ForceDeadline
	}
	if len(services)+len(batches) == 0 {
		a.migrate(systems)
		return a
	}
	a.pace(v, services, now)
	return a
}

func kind(j *model.Job) string {
	if j == nil {
		return model.JobTypeService
	}
	return j.Type
}

func (a *Actions) migrate(lists ...[]*model.Allocation) {
	for _, list := range lists {
		for _, al := range list {
			if movable(al) {
				a.Migrate = append(a.Migrate, al.ID)
			}
		}
	}
}

// movable tells whether an allocation has not been asked to leave yet.
func movable(a *model.Allocation) bool {
	return !a.Terminal() && (a.DesiredTransition.Migrate == nil || !*a.DesiredTransition.Migrate)
}

type group struct {
	model.JobID
	name string
}

// pace moves as many of each group as its migrate block allows.
func (a *Actions) pace(v View, services []*model.Allocation, now time.Time) {
	byGroup := map[group][]*model.Allocation{}
	var order []group
	for _, al := range services {
		key := group{al.JobKey(), al.TaskGroup}
		if byGroup[key] == nil {
			order = append(order, key)
		}
		byGroup[key] = append(byGroup[key], al)
	}
	slices.SortFunc(order, func(x, y group) int {
		return strings.Compare(x.Namespace+"\x00"+x.ID+"\x00"+x.name, y.Namespace+"\x00"+y.ID+"\x00"+y.name)
	})
	for _, key := range order {
		here := byGroup[key]
		job := v.Job(here[0])
		count, parallel, settle := 1, 1, time.Duration(0)
		if job != nil {
			if g := job.Group(key.name); g != nil {
				count = g.Count
				if g.Migrate != nil {
					parallel, settle = max(g.Migrate.MaxParallel, 1), g.Migrate.MinHealthyTime
				}
			}
		}
		healthy := 0
		for _, other := range v.Group(key.JobID) {
			if other.TaskGroup != key.name || !movable(other) {
				continue
			}
			at, ok := healthyFrom(other, settle)
			switch {
			case ok && !at.After(now):
				healthy++
			case ok && (a.Next.IsZero() || at.Before(a.Next)):
				a.Next = at
			}
		}
		n := healthy - (count - parallel)
		for _, al := range here {
			if n > 0 && movable(al) {
				a.Migrate = append(a.Migrate, al.ID)
				n--
			}
		}
	}
}

// healthyFrom is when an allocation counts as healthy: when its node says so, or when all its tasks have run for long
// enough.
func healthyFrom(a *model.Allocation, settle time.Duration) (time.Time, bool) {
	if st := a.DeploymentStatus; st != nil && st.Healthy != nil {
		return time.Time{}, *st.Healthy
	}
	if a.ClientStatus != model.AllocClientRunning {
		return time.Time{}, false
	}
	var last time.Time
	for _, t := range a.TaskStates {
		if t.State == model.TaskRunning && t.StartedAt.After(last) {
			last = t.StartedAt
		}
	}
	return last.Add(settle), true
}
