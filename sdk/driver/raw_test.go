package driver_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugintest"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// rawClient talks to a driver without a host's care, as a foreign host might.
func rawClient(t *testing.T, d driver.Driver[fakeConfig, fakeState]) *driverv1.Client {
	t.Helper()
	r := plugintest.Listen(t, driver.New(info(), d))
	conn, err := grpc.NewClient(r.Network+":"+r.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return driverv1.NewClient(conn)
}

// TestMarkOnTheWire pins how a recoverable failure travels (plugin protocol, 12.1).
func TestMarkOnTheWire(t *testing.T) {
	f := newFake()
	f.startErr = driver.Recoverable(errors.New("bad \xff luck"))
	_, err := rawClient(t, f).StartTask(t.Context(), &driverv1.StartTaskRequest{Task: &driverv1.TaskConfig{Id: "t1"}})
	st := status.Convert(err)
	if st.Code() != codes.FailedPrecondition || st.Message() != "bad \uFFFD luck" || len(st.Proto().GetDetails()) != 1 {
		t.Fatalf("got %v", st)
	}
	detail := st.Proto().GetDetails()[0]
	if detail.GetTypeUrl() != "type.googleapis.com/hashicorp.nomad.plugins.shared.structs.RecoverableError" || string(detail.GetValue()) != "\x08\x01" {
		t.Errorf("got detail %v", detail)
	}
}

// TestIncompleteRequests: a host's mistake must not end the plugin.
func TestIncompleteRequests(t *testing.T) {
	f := newFake()
	f.exec = nil
	c := rawClient(t, able{f})
	ctx := t.Context()
	if _, err := c.StartTask(ctx, &driverv1.StartTaskRequest{Task: &driverv1.TaskConfig{Id: "t1"}}); err != nil {
		t.Fatal(err) // a task without resources, config and everything else
	}
	stats, err := c.TaskStats(ctx, &driverv1.TaskStatsRequest{TaskId: "t1"})
	if err == nil {
		_, err = stats.Recv()
	}
	exec, execErr := c.ExecTaskStreaming(ctx)
	if execErr == nil {
		_ = exec.Send(&driverv1.ExecTaskStreamingRequest{})
		_, execErr = exec.Recv()
	}
	tests := map[string]struct {
		err  error
		want string
	}{
		"start without a task":     {errorOf(c.StartTask(ctx, &driverv1.StartTaskRequest{})), "no task id"},
		"recover without a handle": {errorOf(c.RecoverTask(ctx, &driverv1.RecoverTaskRequest{TaskId: "x"})), "no handle"},
		"recover without a config": {errorOf(c.RecoverTask(ctx, &driverv1.RecoverTaskRequest{Handle: &driverv1.TaskHandle{}})), "no handle"},
		"recover with bad state":   {errorOf(c.RecoverTask(ctx, &driverv1.RecoverTaskRequest{Handle: &driverv1.TaskHandle{Config: &driverv1.TaskConfig{Id: "x"}, DriverState: []byte{0xc1}}})), "decode task state"},
		"start with bad config":    {errorOf(c.StartTask(ctx, &driverv1.StartTaskRequest{Task: &driverv1.TaskConfig{Id: "x", MsgpackDriverConfig: []byte("\x81\xa5count\xa1x")}})), "decode driver config: count: want a number"},
		"stop without a timeout":   {errorOf(c.StopTask(ctx, &driverv1.StopTaskRequest{TaskId: "t1"})), "duration: nil Duration"},
		"exec without a timeout":   {errorOf(c.ExecTask(ctx, &driverv1.ExecTaskRequest{TaskId: "t1"})), "duration: nil Duration"},
		"exec without a command":   {errorOf(c.ExecTask(ctx, &driverv1.ExecTaskRequest{TaskId: "t1", Timeout: durationpb.New(time.Second)})), "command is empty"},
		"stats without interval":   {err, "failed to parse collection interval: duration: nil Duration"},
		"exec without setup":       {execErr, "first message should always be setup"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if st := status.Convert(test.err); st.Code() != codes.Unknown || !strings.Contains(st.Message(), test.want) {
				t.Errorf("got %v, want code Unknown and %q", test.err, test.want)
			}
		})
	}
}

// TestAnswersAreComplete: hosts read these parts without a check.
func TestAnswersAreComplete(t *testing.T) {
	f := newFake()
	f.stats = func() (*driver.TaskStats, error) { return &driver.TaskStats{}, nil }
	c := rawClient(t, able{f})
	started, err := c.StartTask(t.Context(), &driverv1.StartTaskRequest{Task: &driverv1.TaskConfig{Id: "t1", Env: map[string]string{"A": "1"}, ParentJobId: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	config := started.GetHandle().GetConfig()
	if config.GetId() != "t1" || config.GetEnv()["A"] != "1" || config.GetParentJobId() != "p" || config.GetResources().GetLinuxResources() == nil || config.GetResources().GetAllocatedResources().GetMemory() == nil {
		t.Errorf("got handle %v", started.GetHandle())
	}
	task := value(c.InspectTask(t.Context(), &driverv1.InspectTaskRequest{TaskId: "t1"})).GetTask()
	if task.GetResult() == nil || !task.GetStartedAt().IsValid() || task.GetCompletedAt().GetSeconds() != -62135596800 {
		t.Errorf("got status %v", task)
	}
	stream, err := c.TaskStats(t.Context(), &driverv1.TaskStatsRequest{TaskId: "t1", CollectionInterval: durationpb.New(0)})
	if err != nil {
		t.Fatal(err)
	}
	sample := value(stream.Recv()).GetStats()
	if sample.GetTimestamp() == nil || sample.GetAggResourceUsage().GetCpu() == nil || sample.GetAggResourceUsage().GetMemory() == nil {
		t.Errorf("got statistics %v", sample)
	}
	capabilities := value(c.Capabilities(t.Context(), &driverv1.CapabilitiesRequest{})).GetCapabilities()
	if capabilities.GetMountConfigs() != driverv1.DriverCapabilities_NO_MOUNTS {
		t.Errorf("got capabilities %v", capabilities)
	}
}

func value[T any](x T, _ error) T { return x }
