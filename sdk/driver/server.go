package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/sdk/failpoint"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
	"github.com/droverhq/drover/sdk/schema"
)

// waitGrace is how long a driver's Wait may take to return after Destroy removed the task, or after the plugin closed.
const waitGrace = 2 * time.Second

var _ driverv1.Server = (*server[struct{}, struct{}])(nil)

// server answers the driver contract on behalf of an author's driver.
type server[C, S any] struct {
	info    Info
	impl    Driver[C, S]
	tasks   *registry
	events  *fanout
	trigger *broadcast

	closing context.Context // ends with the plugin
	close_  context.CancelFunc
	waits   sync.WaitGroup
}

func newServer[C, S any](info Info, d Driver[C, S]) *server[C, S] {
	s := &server[C, S]{info: info, impl: d, tasks: newRegistry(), events: newFanout(), trigger: newBroadcast()}
	s.closing, s.close_ = context.WithCancel(context.Background())
	if w, ok := d.(WithFingerprintTrigger); ok {
		s.waits.Go(func() { s.trigger.forward(s.closing, w.FingerprintTrigger()) })
	}
	return s
}

// close ends the waits of all tasks and leaves the tasks alone.
func (s *server[C, S]) close() {
	s.close_()
	ended := make(chan struct{})
	go func() { s.waits.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(waitGrace):
	}
}

func (s *server[C, S]) Init(ctx context.Context, _ *driverv1.InitRequest) (*driverv1.InitResponse, error) {
	if w, ok := s.impl.(WithInit); ok {
		if err := w.Init(ctx); err != nil {
			return nil, statusOf(err)
		}
	}
	return &driverv1.InitResponse{}, nil
}

func (s *server[C, S]) Shutdown(ctx context.Context, _ *driverv1.ShutdownRequest) (*driverv1.ShutdownResponse, error) {
	if w, ok := s.impl.(WithShutdown); ok {
		if err := w.Shutdown(ctx); err != nil {
			return nil, statusOf(err)
		}
	}
	return &driverv1.ShutdownResponse{}, nil
}

func (s *server[C, S]) TaskConfigSchema(context.Context, *driverv1.TaskConfigSchemaRequest) (*driverv1.TaskConfigSchemaResponse, error) {
	spec, err := schema.Of[C]()
	if err != nil {
		return nil, err
	}
	return &driverv1.TaskConfigSchemaResponse{Spec: spec.Proto()}, nil
}

func (s *server[C, S]) Capabilities(context.Context, *driverv1.CapabilitiesRequest) (*driverv1.CapabilitiesResponse, error) {
	c := s.capabilities()
	return &driverv1.CapabilitiesResponse{Capabilities: c.Proto()}, nil
}

func (s *server[C, S]) capabilities() Capabilities {
	_, signals := s.impl.(WithSignals)
	_, exec := s.impl.(WithExec)
	_, network := s.impl.(WithNetwork)
	c := Capabilities{
		SendSignals:          signals,
		Exec:                 exec,
		MustCreateNetwork:    network,
		FSIsolation:          s.info.FSIsolation,
		NetworkModes:         s.info.NetworkModes,
		NoMounts:             s.info.NoMounts,
		DisableLogCollection: s.info.DisableLogCollection,
		DynamicUsers:         s.info.DynamicUsers,
	}
	if w, ok := s.impl.(WithCapabilities); ok {
		c = w.Capabilities(c)
	}
	return c
}

func (s *server[C, S]) stateVersion() int {
	if w, ok := s.impl.(WithStateVersion); ok {
		return w.StateVersion()
	}
	return 1
}

func (s *server[C, S]) StartTask(ctx context.Context, req *driverv1.StartTaskRequest) (*driverv1.StartTaskResponse, error) {
	if req.GetTask().GetId() == "" {
		return nil, errors.New("start task: the request has no task id")
	}
	task := TaskConfigFromProto(req.GetTask())
	release, err := s.tasks.claim(ctx, task.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := s.tasks.get(task.ID); err == nil {
		return nil, fmt.Errorf("task with ID %q already started", task.ID)
	}
	config, err := s.config(ctx, task)
	if err != nil {
		return nil, err
	}
	started, err := s.impl.Start(ctx, &StartRequest[C]{Task: task, Config: config, Emit: s.emitter(task)})
	if err != nil {
		return nil, statusOf(err)
	}
	resp, err := s.startResponse(task, started)
	if err == nil {
		err = ctx.Err() // nobody waits for the answer and so nobody knows of the task
	}
	if err != nil {
		s.undo(task.ID)
		return nil, err
	}
	s.follow(task.ID, task.Name, time.Now())
	return resp, nil
}

// config decodes and checks a task's config.
func (s *server[C, S]) config(ctx context.Context, task *TaskConfig) (C, error) {
	var config C
	if err := schema.Decode(task.DriverConfig, &config); err != nil {
		return config, fmt.Errorf("decode driver config: %w", err)
	}
	return config, s.checkConfig(ctx, config).Err()
}

func (s *server[C, S]) checkConfig(ctx context.Context, config C) schema.Diagnostics {
	if w, ok := s.impl.(WithConfigCheck[C]); ok {
		return w.CheckConfig(ctx, config)
	}
	return nil
}

func (s *server[C, S]) startResponse(task *TaskConfig, started *StartResponse[S]) (*driverv1.StartTaskResponse, error) {
	if started == nil {
		return nil, errors.New("start task: the driver returned no response")
	}
	if started.Task != nil {
		task = started.Task
	}
	state, err := encodeState(started.State)
	if err != nil {
		return nil, err
	}
	handle := TaskHandle{Version: s.stateVersion(), Config: *task, State: TaskRunning, DriverState: state}
	return &driverv1.StartTaskResponse{Handle: handle.Proto(), NetworkOverride: started.Network.Proto()}, nil
}

// undo destroys a task that was started but cannot be handed to the host.
func (s *server[C, S]) undo(id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.closing), time.Minute)
	defer cancel()
	_ = s.impl.Destroy(ctx, &DestroyRequest{TaskID: id, Force: true})
}

// follow begins to wait for a task's end.
func (s *server[C, S]) follow(id, name string, startedAt time.Time) {
	ctx, cancel := context.WithCancel(s.closing)
	t := &tracked{id: id, name: name, startedAt: startedAt, cancel: cancel, done: make(chan struct{})}
	s.tasks.add(t)
	s.waits.Go(func() {
		defer cancel()
		exit, err := s.impl.Wait(ctx, t.id)
		switch {
		case err != nil && ctx.Err() != nil:
			// The result no longer matters; the task lives on.
		case err != nil:
			t.exit = &ExitResult{Err: err.Error()}
		case exit == nil:
			t.exit = &ExitResult{Err: "the driver returned no result"}
		default:
			t.exit = exit
		}
		t.completedAt = time.Now()
		close(t.done)
	})
}

func (s *server[C, S]) RecoverTask(ctx context.Context, req *driverv1.RecoverTaskRequest) (*driverv1.RecoverTaskResponse, error) {
	if req.GetHandle().GetConfig() == nil {
		return nil, errors.New("recover task: the request has no handle")
	}
	handle := TaskHandleFromProto(req.GetHandle())
	task := &handle.Config
	if task.ID == "" {
		task.ID = req.GetTaskId()
	}
	release, err := s.tasks.claim(ctx, task.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := s.tasks.get(task.ID); err == nil {
		return &driverv1.RecoverTaskResponse{}, nil
	}
	r := &RecoverRequest[C, S]{Task: task, StateVersion: handle.Version, RawState: handle.DriverState, Emit: s.emitter(task)}
	if err := schema.Decode(task.DriverConfig, &r.Config); err != nil {
		return nil, fmt.Errorf("decode driver config: %w", err)
	}
	if err := decodeState(handle.DriverState, &r.State); err != nil {
		return nil, err
	}
	if err := s.impl.Recover(ctx, r); err != nil {
		return nil, statusOf(err)
	}
	s.follow(task.ID, task.Name, time.Now())
	return &driverv1.RecoverTaskResponse{}, nil
}

func (s *server[C, S]) WaitTask(ctx context.Context, req *driverv1.WaitTaskRequest) (*driverv1.WaitTaskResponse, error) {
	t, err := s.tasks.get(req.GetTaskId())
	if err != nil {
		return nil, err
	}
	failpoint.Here("WaitTask.middle")
	select {
	case <-t.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if t.exit != nil {
		return &driverv1.WaitTaskResponse{Result: t.exit.Proto(), Err: valid(t.exit.Err)}, nil
	}
	switch {
	case t.released:
		return nil, errReleased
	case s.closing.Err() != nil:
		return nil, ErrPluginDown
	}
	return nil, ErrTaskNotFound
}

func (s *server[C, S]) StopTask(ctx context.Context, req *driverv1.StopTaskRequest) (*driverv1.StopTaskResponse, error) {
	if req.GetTimeout() == nil {
		return nil, errNilDuration
	}
	t, err := s.tasks.get(req.GetTaskId())
	if err != nil {
		return nil, err
	}
	if t.ended() {
		return &driverv1.StopTaskResponse{}, nil
	}
	timeout := max(req.GetTimeout().AsDuration(), 0)
	err = s.impl.Stop(ctx, &StopRequest{TaskID: t.id, Timeout: timeout, Signal: req.GetSignal()})
	if err != nil && !t.ended() {
		return nil, statusOf(err)
	}
	return &driverv1.StopTaskResponse{}, nil
}

func (s *server[C, S]) DestroyTask(ctx context.Context, req *driverv1.DestroyTaskRequest) (*driverv1.DestroyTaskResponse, error) {
	release, err := s.tasks.claim(ctx, req.GetTaskId())
	if err != nil {
		return nil, err
	}
	defer release()
	t, err := s.tasks.get(req.GetTaskId())
	if err != nil {
		return nil, err
	}
	if !req.GetForce() && !t.ended() {
		return nil, ErrTaskRunning
	}
	err = s.impl.Destroy(ctx, &DestroyRequest{TaskID: t.id, Force: req.GetForce()})
	if err != nil && !errors.Is(err, ErrTaskNotFound) {
		return nil, statusOf(err)
	}
	// Those who wait learn how a killed task ended, if the driver says so in time.
	select {
	case <-t.done:
	case <-time.After(waitGrace):
	}
	t.cancel()
	s.tasks.remove(t.id)
	return &driverv1.DestroyTaskResponse{}, nil
}

func (s *server[C, S]) InspectTask(ctx context.Context, req *driverv1.InspectTaskRequest) (*driverv1.InspectTaskResponse, error) {
	t, err := s.tasks.get(req.GetTaskId())
	if err != nil {
		return nil, err
	}
	status := TaskStatus{ID: t.id, Name: t.name, State: TaskRunning, StartedAt: t.startedAt}
	if t.ended() {
		status.State, status.CompletedAt, status.Exit = TaskExited, t.completedAt, t.exit
	}
	if w, ok := s.impl.(WithInspect); ok {
		more, err := w.Inspect(ctx, t.id)
		if err != nil {
			return nil, statusOf(err)
		}
		if more != nil {
			status.Attributes, status.Network = more.Attributes, more.Network
			if !more.StartedAt.IsZero() {
				status.StartedAt = more.StartedAt
			}
			if status.State == TaskExited && !more.CompletedAt.IsZero() {
				status.CompletedAt = more.CompletedAt
			}
		}
	}
	return status.Proto(), nil
}

func (s *server[C, S]) SignalTask(ctx context.Context, req *driverv1.SignalTaskRequest) (*driverv1.SignalTaskResponse, error) {
	w, ok := s.impl.(WithSignals)
	if !ok {
		return nil, ErrSignalNotSupported
	}
	if _, err := s.tasks.get(req.GetTaskId()); err != nil {
		return nil, err
	}
	if err := w.Signal(ctx, &SignalRequest{TaskID: req.GetTaskId(), Signal: req.GetSignal()}); err != nil {
		return nil, statusOf(err)
	}
	return &driverv1.SignalTaskResponse{}, nil
}

func (s *server[C, S]) CreateNetwork(ctx context.Context, req *driverv1.CreateNetworkRequest) (*driverv1.CreateNetworkResponse, error) {
	w, ok := s.impl.(WithNetwork)
	if !ok {
		return nil, errors.New("CreateNetwork RPC not supported by driver")
	}
	resp, err := w.CreateNetwork(ctx, &CreateNetworkRequest{AllocID: req.GetAllocId(), Hostname: req.GetHostname()})
	if err != nil {
		return nil, statusOf(err)
	}
	return &driverv1.CreateNetworkResponse{IsolationSpec: resp.Network.Proto(), Created: resp.Created}, nil
}

func (s *server[C, S]) DestroyNetwork(ctx context.Context, req *driverv1.DestroyNetworkRequest) (*driverv1.DestroyNetworkResponse, error) {
	w, ok := s.impl.(WithNetwork)
	if !ok {
		return nil, errors.New("DestroyNetwork RPC not supported by driver")
	}
	r := &DestroyNetworkRequest{AllocID: req.GetAllocId(), Network: NetworkIsolationFromProto(req.GetIsolationSpec())}
	if err := w.DestroyNetwork(ctx, r); err != nil {
		return nil, statusOf(err)
	}
	return &driverv1.DestroyNetworkResponse{}, nil
}
