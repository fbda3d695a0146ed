package host_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// listener is a foreign driver that keeps what it is sent, and how long it was given.
type listener struct {
	driverv1.Server
	mu       sync.Mutex
	requests map[string]proto.Message
	patience map[string]time.Duration // 0 = no deadline
}

func (l *listener) hear(ctx context.Context, call string, req proto.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests[call] = req
	if at, ok := ctx.Deadline(); ok {
		l.patience[call] = time.Until(at)
	} else {
		l.patience[call] = 0
	}
}

func (l *listener) StartTask(ctx context.Context, r *driverv1.StartTaskRequest) (*driverv1.StartTaskResponse, error) {
	l.hear(ctx, "start", r)
	return &driverv1.StartTaskResponse{Handle: &driverv1.TaskHandle{Version: 1, Config: r.GetTask(), DriverState: []byte{0xff, 0, 1}}}, nil
}
func (l *listener) RecoverTask(ctx context.Context, r *driverv1.RecoverTaskRequest) (*driverv1.RecoverTaskResponse, error) {
	l.hear(ctx, "recover", r)
	return &driverv1.RecoverTaskResponse{}, nil
}
func (l *listener) WaitTask(ctx context.Context, r *driverv1.WaitTaskRequest) (*driverv1.WaitTaskResponse, error) {
	l.hear(ctx, "wait", r)
	return &driverv1.WaitTaskResponse{Result: &driverv1.ExitResult{ExitCode: -1}, Err: "task process file descriptor cannot be opened"}, nil
}
func (l *listener) StopTask(ctx context.Context, r *driverv1.StopTaskRequest) (*driverv1.StopTaskResponse, error) {
	l.hear(ctx, "stop", r)
	return &driverv1.StopTaskResponse{}, nil
}
func (l *listener) DestroyTask(ctx context.Context, r *driverv1.DestroyTaskRequest) (*driverv1.DestroyTaskResponse, error) {
	l.hear(ctx, "destroy", r)
	return &driverv1.DestroyTaskResponse{}, nil
}
func (l *listener) SignalTask(ctx context.Context, r *driverv1.SignalTaskRequest) (*driverv1.SignalTaskResponse, error) {
	l.hear(ctx, "signal", r)
	return &driverv1.SignalTaskResponse{}, nil
}
func (l *listener) ExecTask(ctx context.Context, r *driverv1.ExecTaskRequest) (*driverv1.ExecTaskResponse, error) {
	l.hear(ctx, "exec", r)
	return &driverv1.ExecTaskResponse{Result: &driverv1.ExitResult{}}, nil
}
func (l *listener) TaskStats(r *driverv1.TaskStatsRequest, s grpc.ServerStreamingServer[driverv1.TaskStatsResponse]) error {
	l.hear(s.Context(), "stats", r)
	<-s.Context().Done() // never sends, as exec2 does for a task that it does not know
	return nil
}

func serveListener(t *testing.T) (*listener, *host.Driver) {
	t.Helper()
	l := &listener{requests: map[string]proto.Message{}, patience: map[string]time.Duration{}}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	driverv1.RegisterServer(s, l)
	done := make(chan struct{})
	go func() { _ = s.Serve(socket); close(done) }()
	t.Cleanup(func() { s.Stop(); <-done })
	c, err := host.Dial(t.Context(), host.Reattach{Network: "tcp", Addr: socket.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return l, c.Driver()
}

// TestRequestsAreComplete: foreign plugins read resources, handles and durations without looking whether they are there
// (plugin protocol, traps 2 and 3, and 12.2).
func TestRequestsAreComplete(t *testing.T) {
	l, d := serveListener(t)
	ctx := t.Context()
	started, err := d.StartTask(ctx, &driver.TaskConfig{ID: "t1", Env: map[string]string{"A": "1"}, AllocDir: "/a", StdoutPath: "/o"})
	if err != nil {
		t.Fatal(err)
	}
	for call, err := range map[string]error{
		"recover": d.RecoverTask(ctx, &started.Handle),
		"stop":    d.StopTask(ctx, "t1", 0, ""),
		"exec":    errorOf(d.ExecTask(ctx, "t1", []string{"x"}, 0)),
	} {
		if err != nil {
			t.Errorf("%s: %v", call, err)
		}
	}
	silent, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if err := d.Stats(silent, "t1", 0, func(driver.TaskStats) error { return nil }); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stats: %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	resources := l.requests["start"].(*driverv1.StartTaskRequest).GetTask().GetResources()
	if resources.GetAllocatedResources().GetCpu() == nil || resources.GetAllocatedResources().GetMemory() == nil || resources.GetLinuxResources() == nil {
		t.Errorf("resources %v", resources)
	}
	handle := l.requests["recover"].(*driverv1.RecoverTaskRequest).GetHandle()
	if c := handle.GetConfig(); c.GetId() != "t1" || c.GetEnv()["A"] != "1" || c.GetAllocDir() != "/a" || c.GetStdoutPath() != "/o" || c.GetResources().GetLinuxResources() == nil {
		t.Errorf("handle's config %v", c)
	}
	if string(handle.GetDriverState()) != "\xff\x00\x01" || handle.GetVersion() != 1 {
		t.Errorf("handle %v: its state must come back byte by byte", handle)
	}
	if l.requests["stop"].(*driverv1.StopTaskRequest).GetTimeout() == nil || l.requests["exec"].(*driverv1.ExecTaskRequest).GetTimeout() == nil ||
		l.requests["stats"].(*driverv1.TaskStatsRequest).GetCollectionInterval() == nil {
		t.Error("a duration is missing")
	}
}

// TestSlowPluginsAreAwaited: podman takes up to 65 s to destroy a task, and stops last as long as they are given (traps 11
// and 13). A wait lasts as long as the task.
func TestSlowPluginsAreAwaited(t *testing.T) {
	l, d := serveListener(t)
	ctx := t.Context()
	if _, err := d.WaitTask(ctx, "t1"); err != nil {
		t.Fatal(err)
	}
	if err := d.DestroyTask(ctx, "t1", true); err != nil {
		t.Fatal(err)
	}
	if err := d.StopTask(ctx, "t1", time.Minute, "SIGTERM"); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.patience["wait"]; got != 0 {
		t.Errorf("a wait is given %s", got)
	}
	if got := l.patience["destroy"]; got < 65*time.Second {
		t.Errorf("a destroy is given %s", got)
	}
	if got := l.patience["stop"]; got < 70*time.Second {
		t.Errorf("a stop with a minute is given %s", got)
	}
}

// TestSilentStreams: a stream of statistics that never brings one ends with the caller (trap 20).
func TestSilentStreams(t *testing.T) {
	_, d := serveListener(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- d.Stats(ctx, "nobody", time.Second, func(driver.TaskStats) error { return nil }) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the call does not end")
	}
}

// TestOddExits: an exit code of -1 with a text, which is how exec2 says that it does not know, arrives as it is (trap 21).
func TestOddExits(t *testing.T) {
	_, d := serveListener(t)
	exit, err := d.WaitTask(t.Context(), "t1")
	if err != nil || exit.ExitCode != -1 || exit.Err != "task process file descriptor cannot be opened" || exit.Successful() {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// TestNamesOfSignalsArePassedOn: drivers have names of their own, such as RECYCLE (trap 27).
func TestNamesOfSignalsArePassedOn(t *testing.T) {
	l, d := serveListener(t)
	if err := d.SignalTask(t.Context(), "t1", "RECYCLE"); err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := l.requests["signal"].(*driverv1.SignalTaskRequest).GetSignal(); got != "RECYCLE" {
		t.Errorf("got %q", got)
	}
}

func errorOf[T any](_ T, err error) error { return err }
