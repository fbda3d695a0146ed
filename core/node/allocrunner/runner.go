// Package allocrunner runs one allocation: it prepares the directories, runs a task runner per task, lets package
// lifecycle decide which may run and which must end, and says what the allocation's status is.
package allocrunner

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocdir"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/core/node/health"
	"github.com/droverhq/drover/core/node/lifecycle"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/driver"
)

// Catalog is told what can be reached and what no longer should be.
type Catalog interface {
	Register([]*model.ServiceRegistration)
	Remove(ids []string)
}

// Networks gives allocations networks of their own.
type Networks interface {
	Setup(ctx context.Context, a *model.Allocation, g *model.TaskGroup, env *taskenv.Env) (*statedb.Network, error)
	Restore(allocID string, n *statedb.Network)
	Teardown(ctx context.Context, allocID string) error
}

// Node is what all allocations of a node share.
type Node struct {
	*taskrunner.Node
	AllocDir string
	Catalog  Catalog
	Networks Networks
	// Over returns a channel that is closed when an allocation of this node has ended, nil when it is not here.
	Over func(allocID string) <-chan struct{}
	// Report is called when something changed that the servers should know; urgent: the client status did.
	Report func(r *Runner, urgent bool)
	// Removing has room for as many as may remove directories at a time: each looks through the machine's mounts.
	Removing chan struct{}
}

// Runner is one allocation.
type Runner struct {
	node   *Node
	id     string
	dir    allocdir.Dir
	logger hclog.Logger

	wake chan struct{} // something changed; one pending is enough
	over chan struct{} // closed when every task is dead and the allocation has been cleaned up
	end  chan struct{} // closed when Run has returned

	mu        sync.Mutex
	alloc     *model.Allocation // as the servers last sent it
	tasks     map[string]*taskrunner.Runner
	order     []lifecycle.Task
	restored  bool
	stop      *stopWish
	status    string
	descr     string
	failure   string // why the allocation failed as a whole
	health    *model.AllocDeploymentStatus
	isolation *driver.NetworkIsolation // of the tasks; nil = the node's network
	recycle   bool                     // when everything is dead, all tasks run again
	removing  bool                     // all of it goes away

	// Of Run's goroutine.
	machine    lifecycle.State
	tracker    health.Tracker
	rule       *health.Rule
	ruleFor    string    // deployment the rule is for
	stopAt     time.Time // when the group's shutdown delay is over
	maxRunAt   time.Time
	groupShown bool // the group's services are registered
	published  map[string]*model.TaskState
	reportNow  bool
	refresh    atomic.Bool // the allocation was changed in place
	doubted    atomic.Bool // the servers do not know how it stands
	services   services
}

// stopWish is the wish that the allocation ends. It is replaced, never changed.
type stopWish struct {
	reason   string
	noDelay  bool
	poststop bool // not even poststop tasks run
}

// New makes a runner of a new allocation, or of one that client state had (stored).
func New(node *Node, a *model.Allocation, stored *statedb.Alloc) *Runner {
	r := &Runner{
		node: node, id: a.ID, dir: allocdir.New(node.AllocDir, a.ID), logger: node.Logger.With("alloc", a.ID),
		wake: make(chan struct{}, 1), over: make(chan struct{}), end: make(chan struct{}),
		alloc: a, restored: stored != nil, status: model.AllocClientPending,
		health: a.DeploymentStatus,
	}
	r.services.runner = r
	if stored != nil && stored.Health != nil {
		r.health = stored.Health
	}
	if stored != nil && stored.Network != nil {
		node.Networks.Restore(a.ID, stored.Network)
		r.useNetwork(stored.Network)
	}
	group := a.Job.Group(a.TaskGroup)
	r.order = lifecycle.TasksOf(group)
	r.makeTasks(stored)
	if a.ServerTerminal() {
		r.stop = stopFor(a)
	}
	return r
}

func (r *Runner) makeTasks(stored *statedb.Alloc) {
	group := r.alloc.Job.Group(r.alloc.TaskGroup)
	r.tasks = make(map[string]*taskrunner.Runner, len(group.Tasks))
	for _, t := range group.Tasks {
		cfg := taskrunner.Config{
			Node: r.node.Node, Alloc: r.alloc, Task: t, Dir: r.dir, Services: &r.services, Changed: r.poke, Network: r.isolation,
		}
		if stored != nil {
			cfg.Stored, cfg.State = stored.Tasks[t.Name], stored.States[t.Name]
		}
		r.tasks[t.Name] = taskrunner.New(cfg)
	}
}

func stopFor(a *model.Allocation) *stopWish {
	w := &stopWish{}
	if nd := a.DesiredTransition.NoShutdownDelay; nd != nil {
		w.noDelay = *nd
	}
	return w
}

// ID is the allocation's.
func (r *Runner) ID() string { return r.id }

// Dir is where the allocation lives.
func (r *Runner) Dir() allocdir.Dir { return r.dir }

// Over is closed when nothing of the allocation runs and nothing will.
func (r *Runner) Over() <-chan struct{} { return r.over }

// Ended is closed when Run has returned.
func (r *Runner) Ended() <-chan struct{} { return r.end }

// IsOver tells whether Over is closed.
func (r *Runner) IsOver() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// Alloc is the allocation as the servers last sent it. It is not to be changed.
func (r *Runner) Alloc() *model.Allocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alloc
}

// Task returns a task's runner, nil when there is none of that name.
func (r *Runner) Task(name string) *taskrunner.Runner {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tasks[name]
}

// Tasks lists the task runners in the order of the group.
func (r *Runner) Tasks() map[string]*taskrunner.Runner {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]*taskrunner.Runner, len(r.tasks))
	for n, t := range r.tasks {
		out[n] = t
	}
	return out
}

// ClientAlloc is what the node says of the allocation.
func (r *Runner) ClientAlloc() *model.Allocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := &model.Allocation{
		ID: r.id, Namespace: r.alloc.Namespace, NodeID: r.alloc.NodeID, JobID: r.alloc.JobID, TaskGroup: r.alloc.TaskGroup,
		ClientStatus: r.status, ClientDescription: r.descr,
		TaskStates:       make(map[string]*model.TaskState, len(r.tasks)),
		DeploymentStatus: r.health,
		NetworkStatus:    r.alloc.NetworkStatus,
		ModifyTime:       r.node.Now().UnixNano(),
	}
	for name, t := range r.tasks {
		a.TaskStates[name] = t.State()
	}
	return a
}

// Update takes what the servers changed: a wish to stop, or a newer job version that does not need new tasks.
func (r *Runner) Update(a *model.Allocation) {
	if err := r.node.Store.PutAlloc(a); err != nil {
		r.logger.Error("allocation not stored", "error", err)
	}
	r.mu.Lock()
	if r.isolation != nil { // what the servers know of the network came from here
		own := *a
		own.NetworkStatus = r.alloc.NetworkStatus
		a = &own
	}
	moved := a.DeploymentID != r.alloc.DeploymentID
	r.alloc = a
	if moved {
		r.health = a.DeploymentStatus
	}
	if a.ServerTerminal() && r.stop == nil {
		r.stop = stopFor(a)
	}
	group := a.Job.Group(a.TaskGroup)
	for name, t := range r.tasks {
		if task := group.Task(name); task != nil {
			t.Update(a, task)
		}
	}
	r.mu.Unlock()
	r.refresh.Store(true)
	if a.ClientStatus == model.AllocClientUnknown {
		r.reconnected()
	}
	r.poke()
}

// reconnected tells the servers, which had lost sight of this node, how the allocation stands.
func (r *Runner) reconnected() {
	if r.IsOver() {
		r.node.Report(r, true)
		return
	}
	for _, t := range r.Tasks() {
		if t.State().State == model.TaskRunning {
			t.Emit(event.New(model.EventReconnected, r.node.Now(), "The servers can reach the node again"))
		}
	}
	r.doubted.Store(true)
}

// Kill ends the allocation for a reason of the node's own.
func (r *Runner) Kill(reason string) {
	r.mu.Lock()
	if r.stop == nil {
		r.stop = &stopWish{reason: reason, noDelay: true}
	}
	r.mu.Unlock()
	r.poke()
}

// Remove ends everything, without delays and poststop tasks, and deletes what is kept of the allocation. It waits.
func (r *Runner) Remove(ctx context.Context) error {
	r.mu.Lock()
	r.removing = true
	wish := stopWish{}
	if r.stop != nil {
		wish = *r.stop
	}
	wish.noDelay, wish.poststop = true, true
	r.stop = &wish
	names := make([]string, 0, len(r.tasks))
	for n := range r.tasks {
		names = append(names, n)
	}
	r.mu.Unlock()
	r.poke()
	select {
	case <-r.over:
	case <-ctx.Done():
		return fmt.Errorf("remove allocation %s: %w", r.id, ctx.Err())
	}
	r.node.Removing <- struct{}{}
	err := r.dir.Destroy()
	<-r.node.Removing
	if err != nil {
		return err
	}
	r.node.Store.DeleteAlloc(r.id, names)
	return nil
}

// Restart restarts one task, all running tasks (task ""), or with all everything from the prestart tasks on.
func (r *Runner) Restart(ctx context.Context, task string, all bool) error {
	const reason = "User requested "
	if all {
		r.mu.Lock()
		if r.stop != nil || r.IsOver() {
			r.mu.Unlock()
			return rpc.Errorf(rpc.ErrNotRunning, "Task not running")
		}
		r.recycle = true
		r.stop = &stopWish{reason: reason + "all tasks to restart", noDelay: false, poststop: true}
		r.mu.Unlock()
		r.poke()
		return nil
	}
	if task != "" {
		t := r.Task(task)
		if t == nil {
			return unknownTask(task)
		}
		return t.Restart(ctx, reason+"task to restart")
	}
	running := 0
	for _, t := range r.Tasks() {
		if t.State().State != model.TaskRunning {
			continue
		}
		running++
		if err := t.Restart(ctx, reason+"running tasks to restart"); err != nil {
			return err
		}
	}
	if running == 0 {
		return rpc.Errorf(rpc.ErrNotRunning, "Task not running")
	}
	return nil
}

// Signal signals one task or all running ones.
func (r *Runner) Signal(ctx context.Context, task, signal string) error {
	if task != "" {
		t := r.Task(task)
		if t == nil {
			return unknownTask(task)
		}
		return t.Signal(ctx, signal, "User requested signal")
	}
	running := 0
	for _, t := range r.Tasks() {
		if t.State().State != model.TaskRunning {
			continue
		}
		running++
		if err := t.Signal(ctx, signal, "User requested signal"); err != nil {
			return err
		}
	}
	if running == 0 {
		return rpc.Errorf(rpc.ErrNotRunning, "Task not running")
	}
	return nil
}

func unknownTask(name string) error {
	return rpc.Errorf(rpc.ErrInvalid, "task %q not found in allocation", name)
}

func (r *Runner) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run runs the allocation until it is over, or until ctx ends, which leaves its tasks running.
func (r *Runner) Run(ctx context.Context) {
	defer close(r.end)
	if err := r.setUp(ctx); err != nil {
		if ctx.Err() != nil {
			return
		}
		r.fail(err)
	}
	for {
		var running sync.WaitGroup
		for _, t := range r.Tasks() {
			running.Go(func() { t.Run(ctx) })
		}
		over := r.loop(ctx)
		running.Wait()
		if !over {
			return
		}
		if !r.renew() {
			break
		}
	}
	r.cleanUp()
	close(r.over)
	r.node.Report(r, true)
}

// fail ends the allocation because it could not be set up.
func (r *Runner) fail(err error) {
	r.logger.Error("allocation cannot run", "error", err)
	r.mu.Lock()
	r.failure = err.Error()
	r.stop = &stopWish{reason: err.Error(), noDelay: true, poststop: true}
	r.mu.Unlock()
	for _, t := range r.tasks {
		t.Kill(taskrunner.Kill{Event: event.SetupFailure(r.node.Now(), err), NoShutdownDelay: true, Fails: true})
	}
}

// renew prepares another round when the whole allocation is being restarted.
func (r *Runner) renew() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.recycle || r.removing || r.alloc.ServerTerminal() {
		return false
	}
	r.recycle, r.stop = false, nil
	old := r.tasks
	r.machine, r.stopAt, r.groupShown = lifecycle.State{}, time.Time{}, false
	stored := &statedb.Alloc{Tasks: map[string]*statedb.Task{}, States: map[string]*model.TaskState{}}
	for name, t := range old {
		st := *t.State()
		st.State, st.Failed = model.TaskPending, false
		st.Restarts++
		st.LastRestart = r.node.Now()
		stored.States[name] = &st
	}
	r.makeTasks(stored)
	return true
}

// cleanUp is what comes after the tasks.
func (r *Runner) cleanUp() {
	r.services.hideAll()
	if err := r.node.Networks.Teardown(context.Background(), r.id); err != nil {
		r.logger.Error("network not removed; it is tried again", "error", err)
	}
	if err := r.dir.Unmount(); err != nil {
		r.logger.Error("in-memory directories not unmounted", "error", err)
	}
}
