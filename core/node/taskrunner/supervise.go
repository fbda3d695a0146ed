package taskrunner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/core/node/restart"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

const (
	stopAttempts  = 5
	stopRetryBase = 5 * time.Second
	stopRetryMax  = 2 * time.Minute

	destroyWait  = 2 * time.Minute
	inspectWait  = 5 * time.Second
	stopGrace    = 30 * time.Second      // what a StopTask call may take beyond the task's own timeout
	goneRetry    = 50 * time.Millisecond // the host decides when a process that died is launched again
	findRetry    = time.Second
	findRetryMax = 30 * time.Second
)

// supervise waits for the end of an instance and acts on what is asked of it meanwhile. ended is false when ctx ended
// first: the task runs on.
func (r *Runner) supervise(ctx context.Context, inst *instance) (cause restart.Cause, ended bool) {
	r.setInstance(inst)
	defer r.setInstance(nil)
	waitCtx, stopWaiting := context.WithCancel(ctx)
	defer stopWaiting()
	result := make(chan *driver.ExitResult, 2) // from wait and from insist
	go r.wait(waitCtx, inst, result)

	kill, restarts := r.kill, r.restart
	var waiters []chan error
	stopping, failed := false, false
	stopCtx, cancelStop := context.WithCancel(ctx)
	defer cancelStop()
	stopped := make(chan struct{})
	stop := func(k Kill) {
		if stopping {
			return
		}
		stopping = true
		go func() {
			defer close(stopped)
			r.stop(stopCtx, k)
			r.insist(stopCtx, result)
		}()
	}
	defer func() {
		cancelStop()
		if stopping {
			<-stopped
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return cause, false
		case <-r.updated:
			r.follow(ctx, inst, stopping)
		case <-kill:
			kill = nil
			if e := r.killReq.Event; e != nil {
				r.killReq.Event = nil
				r.Emit(e)
			}
			r.Emit(event.Killing(r.cfg.Now(), r.killTimeout(), r.killReq.Reason))
			stop(r.killReq)
		case req := <-restarts:
			waiters = append(waiters, req.dead)
			cause.Forced = !req.policy
			failed = failed || req.policy
			r.Emit(event.RestartSignaled(r.cfg.Now(), req.reason))
			stop(Kill{NoShutdownDelay: true})
		case exit := <-result:
			cancelStop()
			cause.Success = exit.Successful() && !failed
			r.afterExit(ctx, inst, exit)
			for _, w := range waiters {
				w <- nil
			}
			return cause, true
		}
	}
}

// hearDriver makes what the driver says of the task the task's events, from before its first start, which is when a
// driver says most, until done is called.
func (r *Runner) hearDriver() (done func()) {
	events, unsubscribe := r.cfg.Drivers.Subscribe(r.cfg.Alloc.ID, r.cfg.Task.Name)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		for e := range events {
			r.Emit(event.Driver(e.Timestamp, e.Message, e.Annotations))
		}
	}()
	return func() {
		unsubscribe()
		<-heard
	}
}

// follow applies to a running instance what can be changed in place.
func (r *Runner) follow(ctx context.Context, inst *instance, stopping bool) {
	alloc, task := r.spec()
	if !stopping {
		r.cfg.Services.Register(task.Name, inst.network)
	}
	if r.cfg.Logs == nil || task.LogConfig == nil || task.LogConfig.Disabled {
		return
	}
	limits := tasklog.Limits{MaxFiles: task.LogConfig.MaxFiles, MaxFileSize: int64(task.LogConfig.MaxFileSizeMB) * megabyte}
	for _, stream := range streams {
		if err := r.cfg.Logs.Update(ctx, streamID(alloc.ID, task.Name, stream), limits); err != nil && !errors.Is(err, tasklog.ErrNotFound) {
			r.logger.Warn("log limits not changed", "stream", stream, "error", err)
		}
	}
}

// wait delivers how the instance ended. When the plugin's process goes away it finds the next one, recovers the task in
// it and waits again; it gives up only when a live plugin says that the task is not there.
func (r *Runner) wait(ctx context.Context, inst *instance, result chan<- *driver.ExitResult) {
	drv := inst.drv
	for {
		exit, err := drv.WaitTask(ctx, inst.id)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			if exit == nil {
				exit = &driver.ExitResult{Err: "the driver did not say how the task ended"}
			}
			result <- exit
			return
		case !gone(drv, err):
			result <- &driver.ExitResult{ExitCode: -1, Err: fmt.Sprintf("waiting for the task failed: %v", err)}
			return
		}
		if drv, err = r.recoverIn(ctx, drv, inst.id); err != nil {
			if ctx.Err() != nil {
				return
			}
			r.Emit(event.FailedRestore(r.cfg.Now(), err, false))
			result <- &driver.ExitResult{ExitCode: -1, Err: fmt.Sprintf("the task could not be recovered after its plugin ended: %v", err)}
			return
		}
		r.adopt(inst, drv)
	}
}

// adopt makes drv the process that knows the instance.
func (r *Runner) adopt(inst *instance, drv Driver) {
	r.mu.Lock()
	inst.drv = drv
	inst.recovered = true
	same := r.stored.Generation == drv.Generation()
	r.stored.Generation = drv.Generation()
	r.mu.Unlock()
	if same {
		return
	}
	stored, err := r.cfg.Store.Task(r.cfg.Alloc.ID, r.cfg.Task.Name)
	if err != nil || stored == nil || stored.Handle == nil {
		return
	}
	r.store(stored.Handle)
}

// gone tells whether a call failed because the plugin's process went away.
func gone(drv Driver, err error) bool {
	if errors.Is(err, host.ErrPluginDown) {
		return true
	}
	select {
	case <-drv.Done():
		return true
	default:
		return false
	}
}

// recoverIn finds a live process of the plugin and makes it know the task. It tries as long as there is no process: the
// task does not depend on one. The error is what a live process said.
func (r *Runner) recoverIn(ctx context.Context, dead Driver, id string) (Driver, error) {
	r.mu.Lock()
	generation := r.stored.Generation
	r.mu.Unlock()
	if dead != nil {
		generation = dead.Generation()
	}
	told := false
	for delay := findRetry; ; {
		wait := delay
		drv, err := r.cfg.Drivers.DriverOf(ctx, r.cfg.Task.Driver, generation)
		if err == nil {
			if err = r.recoverOnce(ctx, drv, id); err == nil {
				return drv, nil
			}
			// A plugin that does not answer has not said that the task is not there. If it stays so it is replaced.
			if !gone(drv, err) && !errors.Is(err, context.DeadlineExceeded) {
				return nil, err
			}
			wait = goneRetry
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !told && delay > 2*findRetry {
			told = true
			r.logger.Warn("task runs unsupervised until its plugin is back", "driver", r.cfg.Task.Driver, "error", err)
			r.Emit(event.New(model.EventPluginUnhealthy, r.cfg.Now(), err.Error()))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if wait == delay {
			delay = min(2*delay, findRetryMax)
		}
	}
}

func (r *Runner) recoverOnce(ctx context.Context, drv Driver, id string) error {
	stored, err := r.cfg.Store.Task(r.cfg.Alloc.ID, r.cfg.Task.Name)
	if err != nil {
		return err
	}
	if stored == nil || stored.Handle == nil || stored.TaskID != id {
		return errors.New("no handle is stored")
	}
	return drv.RecoverTask(ctx, stored.Handle)
}

// stop ends the running instance: services first, then the task's own delay, then the driver. It returns when the
// driver has done its part or ctx ended, because the task did.
func (r *Runner) stop(ctx context.Context, k Kill) {
	_, task := r.spec()
	r.cfg.Services.Deregister(task.Name)
	if task.ShutdownDelay > 0 {
		if k.NoShutdownDelay {
			r.Emit(event.SkippingShutdown(r.cfg.Now(), task.ShutdownDelay))
		} else {
			r.Emit(event.WaitingShutdown(r.cfg.Now(), task.ShutdownDelay))
			select {
			case <-time.After(task.ShutdownDelay):
			case <-ctx.Done():
				return
			}
		}
	}
	delay := r.cfg.StopRetry
	if delay == 0 {
		delay = stopRetryBase
	}
	var err error
	for attempt := range stopAttempts {
		if attempt > 0 {
			r.logger.Warn("stopping the task failed, trying again", "error", err, "in", delay)
			select {
			case <-time.After(delay):
			case <-ctx.Done():
				return
			}
			delay = min(4*delay, stopRetryMax)
		}
		if err = r.stopOnce(ctx, task); err == nil || ctx.Err() != nil {
			return
		}
	}
	r.logger.Error("task cannot be stopped, forcing", "error", err)
	if inst, drv := r.current(); inst != nil {
		if err := drv.DestroyTask(ctx, inst.id, true); err != nil {
			r.Emit(event.Killed(r.cfg.Now(), fmt.Errorf("the driver cannot end the task: %w", err)))
		}
	}
}

// insist is for a driver that has stopped the task, or says so, and never tells its end: it is made to forget the task,
// and once it has, the task counts as ended. It returns when ctx ends, because the task did.
func (r *Runner) insist(ctx context.Context, result chan<- *driver.ExitResult) {
	for {
		select {
		case <-time.After(stopGrace):
		case <-ctx.Done():
			return
		}
		inst, drv := r.current()
		if inst == nil {
			return
		}
		r.logger.Warn("the driver stopped the task and does not tell its end; it is made to forget it")
		callCtx, cancel := context.WithTimeout(ctx, destroyWait)
		err := drv.DestroyTask(callCtx, inst.id, true)
		cancel()
		if err == nil || errors.Is(err, host.ErrTaskNotFound) {
			result <- &driver.ExitResult{ExitCode: -1, Err: "the driver stopped the task and never told how it ended"}
			return
		}
	}
}

func (r *Runner) stopOnce(ctx context.Context, task *model.Task) error {
	inst, drv := r.current()
	if inst == nil {
		return nil
	}
	timeout := r.killTimeout()
	callCtx, cancel := context.WithTimeout(ctx, timeout+stopGrace)
	defer cancel()
	err := drv.StopTask(callCtx, inst.id, timeout, task.KillSignal)
	if err == nil || errors.Is(err, host.ErrTaskNotFound) {
		return nil
	}
	if gone(drv, err) { // the process that is being launched will know the task; ask it at once
		if drv, rerr := r.recoverIn(callCtx, drv, inst.id); rerr == nil {
			err = drv.StopTask(callCtx, inst.id, timeout, task.KillSignal)
		}
	}
	return err
}

func (r *Runner) killTimeout() time.Duration {
	_, task := r.spec()
	return min(task.KillTimeout, r.cfg.MaxKillTimeout)
}

// afterExit records the end, has the driver forget the task and cleans up behind it.
func (r *Runner) afterExit(ctx context.Context, inst *instance, exit *driver.ExitResult) {
	at := r.exitTime(ctx, inst)
	r.cfg.Services.Deregister(r.cfg.Task.Name)
	r.setInstance(nil)
	r.change(func(s *model.TaskState) { s.FinishedAt = at },
		event.Terminated(at, event.Exit{Code: exit.ExitCode, Signal: exit.Signal, OOMKilled: exit.OOMKilled, Err: exit.Err}))
	r.destroy(ctx, inst.drv, inst.id)
	r.store(nil) // last: an agent that dies before this finds the task again and destroys it then
}

// exitTime: a task that ended while nobody looked has ended when its driver says.
func (r *Runner) exitTime(ctx context.Context, inst *instance) time.Time {
	if inst.recovered {
		ctx, cancel := context.WithTimeout(ctx, inspectWait)
		defer cancel()
		st, err := inst.drv.InspectTask(ctx, inst.id)
		if err == nil && st != nil && st.CompletedAt.Year() > 1970 && st.CompletedAt.Before(r.cfg.Now()) {
			return st.CompletedAt
		}
	}
	return r.cfg.Now()
}

// destroy has the driver forget a task, which kills it if it still runs.
func (r *Runner) destroy(ctx context.Context, drv Driver, id string) {
	ctx, cancel := context.WithTimeout(ctx, destroyWait)
	defer cancel()
	err := drv.DestroyTask(ctx, id, true)
	if err != nil && gone(drv, err) {
		err = r.destroyInNext(ctx, drv, id)
	}
	if err != nil && !errors.Is(err, host.ErrTaskNotFound) {
		r.logger.Warn("the driver could not forget the task", "task_id", id, "error", err)
	}
	if err := r.cfg.Cgroups.Clean(r.cfg.Alloc.ID, r.cfg.Task.Name); err != nil {
		r.logger.Warn("control group not removed", "error", err)
	}
}

// destroyInNext destroys a task in the process that follows a dead one. A process destroys what it knows, so it is told
// of the task first; if it does not find it, it is asked all the same, because a driver may know more than it tells.
func (r *Runner) destroyInNext(ctx context.Context, dead Driver, id string) error {
	next, err := r.recoverIn(ctx, dead, id)
	if err != nil {
		r.logger.Debug("task to be destroyed was not recovered", "task_id", id, "error", err)
		if next, err = r.cfg.Drivers.DriverOf(ctx, r.cfg.Task.Driver, dead.Generation()); err != nil {
			return err
		}
	}
	return next.DestroyTask(ctx, id, true)
}
