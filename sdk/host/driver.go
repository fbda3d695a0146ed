package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/droverhq/drover/sdk/driver"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
	"github.com/droverhq/drover/sdk/schema"
)

// Driver calls a task driver. Answers are mended where plugins are known to leave parts out: nothing in them is nil that
// the types promise, and no number is NaN.
type Driver struct{ c *driverv1.Client }

func newDriver(cc grpc.ClientConnInterface) *Driver { return &Driver{driverv1.NewClient(cc)} }

// Init readies the driver after SetConfig or after a reattach. Plugins without it are ready anyway.
func (d *Driver) Init(ctx context.Context) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	_, err := d.c.Init(ctx, &driverv1.InitRequest{})
	return ignoreUnimplemented(callError(ctx, "init driver", err))
}

// Shutdown tells the driver that its process is about to be ended. Tasks run on. Give it 2 s.
func (d *Driver) Shutdown(ctx context.Context) error {
	ctx, cancel := deadline(ctx, 2*time.Second)
	defer cancel()
	_, err := d.c.Shutdown(ctx, &driverv1.ShutdownRequest{})
	return ignoreUnimplemented(callError(ctx, "shut down driver", err))
}

// TaskConfigSchema asks for the shape of a task's config block. It is nil if the driver takes none.
func (d *Driver) TaskConfigSchema(ctx context.Context) (*schema.Spec, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := d.c.TaskConfigSchema(ctx, &driverv1.TaskConfigSchemaRequest{})
	if err != nil {
		return nil, callError(ctx, "task config schema", err)
	}
	spec, err := schema.FromProto(resp.GetSpec())
	if err != nil {
		return nil, fmt.Errorf("task config schema: %w", err)
	}
	return spec, nil
}

// Capabilities asks what the driver can do.
func (d *Driver) Capabilities(ctx context.Context) (driver.Capabilities, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := d.c.Capabilities(ctx, &driverv1.CapabilitiesRequest{})
	if err != nil {
		return driver.Capabilities{}, callError(ctx, "driver capabilities", err)
	}
	return driver.CapabilitiesFromProto(resp.GetCapabilities()), nil
}

// Fingerprint calls f with each fingerprint until ctx ends, f fails, or the plugin ends the stream, which returns nil.
func (d *Driver) Fingerprint(ctx context.Context, f func(driver.Fingerprint) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.c.Fingerprint(ctx, &driverv1.FingerprintRequest{})
	return receive(ctx, "fingerprint driver", stream, err, func(m *driverv1.FingerprintResponse) error {
		return f(driver.FingerprintFromProto(m))
	})
}

// TaskEvents calls f with each event until ctx ends, f fails, or the plugin ends the stream, which returns nil.
func (d *Driver) TaskEvents(ctx context.Context, f func(driver.TaskEvent) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.c.TaskEvents(ctx, &driverv1.TaskEventsRequest{})
	return receive(ctx, "task events", stream, err, func(m *driverv1.DriverTaskEvent) error {
		return f(driver.TaskEventFromProto(m, time.Now()))
	})
}

// Stats calls f with each sample of a task until ctx ends, f fails, or the plugin ends the stream, which returns nil and
// usually means that the task ended. Some plugins go on sending after the end. An error marked as not recoverable means
// that there will never be statistics.
func (d *Driver) Stats(ctx context.Context, taskID string, interval time.Duration, f func(driver.TaskStats) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := d.c.TaskStats(ctx, &driverv1.TaskStatsRequest{TaskId: taskID, CollectionInterval: durationpb.New(interval)})
	return receive(ctx, "statistics of task "+taskID, stream, err, func(m *driverv1.TaskStatsResponse) error {
		return f(driver.TaskStatsFromProto(m.GetStats(), time.Now()))
	})
}

// receive reads a stream to its end.
func receive[M any](ctx context.Context, what string, stream grpc.ServerStreamingClient[M], err error, f func(*M) error) error {
	if err != nil {
		return callError(ctx, what, err)
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return callError(ctx, what, err)
		}
		if err := f(m); err != nil {
			return err
		}
	}
}

// StartTask starts a task and returns when it runs. If the plugin died during the call (ErrPluginDown) the task may
// run or not. A failure that another attempt may cure is marked, see driver.IsRecoverable.
func (d *Driver) StartTask(ctx context.Context, task *driver.TaskConfig) (*StartResult, error) {
	ctx, cancel := deadline(ctx, longCall)
	defer cancel()
	what := "start task " + task.ID
	resp, err := d.c.StartTask(ctx, &driverv1.StartTaskRequest{Task: task.Proto()})
	if err != nil {
		return nil, callError(ctx, what, err)
	}
	if err := startFailure(resp); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if resp.GetHandle() == nil {
		return nil, fmt.Errorf("%s: the plugin returned no handle", what)
	}
	handle := driver.TaskHandleFromProto(resp.GetHandle())
	if resp.GetHandle().GetConfig() == nil {
		handle.Config = *task
	}
	if handle.Config.ID == "" {
		handle.Config.ID = task.ID
	}
	return &StartResult{Handle: *handle, Network: driver.NetworkOverrideFromProto(resp.GetNetworkOverride())}, nil
}

// startFailure reads failures that some plugins report in the answer instead of as an error.
func startFailure(resp *driverv1.StartTaskResponse) error {
	if resp.GetResult() == driverv1.StartTaskResponse_SUCCESS {
		return nil
	}
	text := resp.GetDriverErrorMsg()
	if text == "" {
		text = "the driver reported " + resp.GetResult().String() + " without a reason"
	}
	if resp.GetResult() == driverv1.StartTaskResponse_RETRY {
		return driver.Recoverable(errors.New(text))
	}
	return driver.Unrecoverable(errors.New(text))
}

// RecoverTask gives a stored task to a plugin that may not know it. The handle must be the stored one, unchanged.
func (d *Driver) RecoverTask(ctx context.Context, handle *driver.TaskHandle) error {
	ctx, cancel := deadline(ctx, longCall)
	defer cancel()
	_, err := d.c.RecoverTask(ctx, &driverv1.RecoverTaskRequest{TaskId: handle.Config.ID, Handle: handle.Proto()})
	return callError(ctx, "recover task "+handle.Config.ID, err)
}

// WaitTask blocks until the task has ended. It has no deadline of its own. An error means that the end was not seen:
// a driver that saw it but does not know how it came about says so in the result's Err.
func (d *Driver) WaitTask(ctx context.Context, taskID string) (*driver.ExitResult, error) {
	resp, err := d.c.WaitTask(ctx, &driverv1.WaitTaskRequest{TaskId: taskID})
	if err != nil {
		return nil, callError(ctx, "wait for task "+taskID, err)
	}
	exit := driver.ExitResultFromProto(resp.GetResult())
	exit.Err = resp.GetErr()
	if resp.GetResult() == nil && exit.Err == "" {
		exit.Err = "the driver returned no result"
	}
	return exit, nil
}

// StopTask sends the signal (empty = the driver's default), gives the task the timeout, and has it killed. It returns
// when the task is dead or the kill is sent.
func (d *Driver) StopTask(ctx context.Context, taskID string, timeout time.Duration, signal string) error {
	ctx, cancel := deadline(ctx, timeout+time.Minute)
	defer cancel()
	_, err := d.c.StopTask(ctx, &driverv1.StopTaskRequest{TaskId: taskID, Timeout: durationpb.New(timeout), Signal: signal})
	return callError(ctx, "stop task "+taskID, err)
}

// DestroyTask makes the driver forget a task and remove what it left. Call it after every end, with force.
func (d *Driver) DestroyTask(ctx context.Context, taskID string, force bool) error {
	ctx, cancel := deadline(ctx, longCall)
	defer cancel()
	_, err := d.c.DestroyTask(ctx, &driverv1.DestroyTaskRequest{TaskId: taskID, Force: force})
	return callError(ctx, "destroy task "+taskID, err)
}

// InspectTask asks what the driver knows about a task.
func (d *Driver) InspectTask(ctx context.Context, taskID string) (*driver.TaskStatus, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := d.c.InspectTask(ctx, &driverv1.InspectTaskRequest{TaskId: taskID})
	if err != nil {
		return nil, callError(ctx, "inspect task "+taskID, err)
	}
	return driver.TaskStatusFromProto(resp), nil
}

// SignalTask sends a signal to a task. Drivers may know names that are no signals.
func (d *Driver) SignalTask(ctx context.Context, taskID, signal string) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	_, err := d.c.SignalTask(ctx, &driverv1.SignalTaskRequest{TaskId: taskID, Signal: signal})
	return callError(ctx, "signal task "+taskID, err)
}

// CreateNetwork asks a driver that must make networks itself for an allocation's namespace.
func (d *Driver) CreateNetwork(ctx context.Context, req *driver.CreateNetworkRequest) (*driver.CreateNetworkResponse, error) {
	ctx, cancel := deadline(ctx, longCall)
	defer cancel()
	resp, err := d.c.CreateNetwork(ctx, &driverv1.CreateNetworkRequest{AllocId: req.AllocID, Hostname: req.Hostname})
	if err != nil {
		return nil, callError(ctx, "create network of allocation "+req.AllocID, err)
	}
	return &driver.CreateNetworkResponse{
		Network: driver.NetworkIsolationFromProto(resp.GetIsolationSpec()),
		Created: resp.GetCreated(),
	}, nil
}

// DestroyNetwork asks to remove it.
func (d *Driver) DestroyNetwork(ctx context.Context, req *driver.DestroyNetworkRequest) error {
	ctx, cancel := deadline(ctx, longCall)
	defer cancel()
	_, err := d.c.DestroyNetwork(ctx, &driverv1.DestroyNetworkRequest{AllocId: req.AllocID, IsolationSpec: req.Network.Proto()})
	return callError(ctx, "destroy network of allocation "+req.AllocID, err)
}
