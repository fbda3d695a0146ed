package allocrunner

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocdir"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/node/taskenv"
)

// setUp does what comes before the tasks. A restored allocation has been through it.
func (r *Runner) setUp(ctx context.Context) error {
	now := r.node.Now()
	if d := r.alloc.Job.Group(r.alloc.TaskGroup).MaxRunDuration; d > 0 {
		r.maxRunAt = r.firstStart(now).Add(d)
	}
	if r.restored {
		if !r.dir.Exists() && !r.allDead() {
			return fmt.Errorf("directory %s of the restored allocation is missing", r.dir.Root())
		}
		if r.isolation == nil && !r.allDead() { // the agent ended while the network was being set up
			return r.setUpNetwork(ctx)
		}
		return nil
	}
	if err := r.awaitPrevious(ctx); err != nil {
		return err
	}
	if err := r.dir.Build(); err != nil {
		return err
	}
	if err := r.takeDisk(); err != nil {
		return err
	}
	return r.setUpNetwork(ctx)
}

// setUpNetwork gives the group its network, before any of its tasks starts.
func (r *Runner) setUpNetwork(ctx context.Context) error {
	a := r.Alloc()
	group := a.Job.Group(a.TaskGroup)
	env := taskenv.Build(taskenv.Input{Node: r.node.Info(), Region: r.node.Region, Alloc: a, Job: a.Job, Task: group.Tasks[0]})
	n, err := r.node.Networks.Setup(ctx, a, group, env)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if n != nil {
		r.mu.Lock()
		r.useNetwork(n)
		for name, t := range r.tasks {
			t.Join(r.alloc, group.Task(name), r.isolation)
		}
		r.mu.Unlock()
		r.node.Report(r, true)
	}
	return nil
}

// useNetwork has the tasks run in a network. The lock is held, or nobody knows the runner yet.
func (r *Runner) useNetwork(n *statedb.Network) {
	own := *r.alloc
	own.NetworkStatus = n.Status
	r.alloc, r.isolation = &own, n.Isolation
}

// firstStart is when the first task of a restored allocation started.
func (r *Runner) firstStart(now time.Time) time.Time {
	first := now
	for _, t := range r.tasks {
		if at := t.State().StartedAt; !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	return first
}

func (r *Runner) allDead() bool {
	for _, t := range r.tasks {
		if t.State().State != model.TaskDead {
			return false
		}
	}
	return true
}

// awaitPrevious waits until the allocation that this one replaces, and those it preempts, have ended here: they may
// hold its ports and its disk.
func (r *Runner) awaitPrevious(ctx context.Context) error {
	for _, id := range append([]string{r.alloc.PreviousAllocation}, r.alloc.PreemptedAllocations...) {
		if id == "" {
			continue
		}
		over := r.node.Over(id)
		for over != nil {
			select {
			case <-over:
				over = nil
			case <-r.wake:
				r.mu.Lock()
				stop := r.stop != nil
				r.mu.Unlock()
				if stop {
					return nil // the tasks will be killed before they start
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// takeDisk moves a sticky disk here.
func (r *Runner) takeDisk() error {
	group := r.alloc.Job.Group(r.alloc.TaskGroup)
	if group.EphemeralDisk == nil || !group.EphemeralDisk.Sticky || r.alloc.PreviousAllocation == "" {
		return nil
	}
	var tasks []string
	for _, t := range group.Tasks {
		tasks = append(tasks, t.Name)
	}
	return r.dir.TakeFrom(allocdir.New(r.node.AllocDir, r.alloc.PreviousAllocation), tasks)
}
