package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// faultVariable makes the test binary a plugin: "none" is a good driver, "device" a good device plugin, "network" a good network plugin, and everything
// else a driver with that fault.
const faultVariable = "CONFORMANCE_FAULT"

func TestMain(m *testing.M) {
	switch fault := os.Getenv(faultVariable); fault {
	case "":
		os.Exit(m.Run())
	case "network":
		plugin.Serve(network.New(network.Info{Name: "paper", Version: "0.1.0"}, &paper{}))
	case "device":
		plugin.Serve(device.New(device.Info{Name: "clock", Version: "0.1.0"}, clock{}))
	default:
		plugin.Serve(newFaulty(fault))
	}
}

// timer is a driver whose tasks exist only as times: they survive the plugin because their state tells all.
type timer struct{ tasks sync.Map }

type timerConfig struct {
	RunFor   time.Duration `config:"run_for"`
	ExitCode int           `config:"exit_code"`
	Stdout   string        `config:"stdout"`
}

type timerState struct{ Started time.Time }

type timerTask struct {
	config  timerConfig
	ends    time.Time
	stopped chan struct{}
	once    sync.Once
}

func (d *timer) add(id string, c timerConfig, s timerState) {
	d.tasks.Store(id, &timerTask{config: c, ends: s.Started.Add(c.RunFor), stopped: make(chan struct{})})
}

func (d *timer) task(id string) *timerTask {
	t, _ := d.tasks.Load(id)
	return t.(*timerTask)
}

func (d *timer) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	return &driver.Fingerprint{Health: driver.Healthy}, nil
}

func (d *timer) Start(_ context.Context, r *driver.StartRequest[timerConfig]) (*driver.StartResponse[timerState], error) {
	if err := os.WriteFile(r.Task.StdoutPath, []byte(r.Config.Stdout), 0); err != nil {
		return nil, err
	}
	s := timerState{Started: time.Now()}
	d.add(r.Task.ID, r.Config, s)
	return &driver.StartResponse[timerState]{State: s}, nil
}

func (d *timer) Recover(_ context.Context, r *driver.RecoverRequest[timerConfig, timerState]) error {
	d.add(r.Task.ID, r.Config, r.State)
	return nil
}

func (d *timer) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	t := d.task(id)
	select {
	case <-time.After(time.Until(t.ends)):
		return &driver.ExitResult{ExitCode: t.config.ExitCode}, nil
	case <-t.stopped:
		return &driver.ExitResult{ExitCode: 143, Signal: 15}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (d *timer) Stop(_ context.Context, r *driver.StopRequest) error {
	t := d.task(r.TaskID)
	t.once.Do(func() { close(t.stopped) })
	return nil
}

func (d *timer) Destroy(ctx context.Context, r *driver.DestroyRequest) error {
	defer d.tasks.Delete(r.TaskID)
	return d.Stop(ctx, &driver.StopRequest{TaskID: r.TaskID})
}

func (d *timer) Stats(context.Context, string) (*driver.TaskStats, error) {
	return &driver.TaskStats{}, nil
}

func (d *timer) Signal(_ context.Context, r *driver.SignalRequest) error {
	if r.Signal == "SIGUSR1" {
		return nil
	}
	return fmt.Errorf("signal %s is unknown", r.Signal)
}

func (d *timer) Exec(_ context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
	if r.Command[0] == "cat" {
		_, err := io.Copy(r.Stdout, r.Stdin)
		return &driver.ExitResult{}, err
	}
	_, err := fmt.Fprintln(r.Stdout, strings.Join(r.Command, " "))
	return &driver.ExitResult{ExitCode: 3}, err
}

// faulty is a good driver's server with one fault.
type faulty struct {
	plugin.Plugin
	fault string
}

func newFaulty(fault string) plugin.Plugin {
	version := "0.1.0"
	if fault == "version" {
		version = "latest"
	}
	return &faulty{driver.New(driver.Info{Name: "timer", Version: version}, &timer{}), fault}
}

// Register puts the fault between the host and the SDK.
func (f *faulty) Register(r grpc.ServiceRegistrar) {
	if f.fault == "dies of SIGINT" {
		signal.Reset(os.Interrupt)
	}
	c := &capture{ServiceRegistrar: r}
	f.Plugin.Register(c)
	driverv1.RegisterServer(r, &faultyServer{Server: c.server, fault: f.fault})
}

// capture keeps the driver's server to itself.
type capture struct {
	grpc.ServiceRegistrar
	server driverv1.Server
}

func (c *capture) RegisterService(desc *grpc.ServiceDesc, impl any) {
	if s, ok := impl.(driverv1.Server); ok {
		c.server = s
		return
	}
	c.ServiceRegistrar.RegisterService(desc, impl)
}

type faultyServer struct {
	driverv1.Server
	fault string
}

func (s *faultyServer) Fingerprint(req *driverv1.FingerprintRequest, stream grpc.ServerStreamingServer[driverv1.FingerprintResponse]) error {
	switch s.fault {
	case "late fingerprint":
		<-stream.Context().Done()
		return stream.Context().Err()
	case "one fingerprint":
		return stream.Send(&driverv1.FingerprintResponse{Health: driverv1.FingerprintResponse_HEALTHY})
	}
	return s.Server.Fingerprint(req, stream)
}

func (s *faultyServer) StartTask(ctx context.Context, req *driverv1.StartTaskRequest) (*driverv1.StartTaskResponse, error) {
	if s.fault == "dies of bad config" && len(req.GetTask().GetMsgpackDriverConfig()) == 3 {
		os.Exit(2)
	}
	resp, err := s.Server.StartTask(ctx, req)
	switch s.fault {
	case "no state version":
		resp.GetHandle().Version = 0
	case "starts twice":
		if err != nil && strings.Contains(err.Error(), "already started") {
			return &driverv1.StartTaskResponse{Handle: &driverv1.TaskHandle{Version: 1, Config: req.GetTask()}}, nil
		}
	case "start waits":
		if err == nil {
			_, err = s.WaitTask(ctx, &driverv1.WaitTaskRequest{TaskId: req.GetTask().GetId()})
		}
	}
	return resp, err
}

func (s *faultyServer) WaitTask(ctx context.Context, req *driverv1.WaitTaskRequest) (*driverv1.WaitTaskResponse, error) {
	resp, err := s.Server.WaitTask(ctx, req)
	switch {
	case s.fault == "unknown tasks succeed" && err != nil && ctx.Err() == nil:
		return &driverv1.WaitTaskResponse{Result: &driverv1.ExitResult{}}, nil
	case s.fault == "wait once" && err == nil:
		_, _ = s.Server.DestroyTask(ctx, &driverv1.DestroyTaskRequest{TaskId: req.GetTaskId(), Force: true})
	case s.fault == "wrong exit code" && err == nil:
		resp.Result.ExitCode++
	}
	return resp, err
}

func (s *faultyServer) StopTask(ctx context.Context, req *driverv1.StopTaskRequest) (*driverv1.StopTaskResponse, error) {
	resp, err := s.Server.StopTask(ctx, req)
	switch s.fault {
	case "stop forgets":
		_, _ = s.Server.DestroyTask(ctx, &driverv1.DestroyTaskRequest{TaskId: req.GetTaskId(), Force: true})
	case "dies of a stop without timeout":
		if req.GetTimeout() == nil {
			os.Exit(2)
		}
	}
	return resp, err
}

func (s *faultyServer) DestroyTask(ctx context.Context, req *driverv1.DestroyTaskRequest) (*driverv1.DestroyTaskResponse, error) {
	switch s.fault {
	case "destroys running tasks":
		req.Force = true
	case "never forgets":
		_, err := s.Server.StopTask(ctx, &driverv1.StopTaskRequest{TaskId: req.GetTaskId(), Timeout: nil})
		if err != nil {
			err = nil
		}
		return &driverv1.DestroyTaskResponse{}, err
	}
	return s.Server.DestroyTask(ctx, req)
}

func (s *faultyServer) InspectTask(ctx context.Context, req *driverv1.InspectTaskRequest) (*driverv1.InspectTaskResponse, error) {
	resp, err := s.Server.InspectTask(ctx, req)
	if s.fault == "no result" && err == nil {
		resp.Task.Result = nil
	}
	return resp, err
}

func (s *faultyServer) RecoverTask(ctx context.Context, req *driverv1.RecoverTaskRequest) (*driverv1.RecoverTaskResponse, error) {
	if s.fault == "cannot recover" {
		return nil, errors.New("the state is in the process, and the process is gone")
	}
	return s.Server.RecoverTask(ctx, req)
}

func (s *faultyServer) TaskStats(req *driverv1.TaskStatsRequest, stream grpc.ServerStreamingServer[driverv1.TaskStatsResponse]) error {
	if s.fault == "no timestamp" {
		return stream.Send(&driverv1.TaskStatsResponse{Stats: &driverv1.TaskStats{AggResourceUsage: &driverv1.TaskResourceUsage{}}})
	}
	return s.Server.TaskStats(req, stream)
}

func (s *faultyServer) SignalTask(ctx context.Context, req *driverv1.SignalTaskRequest) (*driverv1.SignalTaskResponse, error) {
	if s.fault == "signals nobody" {
		return &driverv1.SignalTaskResponse{}, nil
	}
	return s.Server.SignalTask(ctx, req)
}

// clock is a device plugin.
type clock struct{}

func (clock) Fingerprint(context.Context) ([]device.Group, error) {
	return []device.Group{{Vendor: "acme", Type: "clock", Name: "c1", Devices: []device.Instance{{ID: "0", Healthy: true}}}}, nil
}

func (clock) Reserve(_ context.Context, r *device.ReserveRequest) (*device.Reservation, error) {
	if len(r.DeviceIDs) != 1 || r.DeviceIDs[0] != "0" {
		return nil, fmt.Errorf("there is no device %v", r.DeviceIDs)
	}
	return &device.Reservation{Env: map[string]string{"CLOCK": "0"}, Devices: []device.Node{{TaskPath: "/dev/rtc", HostPath: "/dev/null", Permissions: "r"}}}, nil
}

func (clock) Stats(context.Context) ([]device.GroupStats, error) {
	one := 1.0
	return []device.GroupStats{{Vendor: "acme", Type: "clock", Name: "c1", Instances: map[string]device.Stats{"0": {Summary: device.Stat{Float: &one}}}}}, nil
}
