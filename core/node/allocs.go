package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocrunner"
	"github.com/droverhq/drover/core/node/reconcile"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/rpc"
)

// restore starts a runner for every allocation of client state. The runners find their tasks themselves, in parallel.
func (n *Node) restore() {
	stored, orphans, notes := n.store.Load()
	for _, note := range notes {
		n.logger.Error("client state", "error", note)
	}
	n.mu.Lock()
	n.orphans = orphans
	if n.orphans == nil {
		n.orphans = map[string]map[string]*statedb.Task{}
	}
	n.mu.Unlock()
	for _, s := range stored {
		if s.Alloc.Job.Group(s.Alloc.TaskGroup) == nil {
			n.logger.Error("stored allocation left out: its job has no such group", "alloc", s.Alloc.ID, "group", s.Alloc.TaskGroup)
			continue
		}
		n.start(s.Alloc, s)
	}
}

// start runs an allocation; stored is nil for a new one.
func (n *Node) start(a *model.Allocation, stored *statedb.Alloc) {
	r := allocrunner.New(n.shared, a, stored)
	n.mu.Lock()
	if n.closed || n.allocs[a.ID] != nil {
		n.mu.Unlock()
		return
	}
	n.allocs[a.ID] = r
	n.runners.Add(1)
	n.mu.Unlock()
	go func() {
		defer n.runners.Done()
		r.Run(n.taskCtx)
	}()
	if d := a.Job.Group(a.TaskGroup).Disconnect; d != nil && d.StopOnClientAfter > 0 {
		poke(n.arrived)
	}
}

// spawn runs fn in a goroutine that Shutdown waits for; not once Shutdown has begun.
func (n *Node) spawn(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.runners.Go(fn)
	}
}

func (n *Node) runner(id string) *allocrunner.Runner {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.allocs[id]
}

// find is runner for callers from outside.
func (n *Node) find(id string) (*allocrunner.Runner, error) {
	if r := n.runner(id); r != nil {
		return r, nil
	}
	return nil, rpc.Errorf(rpc.ErrNotFound, "Unknown allocation %q on node %s", id, n.who.id)
}

func (n *Node) runnersNow() []*allocrunner.Runner {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]*allocrunner.Runner, 0, len(n.allocs))
	for _, r := range n.allocs {
		out = append(out, r)
	}
	return out
}

// overOf is allocrunner.Node.Over.
func (n *Node) overOf(id string) <-chan struct{} {
	if r := n.runner(id); r != nil {
		return r.Over()
	}
	return nil
}

// report is allocrunner.Node.Report.
func (n *Node) report(r *allocrunner.Runner, urgent bool) {
	n.send.alloc(r, urgent)
	if r.IsOver() {
		poke(n.gcWake)
	}
}

// jobs remembers the job versions sent on one stream of allocations.
type jobs map[jobVersion]*model.Job

type jobVersion struct {
	model.JobID
	version uint64
}

// errMissingJob: a push refers to a job version that this end does not have.
var errMissingJob = errors.New("the servers did not send a job version they refer to")

// apply does what a push of the servers asks for. errMissingJob asks for a new stream, which begins with everything.
func (n *Node) apply(push *rpc.NodeAllocsPush, known jobs) error {
	for _, j := range push.Jobs {
		known[jobVersion{j.Key(), j.Version}] = j
	}
	have := map[string]reconcile.Known{}
	for _, r := range n.runnersNow() {
		have[r.ID()] = reconcile.Known{Index: r.Alloc().AllocModifyIndex}
	}
	var missing error
	for _, action := range reconcile.Plan(have, push) {
		if err := n.act(action, known, push.Full); err != nil {
			missing = err
		}
	}
	if push.Full {
		n.settleOrphans(push)
		n.contactOnce.Do(func() {
			close(n.contact)
			if n.mine {
				n.sweep()
			}
		})
	}
	known.keep(n.runnersNow())
	return missing
}

// keep forgets versions that no allocation here runs. If the servers refer to one again without sending it, the stream
// is opened anew.
func (k jobs) keep(runners []*allocrunner.Runner) {
	if len(k) <= 2*len(runners)+16 {
		return
	}
	used := map[jobVersion]bool{}
	for _, r := range runners {
		a := r.Alloc()
		used[jobVersion{a.JobKey(), a.JobVersion}] = true
	}
	for v := range k {
		if !used[v] {
			delete(k, v)
		}
	}
}

func (n *Node) act(action reconcile.Action, known jobs, full bool) error {
	if action.Verb == reconcile.Remove {
		if r := n.runner(action.ID); r != nil {
			n.removeSoon(r)
		}
		return nil
	}
	a := action.Alloc.Copy()
	if r := n.runner(a.ID); a.Job == nil && r != nil && r.Alloc().JobVersion == a.JobVersion {
		a.Job = r.Alloc().Job // a job of the same name and version may have been registered anew since
	}
	if a.Job == nil {
		a.Job = known[jobVersion{a.JobKey(), a.JobVersion}]
	}
	switch action.Verb {
	case reconcile.Gone:
		n.send.gone(a)
	case reconcile.Update:
		if a.Job == nil && !full {
			return errMissingJob
		}
		if r := n.runner(a.ID); r != nil && a.Job != nil {
			r.Update(a)
		}
	case reconcile.Start:
		if a.Job == nil && !full {
			return errMissingJob
		}
		if a.Job == nil || a.Job.Group(a.TaskGroup) == nil {
			n.logger.Error("allocation without its job cannot run", "alloc", a.ID, "job", a.JobID, "version", a.JobVersion)
			n.send.failed(a, fmt.Sprintf("the servers did not send version %d of job %s with group %s", a.JobVersion, a.JobID, a.TaskGroup))
			return nil
		}
		if err := n.store.PutAlloc(a); err != nil {
			n.logger.Error("allocation not stored", "alloc", a.ID, "error", err)
		}
		n.start(a, n.salvaged(a))
	}
	return nil
}

// salvaged makes up what client state would have said of an allocation whose record was lost with a damaged file.
func (n *Node) salvaged(a *model.Allocation) *statedb.Alloc {
	n.mu.Lock()
	tasks := n.orphans[a.ID]
	delete(n.orphans, a.ID)
	n.mu.Unlock()
	if tasks == nil {
		return nil
	}
	s := &statedb.Alloc{Alloc: a, Tasks: tasks, States: map[string]*model.TaskState{}}
	for name, st := range a.TaskStates { // what the servers were told last
		if a.Job.Group(a.TaskGroup).Task(name) != nil {
			s.States[name] = st
		}
	}
	n.logger.Warn("allocation found again after client state was lost", "alloc", a.ID, "tasks", len(tasks))
	return s
}

// settleOrphans ends salvaged tasks of allocations that the servers no longer want here. It waits for that: their
// directories are removed next.
func (n *Node) settleOrphans(push *rpc.NodeAllocsPush) {
	n.mu.Lock()
	left := n.orphans
	n.orphans = map[string]map[string]*statedb.Task{}
	n.mu.Unlock()
	var ending sync.WaitGroup
	defer ending.Wait()
	for id, tasks := range left {
		names := make([]string, 0, len(tasks))
		for name, t := range tasks {
			names = append(names, name)
			n.logger.Warn("ending a salvaged task that is not wanted here any more", "alloc", id, "task", name)
			ending.Go(func() {
				ctx, cancel := context.WithTimeout(n.taskCtx, time.Minute)
				defer cancel()
				drv, err := n.cfg.Plugins.DriverOf(ctx, t.Driver, t.Generation)
				if err == nil && t.Handle != nil {
					drv.RecoverTask(ctx, t.Handle) // so that the driver can find what to end
				}
				if err == nil {
					err = drv.DestroyTask(ctx, t.TaskID, true)
				}
				if err != nil {
					n.logger.Error("salvaged task may still run", "task_id", t.TaskID, "error", err)
				}
			})
		}
		n.store.DeleteAlloc(id, names)
	}
}

// removeSoon removes an allocation in the background.
func (n *Node) removeSoon(r *allocrunner.Runner) {
	n.spawn(func() {
		if err := n.remove(n.taskCtx, r); err != nil && n.taskCtx.Err() == nil {
			n.logger.Error("allocation not removed", "alloc", r.ID(), "error", err)
		}
	})
}

// remove ends an allocation if it runs and deletes everything of it.
func (n *Node) remove(ctx context.Context, r *allocrunner.Runner) error {
	if err := r.Remove(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	delete(n.allocs, r.ID())
	n.mu.Unlock()
	n.send.forget(r.ID())
	return nil
}
