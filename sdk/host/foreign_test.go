package host_test

import (
	"context"
	"errors"
	"math"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// foreign is a plugin that answers as foreign plugins do, which is not always as the contract says.
type foreign struct {
	driverv1.Server
	start *driverv1.StartTaskResponse
	wait  *driverv1.WaitTaskResponse
	err   error
}

func (f foreign) StartTask(context.Context, *driverv1.StartTaskRequest) (*driverv1.StartTaskResponse, error) {
	return f.start, f.err
}
func (f foreign) WaitTask(context.Context, *driverv1.WaitTaskRequest) (*driverv1.WaitTaskResponse, error) {
	return f.wait, f.err
}
func (f foreign) StopTask(context.Context, *driverv1.StopTaskRequest) (*driverv1.StopTaskResponse, error) {
	return nil, f.err
}
func (f foreign) InspectTask(context.Context, *driverv1.InspectTaskRequest) (*driverv1.InspectTaskResponse, error) {
	return &driverv1.InspectTaskResponse{}, nil
}
func (f foreign) Capabilities(context.Context, *driverv1.CapabilitiesRequest) (*driverv1.CapabilitiesResponse, error) {
	return &driverv1.CapabilitiesResponse{}, nil
}
func (f foreign) TaskConfigSchema(context.Context, *driverv1.TaskConfigSchemaRequest) (*driverv1.TaskConfigSchemaResponse, error) {
	return &driverv1.TaskConfigSchemaResponse{}, nil
}
func (f foreign) TaskStats(_ *driverv1.TaskStatsRequest, s grpc.ServerStreamingServer[driverv1.TaskStatsResponse]) error {
	_ = s.Send(&driverv1.TaskStatsResponse{})
	_ = s.Send(&driverv1.TaskStatsResponse{Stats: &driverv1.TaskStats{AggResourceUsage: &driverv1.TaskResourceUsage{
		Cpu: &driverv1.CPUUsage{TotalTicks: math.NaN(), Percent: math.Inf(1)},
	}}})
	return f.err
}
func (f foreign) TaskEvents(_ *driverv1.TaskEventsRequest, s grpc.ServerStreamingServer[driverv1.DriverTaskEvent]) error {
	return s.Send(&driverv1.DriverTaskEvent{Message: "m"})
}
func (f foreign) Fingerprint(_ *driverv1.FingerprintRequest, s grpc.ServerStreamingServer[driverv1.FingerprintResponse]) error {
	_ = s.Send(&driverv1.FingerprintResponse{})
	return errors.New("channel closed")
}

func serveForeign(t *testing.T, f driverv1.Server, options ...host.DialOption) *host.Driver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	driverv1.RegisterServer(s, f)
	done := make(chan struct{})
	go func() { _ = s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Stop(); <-done })
	c, err := host.Dial(t.Context(), host.Reattach{Network: "tcp", Addr: l.Addr().String()}, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.Driver()
}

// TestStartFailuresInTheAnswer: some plugins report a failed start as a result (plugin protocol, 12.4).
func TestStartFailuresInTheAnswer(t *testing.T) {
	exited := &driverv1.TaskHandle{State: driverv1.TaskState_EXITED}
	tests := map[string]struct {
		answer      *driverv1.StartTaskResponse
		want        string
		recoverable bool
	}{
		"fatal":            {&driverv1.StartTaskResponse{Result: driverv1.StartTaskResponse_FATAL, DriverErrorMsg: "no site", Handle: exited}, "start task t1: no site", false},
		"retry":            {&driverv1.StartTaskResponse{Result: driverv1.StartTaskResponse_RETRY, DriverErrorMsg: "busy"}, "start task t1: busy", true},
		"without a reason": {&driverv1.StartTaskResponse{Result: driverv1.StartTaskResponse_FATAL}, "without a reason", false},
		"without a handle": {&driverv1.StartTaskResponse{}, "no handle", false},
		"unknown as fatal": {&driverv1.StartTaskResponse{Result: 9}, "9", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := serveForeign(t, foreign{start: test.answer}).StartTask(t.Context(), &driver.TaskConfig{ID: "t1"})
			if err == nil || !strings.Contains(err.Error(), test.want) || driver.IsRecoverable(err) != test.recoverable {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestHandleWithoutConfig: the config that was sent is kept, or the task could not be recovered.
func TestHandleWithoutConfig(t *testing.T) {
	d := serveForeign(t, foreign{start: &driverv1.StartTaskResponse{Handle: &driverv1.TaskHandle{DriverState: []byte("s")}}})
	got, err := d.StartTask(t.Context(), &driver.TaskConfig{ID: "t1", User: "u"})
	if err != nil || got.Handle.Config.ID != "t1" || got.Handle.Config.User != "u" || string(got.Handle.DriverState) != "s" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestErrorClasses: how errors of all plugins are told apart.
func TestErrorClasses(t *testing.T) {
	marked := func(code codes.Code, url, value string) error {
		return status.FromProto(&spb.Status{Code: int32(code), Message: "m", Details: []*anypb.Any{{TypeUrl: url, Value: []byte(value)}}}).Err()
	}
	const url = "type.googleapis.com/hashicorp.nomad.plugins.shared.structs.RecoverableError"
	tests := map[string]struct {
		err         error
		class       error
		recoverable bool
	}{
		"plain":                    {errors.New("m"), nil, false},
		"task not found":           {errors.New("stop: task not found for given id"), host.ErrTaskNotFound, false},
		"task not found, code 5":   {status.Error(codes.NotFound, "task not found for given id"), host.ErrTaskNotFound, false},
		"exec2's unknown task":     {errors.New("task does not exist: t1"), host.ErrTaskNotFound, false},
		"unimplemented":            {status.Error(codes.Unimplemented, "m"), host.ErrUnimplemented, false},
		"unavailable":              {status.Error(codes.Unavailable, "m"), host.ErrPluginDown, false},
		"canceled by the plugin":   {status.Error(codes.Canceled, "m"), host.ErrPluginDown, false},
		"marked recoverable":       {marked(codes.FailedPrecondition, url, "\x08\x01"), nil, true},
		"marked, another code":     {marked(codes.Unknown, url, "\x08\x01"), nil, true},
		"marked final":             {marked(codes.FailedPrecondition, url, ""), nil, false},
		"another detail":           {marked(codes.FailedPrecondition, "type.googleapis.com/x", "\x08\x01"), nil, false},
		"a detail that is garbage": {marked(codes.FailedPrecondition, url, "\xff"), nil, false},
	}
	classes := []error{host.ErrTaskNotFound, host.ErrUnimplemented, host.ErrPluginDown}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := serveForeign(t, foreign{err: test.err}).WaitTask(t.Context(), "t1")
			for _, class := range classes {
				if got := errors.Is(err, class); got != (class == test.class) {
					t.Errorf("%v is a %v: %t", err, class, got)
				}
			}
			if driver.IsRecoverable(err) != test.recoverable {
				t.Errorf("%v: recoverable %t", err, !test.recoverable)
			}
			if !strings.HasPrefix(err.Error(), "wait for task t1: ") {
				t.Errorf("%v does not say what failed", err)
			}
		})
	}
}

// TestCallerGivesUp: the caller's own reasons are not the plugin's death.
func TestCallerGivesUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	driverv1.RegisterServer(s, hanging{})
	done := make(chan struct{})
	go func() { _ = s.Serve(l); close(done) }()
	t.Cleanup(func() { s.Stop(); <-done })
	c, err := host.Dial(t.Context(), host.Reattach{Network: "tcp", Addr: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	late, cancelLate := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancelLate()
	if _, err := c.Driver().WaitTask(late, "t1"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, host.ErrPluginDown) {
		t.Errorf("got %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Driver().WaitTask(gone, "t1"); !errors.Is(err, context.Canceled) || errors.Is(err, host.ErrPluginDown) {
		t.Errorf("got %v", err)
	}
}

type hanging struct{ driverv1.Server }

func (hanging) WaitTask(ctx context.Context, _ *driverv1.WaitTaskRequest) (*driverv1.WaitTaskResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestAnswersWithHoles: what plugins leave out is filled in, what JSON cannot carry is taken out.
func TestAnswersWithHoles(t *testing.T) {
	d := serveForeign(t, foreign{wait: &driverv1.WaitTaskResponse{}})
	ctx := t.Context()
	if exit, err := d.WaitTask(ctx, "t1"); err != nil || exit.Err == "" {
		t.Errorf("wait without a result: got %+v, %v", exit, err)
	}
	if s, err := d.InspectTask(ctx, "t1"); err != nil || !s.StartedAt.IsZero() || s.Exit != nil {
		t.Errorf("inspect: got %+v, %v", s, err)
	}
	if c, err := d.Capabilities(ctx); err != nil || !reflect.DeepEqual(c, driver.Capabilities{}) {
		t.Errorf("capabilities: got %+v, %v", c, err)
	}
	if spec, err := d.TaskConfigSchema(ctx); err != nil || spec != nil {
		t.Errorf("schema: got %+v, %v", spec, err)
	}
	samples := 0
	err := d.Stats(ctx, "t1", time.Second, func(s driver.TaskStats) error {
		samples++
		if s.Timestamp.IsZero() || s.Usage.CPU.TotalTicks != 0 || s.Usage.CPU.Percent != 0 {
			t.Errorf("stats: got %+v", s)
		}
		return nil
	})
	if err != nil || samples != 2 {
		t.Errorf("stats: got %d samples, %v", samples, err)
	}
	err = d.TaskEvents(ctx, func(e driver.TaskEvent) error {
		if e.Timestamp.IsZero() {
			t.Error("an event without a time")
		}
		return nil
	})
	if err != nil {
		t.Errorf("events: %v", err)
	}
	err = d.Fingerprint(ctx, func(f driver.Fingerprint) error {
		if f.Health != driver.Undetected {
			t.Errorf("fingerprint: got %+v", f)
		}
		return nil
	})
	if !errors.Is(err, driver.ErrStreamClosed) {
		t.Errorf("fingerprint: got %v", err)
	}
}
