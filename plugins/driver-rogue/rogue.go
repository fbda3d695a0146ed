package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/sdk/plugin"
	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
	hclspecv1 "github.com/droverhq/drover/sdk/proto/hclspec/v1"
	structsv1 "github.com/droverhq/drover/sdk/proto/structs/v1"
)

// modes is the list for people.
const modes = `hang-<Method>, hang-all, freeze, exit-at-once, exit-soon, flood-events, flood-fingerprints, flood-stderr, flood-stdout,
flood-stdio, garbage-fingerprint, garbage-text, garbage-start, garbage-wait, garbage-stats, big-fingerprint, big-start, big-schema, deep-schema,
lying-schema`

// rogue is a driver whose tasks are entries in a map, and who breaks the contract in one way.
type rogue struct {
	mode    string
	never   chan struct{} // is never closed
	settled atomic.Bool

	mu    sync.Mutex
	tasks map[string]chan struct{}
}

const soon = 500 * time.Millisecond

// misbehave does what needs nobody's call.
func (r *rogue) misbehave() {
	time.Sleep(soon)
	r.settled.Store(true)
	line := []byte(strings.Repeat("flood ", 100) + "\n")
	switch r.mode {
	case "exit-soon":
		fmt.Fprintln(os.Stderr, "I have seen enough")
		os.Exit(3)
	case "freeze":
		freeze()
	case "flood-stderr":
		for {
			os.Stderr.Write(line)
		}
	case "flood-stdout":
		for {
			os.Stdout.Write(line)
		}
	}
}

func (r *rogue) PluginInfo(context.Context, *basev1.PluginInfoRequest) (*basev1.PluginInfoResponse, error) {
	return &basev1.PluginInfoResponse{Type: basev1.PluginType_DRIVER, PluginApiVersions: []string{plugin.APIVersion}, PluginVersion: "0.1.0", Name: r.name()}, nil
}

func (r *rogue) ConfigSchema(context.Context, *basev1.ConfigSchemaRequest) (*basev1.ConfigSchemaResponse, error) {
	return &basev1.ConfigSchemaResponse{Spec: object(nil)}, nil
}

func (r *rogue) SetConfig(context.Context, *basev1.SetConfigRequest) (*basev1.SetConfigResponse, error) {
	return &basev1.SetConfigResponse{}, nil
}

func (r *rogue) Init(context.Context, *driverv1.InitRequest) (*driverv1.InitResponse, error) {
	return &driverv1.InitResponse{}, nil
}

func (r *rogue) Shutdown(context.Context, *driverv1.ShutdownRequest) (*driverv1.ShutdownResponse, error) {
	return &driverv1.ShutdownResponse{}, nil
}

func object(attributes map[string]*hclspecv1.Spec) *hclspecv1.Spec {
	return &hclspecv1.Spec{Block: &hclspecv1.Spec_Object{Object: &hclspecv1.Object{Attributes: attributes}}}
}

func text(name string, required bool) *hclspecv1.Spec {
	return &hclspecv1.Spec{Block: &hclspecv1.Spec_Attr{Attr: &hclspecv1.Attr{Name: name, Type: "string", Required: required}}}
}

func (r *rogue) TaskConfigSchema(context.Context, *driverv1.TaskConfigSchemaRequest) (*driverv1.TaskConfigSchemaResponse, error) {
	spec := object(map[string]*hclspecv1.Spec{"command": text("command", false)})
	switch r.mode {
	case "big-schema":
		all := map[string]*hclspecv1.Spec{}
		for i := range 50_000 {
			name := fmt.Sprint("a", i)
			all[name] = text(name, false)
		}
		spec = object(all)
	case "deep-schema":
		for range 1000 {
			spec = &hclspecv1.Spec{Block: &hclspecv1.Spec_BlockValue{BlockValue: &hclspecv1.Block{Name: "b", Nested: spec}}}
		}
	}
	return &driverv1.TaskConfigSchemaResponse{Spec: spec}, nil
}

func (r *rogue) Capabilities(context.Context, *driverv1.CapabilitiesRequest) (*driverv1.CapabilitiesResponse, error) {
	return &driverv1.CapabilitiesResponse{Capabilities: &driverv1.DriverCapabilities{SendSignals: true, Exec: true, FsIsolation: driverv1.DriverCapabilities_NONE}}, nil
}

func (r *rogue) Fingerprint(_ *driverv1.FingerprintRequest, s grpc.ServerStreamingServer[driverv1.FingerprintResponse]) error {
	good := &driverv1.FingerprintResponse{Health: driverv1.FingerprintResponse_HEALTHY, HealthDescription: "Healthy"}
	switch r.mode {
	case "flood-fingerprints":
		for i := 0; ; i++ {
			f := &driverv1.FingerprintResponse{Health: driverv1.FingerprintResponse_HealthState(1 + i%2), HealthDescription: fmt.Sprint("change ", i),
				Attributes: map[string]*structsv1.Attribute{"driver.rogue.n": {Value: &structsv1.Attribute_IntVal{IntVal: int64(i)}}}}
			if err := s.Send(f); err != nil {
				return err
			}
		}
	case "garbage-fingerprint":
		f := &driverv1.FingerprintResponse{Health: 77, Err: "", Attributes: map[string]*structsv1.Attribute{"": {}, "nil": nil,
			"nan": {Value: &structsv1.Attribute_FloatVal{FloatVal: math.NaN()}}}}
		for i := range 50_000 { // less than 1 MiB of it
			f.Attributes[fmt.Sprint(i)] = nil
		}
		f.Attributes["long"] = &structsv1.Attribute{Value: &structsv1.Attribute_StringVal{StringVal: strings.Repeat("x", 50<<10)}}
		_ = s.Send(f)
		_ = s.Send(good)
	case "garbage-text":
		return s.Send(&driverv1.FingerprintResponse{Health: driverv1.FingerprintResponse_HEALTHY, HealthDescription: broken})
	case "big-fingerprint":
		return s.Send(&driverv1.FingerprintResponse{Health: driverv1.FingerprintResponse_HEALTHY, HealthDescription: strings.Repeat("x", huge)})
	default:
		if err := s.Send(good); err != nil {
			return err
		}
	}
	<-s.Context().Done()
	return nil
}

// huge is what no honest message comes near.
const huge = 100 << 20

func (r *rogue) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tasks[id] == nil {
		r.tasks[id] = make(chan struct{})
	}
}

func (r *rogue) drop(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.tasks[id]; c != nil {
		close(c)
		delete(r.tasks, id)
	}
}

func (r *rogue) RecoverTask(_ context.Context, req *driverv1.RecoverTaskRequest) (*driverv1.RecoverTaskResponse, error) {
	r.add(req.GetTaskId())
	return &driverv1.RecoverTaskResponse{}, nil
}

func (r *rogue) StartTask(_ context.Context, req *driverv1.StartTaskRequest) (*driverv1.StartTaskResponse, error) {
	handle := &driverv1.TaskHandle{Version: 1, Config: req.GetTask(), State: driverv1.TaskState_RUNNING}
	switch r.mode {
	case "garbage-start":
		handle.Config = &driverv1.TaskConfig{Id: "somebody/elses/task"}
	case "big-start":
		handle.DriverState = make([]byte, huge)
	case "lying-schema":
		return nil, errors.New("I never heard of command")
	}
	r.add(req.GetTask().GetId())
	return &driverv1.StartTaskResponse{Handle: handle}, nil
}

func (r *rogue) WaitTask(ctx context.Context, req *driverv1.WaitTaskRequest) (*driverv1.WaitTaskResponse, error) {
	if r.mode == "garbage-wait" {
		return &driverv1.WaitTaskResponse{}, nil
	}
	r.mu.Lock()
	c := r.tasks[req.GetTaskId()]
	r.mu.Unlock()
	if c == nil {
		return nil, errors.New("task not found for given id")
	}
	select {
	case <-c:
		return &driverv1.WaitTaskResponse{Result: &driverv1.ExitResult{}}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *rogue) StopTask(_ context.Context, req *driverv1.StopTaskRequest) (*driverv1.StopTaskResponse, error) {
	r.drop(req.GetTaskId())
	return &driverv1.StopTaskResponse{}, nil
}

func (r *rogue) DestroyTask(_ context.Context, req *driverv1.DestroyTaskRequest) (*driverv1.DestroyTaskResponse, error) {
	r.drop(req.GetTaskId())
	return &driverv1.DestroyTaskResponse{}, nil
}

func (r *rogue) InspectTask(context.Context, *driverv1.InspectTaskRequest) (*driverv1.InspectTaskResponse, error) {
	return &driverv1.InspectTaskResponse{}, nil
}

func (r *rogue) SignalTask(context.Context, *driverv1.SignalTaskRequest) (*driverv1.SignalTaskResponse, error) {
	return &driverv1.SignalTaskResponse{}, nil
}

func (r *rogue) TaskStats(_ *driverv1.TaskStatsRequest, s grpc.ServerStreamingServer[driverv1.TaskStatsResponse]) error {
	for {
		stats := &driverv1.TaskStats{}
		if r.mode == "garbage-stats" {
			stats.AggResourceUsage = &driverv1.TaskResourceUsage{Cpu: &driverv1.CPUUsage{Percent: math.NaN(), TotalTicks: math.Inf(1)}}
		}
		if err := s.Send(&driverv1.TaskStatsResponse{Stats: stats}); err != nil {
			return err
		}
		if r.mode != "garbage-stats" {
			<-s.Context().Done()
			return nil
		}
	}
}

func (r *rogue) TaskEvents(_ *driverv1.TaskEventsRequest, s grpc.ServerStreamingServer[driverv1.DriverTaskEvent]) error {
	for i := 0; r.mode == "flood-events"; i++ {
		r.mu.Lock()
		id := "nobody"
		for id = range r.tasks {
		}
		r.mu.Unlock()
		if err := s.Send(&driverv1.DriverTaskEvent{TaskId: id, Message: fmt.Sprint("flood ", i), Annotations: map[string]string{"k": strings.Repeat("v", i%5000)}}); err != nil {
			return err
		}
	}
	<-s.Context().Done()
	return nil
}

func (r *rogue) ExecTask(context.Context, *driverv1.ExecTaskRequest) (*driverv1.ExecTaskResponse, error) {
	return &driverv1.ExecTaskResponse{}, nil
}

func (r *rogue) ExecTaskStreaming(grpc.BidiStreamingServer[driverv1.ExecTaskStreamingRequest, driverv1.ExecTaskStreamingResponse]) error {
	return nil
}

func (r *rogue) CreateNetwork(context.Context, *driverv1.CreateNetworkRequest) (*driverv1.CreateNetworkResponse, error) {
	return nil, errors.New("no network")
}

func (r *rogue) DestroyNetwork(context.Context, *driverv1.DestroyNetworkRequest) (*driverv1.DestroyNetworkResponse, error) {
	return nil, errors.New("no network")
}

// broken stands for bytes that are no text; the codec puts them in, because the library refuses to send them.
const broken = "@@not text@@"

// codec is protobuf's with broken text let through.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) ([]byte, error) {
	data, err := proto.Marshal(v.(proto.Message))
	return bytes.ReplaceAll(data, []byte("@@"), []byte("\xff\xfe")), err
}

func (codec) Unmarshal(data []byte, v any) error { return proto.Unmarshal(data, v.(proto.Message)) }
