package allocrunner

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocdir"
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
		return nil
	}
	if err := r.awaitPrevious(ctx); err != nil {
		return err
	}
	if err := r.dir.Build(); err != nil {
		return err
	}
	return r.takeDisk()
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
