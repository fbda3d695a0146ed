package taskrunner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/core/node/restart"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

// Classes of failed starts.
var (
	errInvalid = errors.New("task is not valid") // as specified it can never run
	errSetup   = errors.New("task setup failed") // before the driver
	errFetch   = errors.New("artifact could not be fetched")
	errDriver  = errors.New("driver could not start the task")
)

// stepError is a failed step of a start.
type stepError struct {
	class       error
	err         error
	recoverable bool
}

func (e *stepError) Error() string   { return e.err.Error() }
func (e *stepError) Unwrap() []error { return []error{e.class, e.err} }

// startFailed records a failed start and tells the restart policy what it was.
func (r *Runner) startFailed(err error) restart.Cause {
	now := r.cfg.Now()
	cause := restart.Cause{StartFailed: true}
	var step *stepError
	if errors.As(err, &step) {
		cause.Recoverable = step.recoverable
	}
	if r.killed() {
		return cause
	}
	r.logger.Warn("task not started", "error", err, "recoverable", cause.Recoverable)
	switch {
	case errors.Is(err, errInvalid):
		r.Emit(event.FailedValidation(now, err))
	case errors.Is(err, errFetch):
		r.Emit(event.ArtifactFailed(now, err))
	case errors.Is(err, errSetup):
		r.Emit(event.SetupFailure(now, err))
	default:
		r.Emit(event.DriverFailure(now, err))
	}
	return cause
}

// store puts what is known of the task into client state; handle nil: there is no instance.
func (r *Runner) store(handle *driver.TaskHandle) {
	r.mu.Lock()
	t := r.stored
	r.mu.Unlock()
	t.Handle = handle
	if handle == nil {
		t.TaskID, t.Network = "", nil
	}
	if err := r.cfg.Store.PutTask(r.cfg.Alloc.ID, r.cfg.Task.Name, &t); err != nil {
		r.logger.Error("task not stored", "error", err)
	}
}

// startInstance prepares and starts the task. Errors are stepErrors, except those of a ctx that ended.
func (r *Runner) startInstance(ctx context.Context) (*instance, error) {
	startCtx, cancel := context.WithCancel(ctx) // a kill ends the preparations and an unfinished start
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-r.kill:
			cancel()
		case <-done:
		}
	}()

	drv, err := r.cfg.Drivers.Driver(startCtx, r.cfg.Task.Driver)
	if err != nil {
		return nil, &stepError{errSetup, fmt.Errorf("driver %q: %w", r.cfg.Task.Driver, err), true}
	}
	return r.startIn(startCtx, drv)
}

// startIn takes the steps to a running task, in order. What a crash of the agent could leave behind is on disk before
// the driver is called, and the handle is on its way there before the task counts as running: reports to the servers
// wait for it.
func (r *Runner) startIn(ctx context.Context, drv Driver) (*instance, error) {
	alloc, task := r.spec()
	r.mu.Lock()
	r.stored.TaskID = fmt.Sprintf("%s/%s/%s", alloc.ID, task.Name, randomSuffix())
	r.stored.Driver, r.stored.Generation = task.Driver, drv.Generation()
	intent := r.stored
	r.mu.Unlock()
	if err := r.cfg.Store.PutTask(alloc.ID, task.Name, &intent); err != nil {
		return nil, &stepError{errSetup, err, true}
	}
	flushed := make(chan error, 1)
	go func() { flushed <- r.cfg.Store.Flush(ctx) }()

	tc, err := r.prepare(ctx, drv, alloc, task)
	if ferr := <-flushed; ferr != nil && err == nil {
		err = &stepError{errSetup, ferr, true}
	}
	if err != nil {
		return nil, err
	}
	drv, started, err := r.callStart(ctx, drv, tc)
	if err != nil {
		if ctx.Err() != nil { // killed: the driver may have been too far to notice
			r.destroy(context.WithoutCancel(ctx), drv, tc.ID)
		} else if cerr := r.cfg.Cgroups.Clean(alloc.ID, task.Name); cerr != nil {
			r.logger.Warn("control group not removed", "error", cerr)
		}
		return nil, &stepError{errDriver, err, driver.IsRecoverable(err) || errors.Is(err, host.ErrPluginDown)}
	}
	r.mu.Lock()
	r.stored.Network, r.stored.Generation = started.Network, drv.Generation()
	r.mu.Unlock()
	r.store(&started.Handle)
	inst := &instance{id: tc.ID, drv: drv, network: started.Network}
	now := r.cfg.Now()
	r.change(func(s *model.TaskState) {
		s.State, s.StartedAt = model.TaskRunning, now
	}, event.Started(now))
	r.cfg.Services.Register(task.Name, started.Network)
	return inst, nil
}

// endNoticed is how long the end of a plugin's process may take to be noticed after a call failed for it.
const endNoticed = 5 * time.Second

// callStart has the driver start the task and returns the process that did. If the plugin's process dies under the call
// nobody knows whether the task runs. The next one is asked the same, once and under the same id, by which a driver
// finds what it had begun and does not run it twice.
func (r *Runner) callStart(ctx context.Context, drv Driver, tc *driver.TaskConfig) (Driver, *host.StartResult, error) {
	started, err := drv.StartTask(ctx, tc)
	if err == nil || !gone(drv, err) || ctx.Err() != nil {
		return drv, started, err
	}
	r.logger.Warn("plugin ended while it started the task, asking the next process", "task_id", tc.ID, "error", err)
	if !errors.Is(err, host.ErrReleased) {
		select { // until its end is known it may still be handed out as the one that starts tasks
		case <-drv.Done():
		case <-time.After(endNoticed):
		case <-ctx.Done():
			return drv, nil, err
		}
	}
	next, err := r.cfg.Drivers.Driver(ctx, r.cfg.Task.Driver)
	if err != nil {
		return drv, nil, err
	}
	started, err = next.StartTask(ctx, tc)
	return next, started, err
}

// checksUser: a driver that runs tasks as users of the host and hides the host from them is not meant for the host's root.
func (r *Runner) checksUser(name string, c driver.Capabilities) bool {
	if r.cfg.CheckedDrivers == nil {
		return c.FSIsolation == driver.FSChroot
	}
	return r.cfg.CheckedDrivers[name]
}

// prepare does everything that comes before the driver and returns what to start.
func (r *Runner) prepare(ctx context.Context, drv Driver, alloc *model.Allocation, task *model.Task) (*driver.TaskConfig, error) {
	if r.cfg.DeniedUsers[task.User] && r.checksUser(task.Driver, drv.Capabilities()) {
		return nil, &stepError{errInvalid, fmt.Errorf("user %q is not allowed for driver %q on this node (options user.denylist, user.checked_drivers)", task.User, task.Driver), false}
	}
	if r.State().StartedAt.IsZero() {
		r.Emit(event.Setup(r.cfg.Now(), model.EventBuildingTaskDir))
	}
	secretsMB := 0
	if task.Resources != nil {
		secretsMB = task.Resources.SecretsMB
	}
	if err := r.cfg.Dir.BuildTask(task.Name, secretsMB); err != nil {
		return nil, &stepError{errSetup, err, true}
	}
	if err := r.writePayload(alloc, task); err != nil {
		return nil, &stepError{errSetup, err, false}
	}
	caps := drv.Capabilities()
	stdout, stderr, err := r.openLogs(ctx, caps)
	if err != nil {
		return nil, &stepError{errSetup, err, true}
	}
	devices, err := r.reserveDevices(ctx, alloc, task.Name)
	if err != nil {
		return nil, err
	}
	env := r.environment(alloc, task, caps.FSIsolation, devices.Env)
	if err := r.fetchArtifacts(ctx, task, caps, env); err != nil {
		return nil, err
	}
	rendered, err := r.renderTemplates(ctx, alloc, task, caps, env)
	if err != nil {
		return nil, err
	}
	if len(rendered) > 0 {
		extra := maps.Clone(devices.Env)
		if extra == nil {
			extra = map[string]string{}
		}
		maps.Copy(extra, rendered)
		env = r.environment(alloc, task, caps.FSIsolation, extra)
	}
	config, err := drv.EncodeTaskConfig(task.Config, variables(env))
	if err != nil {
		if gone(drv, err) {
			return nil, &stepError{errDriver, err, true}
		}
		return nil, &stepError{errInvalid, fmt.Errorf("config of task %s: %w", task.Name, err), false}
	}
	cores := reservedCores(alloc, task.Name)
	cgroup, err := r.cfg.Cgroups.Prepare(alloc.ID, task.Name, cores)
	if err != nil {
		return nil, &stepError{errSetup, err, true}
	}
	tc := r.taskConfig(alloc, task, env)
	tc.DriverConfig = config
	useDevices(tc, devices)
	tc.StdoutPath, tc.StderrPath = stdout, stderr
	tc.Resources.Linux.CpusetCgroup = cgroup
	return tc, nil
}

// writePayload writes a dispatched job's payload, once in the task's life.
func (r *Runner) writePayload(alloc *model.Allocation, task *model.Task) error {
	if task.DispatchPayload == nil || task.DispatchPayload.File == "" || len(alloc.Job.Payload) == 0 || r.stored.PayloadSet {
		return nil
	}
	root, err := r.cfg.Dir.OpenLocal(task.Name)
	if err != nil {
		return fmt.Errorf("dispatch payload: %w", err)
	}
	defer root.Close()
	file := filepath.FromSlash(task.DispatchPayload.File)
	if dir := filepath.Dir(file); dir != "." {
		if err := root.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("dispatch payload: %w", err)
		}
	}
	if err := root.WriteFile(file, alloc.Job.Payload, 0o777); err != nil {
		return fmt.Errorf("dispatch payload: %w", err)
	}
	r.stored.PayloadSet = true
	return root.Chmod(file, 0o777)
}

func (r *Runner) environment(alloc *model.Allocation, task *model.Task, isolation driver.FSIsolation, extra map[string]string) *taskenv.Env {
	in := taskenv.Input{
		Node: r.cfg.Info(), Region: r.cfg.Region, Alloc: alloc, Job: alloc.Job, Task: task,
		Dirs: r.dirsFor(task.Name, isolation), CgroupParent: r.cfg.CgroupParent, Network: alloc.NetworkStatus,
		Extra: extra,
	}
	if isolation != driver.FSImage {
		in.HostEnv = r.cfg.HostEnv
	}
	return taskenv.Build(in)
}

func randomSuffix() string {
	var b [4]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
