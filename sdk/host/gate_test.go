package host_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

// heavy answers with what is too large.
type heavy struct {
	driverv1.Server
}

func (heavy) StartTask(context.Context, *driverv1.StartTaskRequest) (*driverv1.StartTaskResponse, error) {
	return &driverv1.StartTaskResponse{Handle: &driverv1.TaskHandle{DriverState: make([]byte, 100<<20)}}, nil
}

func (heavy) TaskEvents(_ *driverv1.TaskEventsRequest, s grpc.ServerStreamingServer[driverv1.DriverTaskEvent]) error {
	_ = s.Send(&driverv1.DriverTaskEvent{Message: "small"})
	return s.Send(&driverv1.DriverTaskEvent{Message: strings.Repeat("x", 2<<20)})
}

func TestTooLarge(t *testing.T) {
	d := serveForeign(t, heavy{})
	_, err := d.StartTask(t.Context(), &driver.TaskConfig{ID: "t"})
	if !errors.Is(err, host.ErrTooLarge) || !strings.Contains(err.Error(), "the plugin's answer has 104857") || !strings.Contains(err.Error(), "at most 8388608 are taken") {
		t.Errorf("answer: %v", err)
	}
	heard := 0
	err = d.TaskEvents(t.Context(), func(driver.TaskEvent) error { heard++; return nil })
	if !errors.Is(err, host.ErrTooLarge) || heard != 1 {
		t.Errorf("after %d events: %v", heard, err)
	}
	_, err = d.StartTask(t.Context(), &driver.TaskConfig{ID: "t", DriverConfig: make([]byte, 20<<20)})
	if !errors.Is(err, host.ErrTooLarge) || !strings.Contains(err.Error(), "are sent to a plugin") {
		t.Errorf("request: %v", err)
	}
}

// A gate hears of each call once, with its outcome, and what it refuses is not made.
func TestGate(t *testing.T) {
	refused := errors.New("not now")
	var mu sync.Mutex
	var log []string
	over := make(chan struct{}, 10)
	gate := func(_ context.Context, call host.Call) (func(error), error) {
		switch call.Method {
		case "StopTask":
			return nil, refused
		case "StreamStdio":
			return func(error) {}, nil
		}
		return func(err error) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, call.Method+": "+outcome(err))
			over <- struct{}{}
		}, nil
	}
	d := serveForeign(t, foreign{err: driver.ErrTaskNotFound}, host.WithGate(gate))
	if err := d.StopTask(t.Context(), "t", 0, ""); !errors.Is(err, refused) {
		t.Errorf("refused call: %v", err)
	}
	_, _ = d.InspectTask(t.Context(), "t")
	<-over
	_, _ = d.WaitTask(t.Context(), "t")
	<-over
	_ = d.TaskEvents(t.Context(), func(driver.TaskEvent) error { return nil }) // it ends the stream
	<-over
	enough := errors.New("enough")
	_ = d.TaskEvents(t.Context(), func(driver.TaskEvent) error { return enough }) // we do
	<-over
	if got, want := strings.Join(log, ", "), "InspectTask: ok, WaitTask: unknown task, TaskEvents: ok, TaskEvents: given up"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, driver.ErrTaskNotFound):
		return "unknown task"
	case errors.Is(err, context.Canceled):
		return "given up"
	}
	return err.Error()
}
