package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/schema"
)

// Driver is a facade on one process of a task driver. It is dead for good once Done is closed: ask DriverOf for the
// process that follows, recover the tasks there and wait for them again. It is safe for concurrent use.
//
// The calls are those of host.Driver with its deadlines. Errors are of its classes: ErrPluginDown (the call may have
// been carried out, unless it is host.ErrReleased too), ErrTaskNotFound, and driver.IsRecoverable for starts.
type Driver struct {
	gen *generation
	s   *session
}

// Driver returns the process that takes new tasks of that driver. While one is being launched it waits, until ctx ends.
// Errors: ErrUnknownDriver, ErrUnavailable with the reason, ErrStopped.
func (h *Host) Driver(ctx context.Context, name string) (*Driver, error) {
	return h.DriverOf(ctx, name, 0)
}

// DriverOf is for tasks that exist: it returns the process of the generation that holds them, and waits while that is
// being launched again. If the generation is gone, or number is 0, it is the process that takes new tasks.
func (h *Host) DriverOf(ctx context.Context, name string, number uint64) (*Driver, error) {
	for {
		h.mu.Lock()
		g, err := h.choose(name, number)
		wake := h.wake
		var d *Driver
		if g != nil && g.session != nil && !g.machine.UpSince.IsZero() {
			d = &Driver{g, g.session}
		}
		reason := waitingFor(g)
		h.mu.Unlock()
		if d != nil || err != nil {
			return d, err
		}
		select {
		case <-wake:
		case <-h.ctx.Done():
			return nil, ErrStopped
		case <-ctx.Done():
			return nil, fmt.Errorf("driver %q: %w: %s: %w", name, ErrUnavailable, reason, ctx.Err())
		}
	}
}

func waitingFor(g *generation) string {
	switch {
	case g == nil:
		return "its plugin is being identified"
	case g.machine.Reason != "":
		return g.machine.Reason
	}
	return "its plugin is " + string(g.machine.State)
}

// choose finds the generation to use; nil without an error means that it is not known yet. The lock is held.
func (h *Host) choose(name string, number uint64) (*generation, error) {
	if h.ctx.Err() != nil {
		return nil, ErrStopped
	}
	f := h.claims[claim("driver", name)]
	if f == nil {
		if h.identifying() {
			return nil, nil
		}
		return nil, h.whyUnknown(name)
	}
	if g := f.holder(number); g != nil && g.machine.State != lifecycle.Retired {
		if g.machine.Final() {
			return nil, fmt.Errorf("driver %q: %w: %s", name, ErrUnavailable, g.machine.Reason)
		}
		return g, nil
	}
	if g := f.current(); g != nil {
		return g, nil
	}
	reason := "its plugin is gone"
	for i := len(f.generations) - 1; i >= 0; i-- {
		g := f.generations[i]
		if !g.machine.Final() && g.machine.Leaving == "" {
			return g, nil // on its way
		}
		if g.machine.Reason != "" {
			reason = g.machine.Reason
		}
	}
	return nil, fmt.Errorf("driver %q: %w: %s", name, ErrUnavailable, reason)
}

// identifying reports whether there are plugins that have not said their name yet. The lock is held.
func (h *Host) identifying() bool {
	if !h.scanned {
		return true
	}
	for _, f := range h.families {
		for _, g := range f.generations {
			if g.name == "" && !g.settled() {
				return true
			}
		}
	}
	return false
}

// whyUnknown names the plugin that failed and may be the driver that is asked for. The lock is held.
func (h *Host) whyUnknown(name string) error {
	for _, file := range sortedKeys(h.families) {
		f := h.families[file]
		reason := f.refusal
		if g := f.shown(); g != nil && g.machine.Reason != "" {
			reason = g.machine.Reason
			if g.name != "" && g.name != name {
				continue
			}
		}
		if reason != "" && (guessName(f.name()) == name || f.generationNamed(name)) {
			return fmt.Errorf("driver %q: %w: %s: %s", name, ErrUnavailable, f.file, reason)
		}
	}
	return fmt.Errorf("driver %q: %w: no plugin in %s has that name", name, ErrUnknownDriver, h.config.PluginDir)
}

func (f *family) generationNamed(name string) bool {
	for _, g := range f.generations {
		if g.name == name {
			return true
		}
	}
	return false
}

// EncodeTaskConfig checks a task's config by the schema of the driver that takes new tasks and returns the bytes for
// TaskConfig.DriverConfig.
func (h *Host) EncodeTaskConfig(ctx context.Context, name string, config map[string]any, vars *schema.Variables) ([]byte, error) {
	d, err := h.Driver(ctx, name)
	if err != nil {
		return nil, err
	}
	return d.EncodeTaskConfig(config, vars)
}

// Name is the driver's name in jobs.
func (d *Driver) Name() string { return d.s.info.Name }

// Version is the plugin's.
func (d *Driver) Version() string { return d.s.info.Version }

// Generation is to be stored with a task's handle, for DriverOf.
func (d *Driver) Generation() uint64 { return d.gen.number }

// Pid is the plugin's process.
func (d *Driver) Pid() int { return d.s.proc.ID().PID }

// Done is closed when the process is gone or another one has its tasks.
func (d *Driver) Done() <-chan struct{} { return d.s.gone }

// Capabilities is what the driver can do.
func (d *Driver) Capabilities() driver.Capabilities { return d.s.capabilities }

// Extensions are what the plugin offers beyond the public contract.
func (d *Driver) Extensions() host.Extensions { return d.s.extensions }

// Schema is the shape of a task's config and its digest. It must not be changed.
func (d *Driver) Schema() (*schema.Spec, string) { return d.s.schema, d.s.schemaDigest }

// EncodeTaskConfig checks a task's config and returns the bytes for TaskConfig.DriverConfig.
func (d *Driver) EncodeTaskConfig(config map[string]any, vars *schema.Variables) ([]byte, error) {
	if config == nil {
		config = map[string]any{}
	}
	return d.s.schema.Encode(config, vars)
}

// StartTask starts a task. Store the handle before the task counts as running.
func (d *Driver) StartTask(ctx context.Context, task *driver.TaskConfig) (*host.StartResult, error) {
	leave, err := d.enter(ctx, "StartTask", task.ID)
	if err != nil {
		return nil, err
	}
	defer leave()
	// Counted before the call: a generation must not retire between the start and its answer.
	d.gen.holdTask(task.ID, nil)
	res, err := d.s.client.Driver().StartTask(ctx, task)
	if ctx.Err() == nil && (errors.Is(err, host.ErrTooLarge) || errors.Is(err, context.DeadlineExceeded)) {
		// It may have been started all the same, and nobody would ever end it.
		err = errors.Join(err, within(ctx, unsureTime, func(ctx context.Context) error { return d.DestroyTask(ctx, task.ID, true) }))
	}
	if err != nil {
		d.gen.dropTask(task.ID)
		return nil, d.mend(err)
	}
	if err := checkHandle(task, res); err != nil {
		// What cannot be stored cannot be recovered: it must not run.
		return nil, errors.Join(err, d.DestroyTask(context.WithoutCancel(ctx), task.ID, true))
	}
	d.gen.holdTask(task.ID, &res.Handle)
	return res, nil
}

// What a plugin may have the node store for a task.
const (
	maxDriverState = 1 << 20
	maxPorts       = 1024
)

// checkHandle reports why the answer to a start cannot be kept.
func checkHandle(task *driver.TaskConfig, res *host.StartResult) error {
	what := "start task " + task.ID
	if n := len(res.Handle.DriverState); n > maxDriverState {
		return fmt.Errorf("%s: the driver wants a state of %d bytes kept, at most %d are", what, n, maxDriverState)
	}
	if id := res.Handle.Config.ID; id != task.ID {
		return fmt.Errorf("%s: the driver returned the handle of another task: %.100q", what, id)
	}
	if res.Network != nil && (len(res.Network.PortMap) > maxPorts || len(res.Network.Addr) > maxName) {
		return fmt.Errorf("%s: the driver returned a network with %d ports and the address %.60q", what, len(res.Network.PortMap), res.Network.Addr)
	}
	return nil
}

// unsureTime is how long a driver may take to undo a start whose outcome it could not tell.
const unsureTime = 30 * time.Second

// recoverTime is how long a driver may take to find a task again.
const recoverTime = 2 * time.Minute

// RecoverTask gives a stored task back. The handle must be the stored one, unchanged.
func (d *Driver) RecoverTask(ctx context.Context, handle *driver.TaskHandle) error {
	leave, err := d.enter(ctx, "RecoverTask", handle.Config.ID)
	if err != nil {
		return err
	}
	defer leave()
	d.gen.holdTask(handle.Config.ID, handle)
	err = within(ctx, recoverTime, func(ctx context.Context) error { return d.s.client.Driver().RecoverTask(ctx, handle) })
	if err != nil {
		err = d.mend(err)
		if !errors.Is(err, ErrPluginDown) && !errors.Is(err, context.DeadlineExceeded) { // else it may be there
			d.gen.dropTask(handle.Config.ID)
		}
		return err
	}
	return nil
}

// WaitTask blocks until the task has ended. It has no deadline. With ErrPluginDown the process is gone, or another one
// has the task: recover the task in the next one and wait again.
func (d *Driver) WaitTask(ctx context.Context, id string) (res *driver.ExitResult, err error) {
	err = d.look(ctx, func() (err error) {
		res, err = d.s.client.Driver().WaitTask(ctx, id)
		return err
	})
	return res, err
}

// StopTask sends the signal (empty = the driver's default), gives the task the timeout, and has it killed. A task that
// the driver does not know counts as stopped.
func (d *Driver) StopTask(ctx context.Context, id string, timeout time.Duration, signal string) error {
	leave, err := d.enter(ctx, "StopTask", id)
	if err != nil {
		return err
	}
	defer leave()
	return known(d.mend(d.s.client.Driver().StopTask(ctx, id, timeout, signal)))
}

// DestroyTask makes the driver forget a task and remove what it left. A task that it does not know counts as destroyed.
func (d *Driver) DestroyTask(ctx context.Context, id string, force bool) error {
	leave, err := d.enter(ctx, "DestroyTask", id)
	if err != nil {
		return err
	}
	defer leave()
	if err = known(d.mend(d.s.client.Driver().DestroyTask(ctx, id, force))); err == nil {
		d.gen.dropTask(id)
	}
	return err
}

// Forget is for a task that the node gave up although the driver could not destroy it: it no longer keeps an old
// generation alive.
func (d *Driver) Forget(id string) { d.gen.dropTask(id) }

// InspectTask asks what the driver knows about a task.
func (d *Driver) InspectTask(ctx context.Context, id string) (res *driver.TaskStatus, err error) {
	err = d.look(ctx, func() (err error) {
		res, err = d.s.client.Driver().InspectTask(ctx, id)
		return err
	})
	return res, err
}

// SignalTask sends a signal.
func (d *Driver) SignalTask(ctx context.Context, id, signal string) error {
	leave, err := d.enter(ctx, "SignalTask", id)
	if err != nil {
		return err
	}
	defer leave()
	return d.mend(d.s.client.Driver().SignalTask(ctx, id, signal))
}

// Stats calls f with each sample until ctx ends, f fails, or the plugin ends the stream (nil). Samples that come faster
// than asked for are held back.
func (d *Driver) Stats(ctx context.Context, id string, interval time.Duration, f func(driver.TaskStats) error) error {
	var last time.Time
	return d.look(ctx, func() error {
		return d.s.client.Driver().Stats(ctx, id, interval, func(s driver.TaskStats) error {
			if early := interval/2 - time.Since(last); !last.IsZero() && early > 0 {
				if err := pause(ctx, early); err != nil {
					return err
				}
			}
			last = time.Now()
			return f(s)
		})
	})
}

// ExecTask runs a short command in a task.
func (d *Driver) ExecTask(ctx context.Context, id string, argv []string, timeout time.Duration) (*host.ExecResult, error) {
	leave, err := d.s.barrier.enter(ctx, "ExecTask of "+id, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	res, err := d.s.client.Driver().ExecTask(ctx, id, argv, timeout)
	return res, d.mend(err)
}

// ExecTaskStreaming runs a command in a task with streams. A hand-over does not end it.
func (d *Driver) ExecTaskStreaming(ctx context.Context, req *driver.ExecRequest) (*driver.ExitResult, error) {
	leave, err := d.s.barrier.enter(ctx, "ExecTask of "+req.TaskID, false)
	if err != nil {
		return nil, err
	}
	defer leave()
	res, err := d.s.client.Driver().ExecTaskStreaming(ctx, req)
	return res, d.mend(err)
}

// CreateNetwork is for drivers whose capabilities say MustCreateNetwork.
func (d *Driver) CreateNetwork(ctx context.Context, req *driver.CreateNetworkRequest) (*driver.CreateNetworkResponse, error) {
	leave, err := d.enter(ctx, "CreateNetwork", req.AllocID)
	if err != nil {
		return nil, err
	}
	defer leave()
	res, err := d.s.client.Driver().CreateNetwork(ctx, req)
	return res, d.mend(err)
}

// DestroyNetwork removes what CreateNetwork made.
func (d *Driver) DestroyNetwork(ctx context.Context, req *driver.DestroyNetworkRequest) error {
	leave, err := d.enter(ctx, "DestroyNetwork", req.AllocID)
	if err != nil {
		return err
	}
	defer leave()
	return d.mend(d.s.client.Driver().DestroyNetwork(ctx, req))
}

// enter begins a call that changes something: a hand-over waits for it, and it waits for a hand-over.
func (d *Driver) enter(ctx context.Context, method, id string) (leave func(), err error) {
	return d.s.barrier.enter(ctx, method+" of "+id, true)
}

// look makes a call that changes nothing. If a hand-over ended it and the tasks are here again it is repeated.
func (d *Driver) look(ctx context.Context, call func() error) error {
	const again = 50 * time.Millisecond
	for {
		if err := d.s.barrier.settled(ctx); err != nil {
			return err
		}
		err := call()
		if !errors.Is(err, host.ErrReleased) || !d.s.offersHandOver() {
			return d.mend(err)
		}
		if err := d.s.barrier.settled(ctx); err != nil {
			return err
		}
		if err := pause(ctx, again); err != nil {
			return err
		}
	}
}

// mend gives every failure that comes from the end of the process one class.
func (d *Driver) mend(err error) error {
	if err == nil || errors.Is(err, ErrPluginDown) {
		return err
	}
	select {
	case <-d.s.closed:
		return fmt.Errorf("%w: %w", ErrPluginDown, err)
	default:
		return err
	}
}

func known(err error) error {
	if errors.Is(err, ErrTaskNotFound) {
		return nil
	}
	return err
}
