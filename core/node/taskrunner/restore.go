package taskrunner

import (
	"context"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/sdk/driver"
)

// restore finds the task's instance again after a restart of the agent. lost: there should have been one and it could
// not be found; it has been destroyed as far as the driver knows it.
func (r *Runner) restore(ctx context.Context) (inst *instance, lost bool) {
	r.mu.Lock()
	id := r.stored.TaskID
	network := r.stored.Network
	r.mu.Unlock()
	if id == "" {
		return nil, false
	}
	stored, err := r.cfg.Store.Task(r.cfg.Alloc.ID, r.cfg.Task.Name)
	if err != nil || stored == nil || stored.Handle == nil {
		// The agent died between asking for a start and hearing of it.
		r.forget(ctx, id)
		return nil, false
	}
	if _, _, err := r.openLogs(ctx, driver.Capabilities{}); err != nil {
		r.logger.Warn("log streams not opened again", "error", err)
	}
	drv, err := r.recoverIn(ctx, nil, id)
	if err == nil {
		inst := &instance{id: id, network: network}
		r.adopt(inst, drv)
		if r.State().State != model.TaskRunning { // the crash came before the state was stored
			now := r.cfg.Now()
			r.change(func(s *model.TaskState) { s.State, s.StartedAt = model.TaskRunning, now }, event.Started(now))
		}
		r.cfg.Services.Register(r.cfg.Task.Name, network)
		return inst, false
	}
	if ctx.Err() != nil {
		return nil, false
	}
	r.logger.Warn("task could not be recovered", "task_id", id, "error", err)
	r.forget(ctx, id)
	r.store(nil)
	waits := r.cfg.Alloc.Job.Type != model.JobTypeSystem
	r.change(func(s *model.TaskState) { s.State = model.TaskPending }, event.FailedRestore(r.cfg.Now(), err, waits))
	return nil, true
}

// forget has the driver destroy an instance that nobody will ask for again.
func (r *Runner) forget(ctx context.Context, id string) {
	drv, err := r.cfg.Drivers.DriverOf(ctx, r.cfg.Task.Driver, r.stored.Generation)
	if err != nil {
		r.logger.Warn("task may be left running: its driver is not available", "task_id", id, "error", err)
		return
	}
	r.destroy(ctx, drv, id)
}
