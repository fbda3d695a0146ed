package taskrunner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/core/node/restart"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/node/template"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

// closeLogsWait bounds how long the end of a task waits for the collector to write its last bytes.
const closeLogsWait = 15 * time.Second

// Runner is one task of one allocation.
type Runner struct {
	cfg    Config
	logger hclog.Logger

	start    chan struct{} // closed: the task may run
	startOne sync.Once
	kill     chan struct{} // closed: the task has to end
	killOne  sync.Once
	killReq  Kill
	restart  chan restartRequest
	updated  chan struct{} // Update was called
	ended    chan struct{} // closed when Run has returned
	looking  bool          // counted in Restoring

	templates *template.Manager // nil before they are rendered; of Run's goroutine, as is
	watching  *watching         // what keeps them up to date

	fromBefore bool // client state had it and it has not run under this agent yet

	mu     sync.Mutex
	alloc  *model.Allocation
	task   *model.Task
	state  *model.TaskState
	stored statedb.Task // without Handle, which only the store holds
	inst   *instance    // nil while nothing runs
}

// instance is one run of the task.
type instance struct {
	id        string
	drv       Driver
	network   *driver.NetworkOverride
	recovered bool // found again rather than started
}

// Kill is why and how a task has to end.
type Kill struct {
	Reason          string           // shown with the Killing event; may be empty
	Event           *model.TaskEvent // what led to it; may be nil
	NoShutdownDelay bool
	Fails           bool // the task counts as failed
}

type restartRequest struct {
	reason string
	policy bool       // counts as a failure: the restart policy applies
	dead   chan error // gets nil once the old instance is dead
}

// New makes a runner; Run runs it.
func New(cfg Config) *Runner {
	r := &Runner{
		cfg:     cfg,
		logger:  cfg.Logger.With("alloc", cfg.Alloc.ID, "task", cfg.Task.Name),
		start:   make(chan struct{}),
		kill:    make(chan struct{}),
		restart: make(chan restartRequest),
		updated: make(chan struct{}, 1),
		ended:   make(chan struct{}),
		alloc:   cfg.Alloc,
		task:    cfg.Task,
		state:   cfg.State,
	}
	if cfg.Stored != nil {
		r.stored = *cfg.Stored
		r.stored.Handle = nil
		r.looking, r.fromBefore = true, true
		cfg.Restoring.Add(1)
	}
	if r.state == nil {
		r.state = &model.TaskState{State: model.TaskPending, Events: []*model.TaskEvent{event.Received(cfg.Now())}}
	}
	r.cfg.Stored, r.cfg.State = nil, nil
	return r
}

// Start lets the task run. Until then Run waits.
func (r *Runner) Start() { r.startOne.Do(func() { close(r.start) }) }

// Kill makes the task end; a task that never ran is dead at once. Only the first call counts. It does not wait.
func (r *Runner) Kill(k Kill) {
	r.killOne.Do(func() {
		r.killReq = k
		close(r.kill)
	})
}

// Ended is closed when Run has returned: the task is dead, or the agent leaves it alone.
func (r *Runner) Ended() <-chan struct{} { return r.ended }

// State is how the task is. The value is never changed.
func (r *Runner) State() *model.TaskState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Update gives the runner a newer version of its allocation, changed in place.
func (r *Runner) Update(a *model.Allocation, t *model.Task) {
	r.mu.Lock()
	r.alloc, r.task = a, t
	r.mu.Unlock()
	select {
	case r.updated <- struct{}{}:
	default:
	}
}

// Join has the task run in a network of its allocation's. It comes before Run.
func (r *Runner) Join(a *model.Allocation, t *model.Task, n *driver.NetworkIsolation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.alloc, r.task, r.cfg.Network = a, t, n
}

func (r *Runner) spec() (*model.Allocation, *model.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.alloc, r.task
}

// current returns the running instance and the process that knows it, nil when nothing runs.
func (r *Runner) current() (*instance, Driver) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inst == nil {
		return nil, nil
	}
	return r.inst, r.inst.drv
}

func (r *Runner) setInstance(i *instance) {
	r.mu.Lock()
	r.inst = i
	r.mu.Unlock()
}

func (r *Runner) killed() bool {
	select {
	case <-r.kill:
		return true
	default:
		return false
	}
}

// change replaces the state with a changed copy, queues it for the disk and tells the allocation.
func (r *Runner) change(fn func(*model.TaskState), events ...*model.TaskEvent) {
	r.mu.Lock()
	next := *r.state
	if fn != nil {
		fn(&next)
	}
	all := append(append([]*model.TaskEvent(nil), next.Events...), events...)
	next.Events = all[max(0, len(all)-model.MaxTaskEvents):]
	r.state = &next
	r.mu.Unlock()
	if err := r.cfg.Store.PutState(r.cfg.Alloc.ID, r.cfg.Task.Name, &next); err != nil {
		r.logger.Error("task state not stored", "error", err)
	}
	r.cfg.Changed()
}

// Emit adds an event to the task's history.
func (r *Runner) Emit(e *model.TaskEvent) { r.change(nil, e) }

// Run runs the task until it is dead, or until ctx ends, which leaves it running.
func (r *Runner) Run(ctx context.Context) {
	defer close(r.ended)
	defer r.looked()
	if r.State().State == model.TaskDead {
		return
	}
	inst, lost := r.restore(ctx)
	r.looked()
	if inst == nil && !r.waitForStart(ctx, lost) {
		if ctx.Err() == nil {
			r.finish(ctx, false)
		}
		return
	}
	defer r.hearDriver()()
	defer r.endTemplates()
	for {
		var cause restart.Cause
		if inst == nil {
			var err error
			if inst, err = r.startInstance(ctx); err != nil {
				if ctx.Err() != nil {
					return
				}
				cause = r.startFailed(err)
			}
		}
		if inst != nil {
			r.fromBefore = false
			r.setInstance(inst)
			r.watchTemplates(ctx, inst)
			var ended bool
			if cause, ended = r.supervise(ctx, inst); !ended {
				return
			}
			inst = nil
		}
		if r.killed() {
			r.finish(ctx, false)
			return
		}
		if !r.again(ctx, cause) {
			return
		}
	}
}

// looked: the task has been found, or given up.
func (r *Runner) looked() {
	if r.looking {
		r.looking = false
		r.cfg.Restoring.Done()
	}
}

// waitForStart waits until the task may run; false: it may not any more. A restored task whose instance is lost also
// waits until the servers have been heard, because they may have given it away.
func (r *Runner) waitForStart(ctx context.Context, lost bool) bool {
	gates := []<-chan struct{}{r.start}
	if lost && r.cfg.Alloc.Job.Type != model.JobTypeSystem {
		gates = append(gates, r.cfg.Contact)
	}
	for _, gate := range gates {
		select {
		case <-gate:
		case <-r.kill:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return !r.killed()
}

// again applies the restart policy after an end or a failed start; false: Run is over.
func (r *Runner) again(ctx context.Context, cause restart.Cause) bool {
	alloc, task := r.spec()
	group := alloc.Job.Group(alloc.TaskGroup)
	d, tracker := restart.Decide(r.stored.Restart, restart.For(alloc.Job.Type, group, task), cause, r.cfg.Now(), r.cfg.Jitter())
	r.stored.Restart = tracker
	if !d.Restart {
		if d.Failed {
			r.change(nil, event.NotRestarting(r.cfg.Now(), d.Reason))
		}
		r.finish(ctx, d.Failed)
		return false
	}
	r.store(nil)
	var events []*model.TaskEvent
	if !cause.Forced {
		events = append(events, event.Restarting(r.cfg.Now(), d.Delay, d.Reason))
	}
	r.change(func(s *model.TaskState) {
		s.State = model.TaskPending
		s.Restarts++
		s.LastRestart = r.cfg.Now()
	}, events...)
	if d.Delay <= 0 {
		return true
	}
	timer := time.NewTimer(d.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case req := <-r.restart:
		r.Emit(event.RestartSignaled(r.cfg.Now(), req.reason))
		req.dead <- nil
	case <-r.kill:
		r.finish(ctx, false)
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

// finish makes the task dead. Its output is completely in the log files before anyone hears of it.
func (r *Runner) finish(ctx context.Context, failed bool) {
	now := r.cfg.Now()
	var events []*model.TaskEvent
	if r.killed() {
		if r.killReq.Event != nil {
			events = append(events, r.killReq.Event)
		}
		if !r.State().StartedAt.IsZero() {
			events = append(events, event.Killed(now, nil))
		}
		failed = failed || r.killReq.Fails
	}
	r.cfg.Services.Deregister(r.cfg.Task.Name)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLogsWait)
	r.closeLogs(closing)
	cancel()
	r.releaseDevices(context.WithoutCancel(ctx))
	r.change(func(s *model.TaskState) {
		s.State = model.TaskDead
		s.Failed = s.Failed || failed
		if s.FinishedAt.IsZero() || s.FinishedAt.Before(s.StartedAt) {
			s.FinishedAt = now
		}
	}, events...)
}

// Restart ends the running instance, whatever the policy says, and starts the task again without delay. It returns when
// the old instance is dead.
func (r *Runner) Restart(ctx context.Context, reason string) error {
	return r.askRestart(ctx, restartRequest{reason, false, make(chan error, 1)})
}

// Fail ends the running instance as if it had failed: the restart policy decides what comes next.
func (r *Runner) Fail(ctx context.Context, reason string) error {
	return r.askRestart(ctx, restartRequest{reason, true, make(chan error, 1)})
}

func (r *Runner) askRestart(ctx context.Context, req restartRequest) error {
	select {
	case r.restart <- req:
	case <-r.kill:
		return r.notRunning()
	case <-r.ended:
		return r.notRunning()
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-req.dead:
		return err
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Signal sends a signal to the running instance.
func (r *Runner) Signal(ctx context.Context, signal, reason string) error {
	inst, drv := r.current()
	if inst == nil {
		return r.notRunning()
	}
	r.Emit(event.Signaling(r.cfg.Now(), signal, reason))
	err := r.whereItIs(ctx, drv, func(drv Driver) error { return drv.SignalTask(ctx, inst.id, signal) })
	if err != nil {
		return fmt.Errorf("send %s to task %s: %w", signal, r.cfg.Task.Name, err)
	}
	return nil
}

// Exec runs a command inside the running instance.
func (r *Runner) Exec(ctx context.Context, req driver.ExecRequest) (*driver.ExitResult, error) {
	inst, drv := r.current()
	if inst == nil {
		return nil, r.notRunning()
	}
	req.TaskID = inst.id
	var exit *driver.ExitResult
	err := r.whereItIs(ctx, drv, func(drv Driver) (err error) {
		exit, err = drv.ExecTaskStreaming(ctx, &req)
		return err
	})
	return exit, err
}

// whereItIs makes a call about a running task, and makes it again in the process that has the task if this one has just
// handed it over: nothing was done then.
func (r *Runner) whereItIs(ctx context.Context, drv Driver, call func(Driver) error) error {
	for {
		err := call(drv)
		if !errors.Is(err, host.ErrReleased) || !gone(drv, err) {
			return err
		}
		if drv, err = r.cfg.Drivers.DriverOf(ctx, r.cfg.Task.Driver, drv.Generation()); err != nil {
			return err
		}
	}
}

var errEnough = errors.New("one sample is enough")

// Stats takes one sample of what the running instance uses.
func (r *Runner) Stats(ctx context.Context) (*driver.TaskStats, error) {
	inst, drv := r.current()
	if inst == nil {
		return nil, r.notRunning()
	}
	var sample *driver.TaskStats
	err := r.whereItIs(ctx, drv, func(drv Driver) error {
		return drv.Stats(ctx, inst.id, time.Second, func(s driver.TaskStats) error {
			sample = &s
			return errEnough
		})
	})
	if sample != nil {
		return sample, nil
	}
	if err == nil {
		err = errors.New("the driver ended the stream without a sample")
	}
	return nil, fmt.Errorf("statistics of task %s: %w", r.cfg.Task.Name, err)
}

func (r *Runner) notRunning() error {
	return rpc.Errorf(rpc.ErrNotRunning, "Task not running")
}
