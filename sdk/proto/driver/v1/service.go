package driverv1

import (
	"context"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/proto/wire"
)

// ServiceName is the name of the service on the wire.
const ServiceName = "hashicorp.nomad.plugins.drivers.proto.Driver"

// Server is what the service is served from.
type Server interface {
	Init(context.Context, *InitRequest) (*InitResponse, error)
	TaskConfigSchema(context.Context, *TaskConfigSchemaRequest) (*TaskConfigSchemaResponse, error)
	Capabilities(context.Context, *CapabilitiesRequest) (*CapabilitiesResponse, error)
	Fingerprint(*FingerprintRequest, grpc.ServerStreamingServer[FingerprintResponse]) error
	RecoverTask(context.Context, *RecoverTaskRequest) (*RecoverTaskResponse, error)
	StartTask(context.Context, *StartTaskRequest) (*StartTaskResponse, error)
	WaitTask(context.Context, *WaitTaskRequest) (*WaitTaskResponse, error)
	StopTask(context.Context, *StopTaskRequest) (*StopTaskResponse, error)
	DestroyTask(context.Context, *DestroyTaskRequest) (*DestroyTaskResponse, error)
	InspectTask(context.Context, *InspectTaskRequest) (*InspectTaskResponse, error)
	TaskStats(*TaskStatsRequest, grpc.ServerStreamingServer[TaskStatsResponse]) error
	TaskEvents(*TaskEventsRequest, grpc.ServerStreamingServer[DriverTaskEvent]) error
	Shutdown(context.Context, *ShutdownRequest) (*ShutdownResponse, error)
	SignalTask(context.Context, *SignalTaskRequest) (*SignalTaskResponse, error)
	ExecTask(context.Context, *ExecTaskRequest) (*ExecTaskResponse, error)
	ExecTaskStreaming(grpc.BidiStreamingServer[ExecTaskStreamingRequest, ExecTaskStreamingResponse]) error
	CreateNetwork(context.Context, *CreateNetworkRequest) (*CreateNetworkResponse, error)
	DestroyNetwork(context.Context, *DestroyNetworkRequest) (*DestroyNetworkResponse, error)
}

// ServiceDesc describes the service under its name on the wire.
func ServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*Server)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(ServiceName, "Init", Server.Init),
			wire.Unary(ServiceName, "TaskConfigSchema", Server.TaskConfigSchema),
			wire.Unary(ServiceName, "Capabilities", Server.Capabilities),
			wire.Unary(ServiceName, "RecoverTask", Server.RecoverTask),
			wire.Unary(ServiceName, "StartTask", Server.StartTask),
			wire.Unary(ServiceName, "WaitTask", Server.WaitTask),
			wire.Unary(ServiceName, "StopTask", Server.StopTask),
			wire.Unary(ServiceName, "DestroyTask", Server.DestroyTask),
			wire.Unary(ServiceName, "InspectTask", Server.InspectTask),
			wire.Unary(ServiceName, "Shutdown", Server.Shutdown),
			wire.Unary(ServiceName, "SignalTask", Server.SignalTask),
			wire.Unary(ServiceName, "ExecTask", Server.ExecTask),
			wire.Unary(ServiceName, "CreateNetwork", Server.CreateNetwork),
			wire.Unary(ServiceName, "DestroyNetwork", Server.DestroyNetwork),
		},
		Streams: []grpc.StreamDesc{
			wire.ServerStream("Fingerprint", Server.Fingerprint),
			wire.ServerStream("TaskStats", Server.TaskStats),
			wire.ServerStream("TaskEvents", Server.TaskEvents),
			wire.BidiStream("ExecTaskStreaming", Server.ExecTaskStreaming),
		},
	}
}

// RegisterServer adds the service to a gRPC server.
func RegisterServer(s grpc.ServiceRegistrar, srv Server) { s.RegisterService(ServiceDesc(), srv) }

// Client calls the service.
type Client struct{ cc grpc.ClientConnInterface }

// NewClient returns a client on a connection.
func NewClient(cc grpc.ClientConnInterface) *Client { return &Client{cc} }

// Init calls the method of that name.
func (c *Client) Init(ctx context.Context, req *InitRequest) (*InitResponse, error) {
	return wire.Call[InitResponse](ctx, c.cc, wire.Method(ServiceName, "Init"), req)
}

// TaskConfigSchema calls the method of that name.
func (c *Client) TaskConfigSchema(ctx context.Context, req *TaskConfigSchemaRequest) (*TaskConfigSchemaResponse, error) {
	return wire.Call[TaskConfigSchemaResponse](ctx, c.cc, wire.Method(ServiceName, "TaskConfigSchema"), req)
}

// Capabilities calls the method of that name.
func (c *Client) Capabilities(ctx context.Context, req *CapabilitiesRequest) (*CapabilitiesResponse, error) {
	return wire.Call[CapabilitiesResponse](ctx, c.cc, wire.Method(ServiceName, "Capabilities"), req)
}

// Fingerprint calls the method of that name.
func (c *Client) Fingerprint(ctx context.Context, req *FingerprintRequest) (grpc.ServerStreamingClient[FingerprintResponse], error) {
	return wire.Receive[FingerprintRequest, FingerprintResponse](ctx, c.cc, wire.Method(ServiceName, "Fingerprint"), req)
}

// RecoverTask calls the method of that name.
func (c *Client) RecoverTask(ctx context.Context, req *RecoverTaskRequest) (*RecoverTaskResponse, error) {
	return wire.Call[RecoverTaskResponse](ctx, c.cc, wire.Method(ServiceName, "RecoverTask"), req)
}

// StartTask calls the method of that name.
func (c *Client) StartTask(ctx context.Context, req *StartTaskRequest) (*StartTaskResponse, error) {
	return wire.Call[StartTaskResponse](ctx, c.cc, wire.Method(ServiceName, "StartTask"), req)
}

// WaitTask calls the method of that name.
func (c *Client) WaitTask(ctx context.Context, req *WaitTaskRequest) (*WaitTaskResponse, error) {
	return wire.Call[WaitTaskResponse](ctx, c.cc, wire.Method(ServiceName, "WaitTask"), req)
}

// StopTask calls the method of that name.
func (c *Client) StopTask(ctx context.Context, req *StopTaskRequest) (*StopTaskResponse, error) {
	return wire.Call[StopTaskResponse](ctx, c.cc, wire.Method(ServiceName, "StopTask"), req)
}

// DestroyTask calls the method of that name.
func (c *Client) DestroyTask(ctx context.Context, req *DestroyTaskRequest) (*DestroyTaskResponse, error) {
	return wire.Call[DestroyTaskResponse](ctx, c.cc, wire.Method(ServiceName, "DestroyTask"), req)
}

// InspectTask calls the method of that name.
func (c *Client) InspectTask(ctx context.Context, req *InspectTaskRequest) (*InspectTaskResponse, error) {
	return wire.Call[InspectTaskResponse](ctx, c.cc, wire.Method(ServiceName, "InspectTask"), req)
}

// TaskStats calls the method of that name.
func (c *Client) TaskStats(ctx context.Context, req *TaskStatsRequest) (grpc.ServerStreamingClient[TaskStatsResponse], error) {
	return wire.Receive[TaskStatsRequest, TaskStatsResponse](ctx, c.cc, wire.Method(ServiceName, "TaskStats"), req)
}

// TaskEvents calls the method of that name.
func (c *Client) TaskEvents(ctx context.Context, req *TaskEventsRequest) (grpc.ServerStreamingClient[DriverTaskEvent], error) {
	return wire.Receive[TaskEventsRequest, DriverTaskEvent](ctx, c.cc, wire.Method(ServiceName, "TaskEvents"), req)
}

// Shutdown calls the method of that name.
func (c *Client) Shutdown(ctx context.Context, req *ShutdownRequest) (*ShutdownResponse, error) {
	return wire.Call[ShutdownResponse](ctx, c.cc, wire.Method(ServiceName, "Shutdown"), req)
}

// SignalTask calls the method of that name.
func (c *Client) SignalTask(ctx context.Context, req *SignalTaskRequest) (*SignalTaskResponse, error) {
	return wire.Call[SignalTaskResponse](ctx, c.cc, wire.Method(ServiceName, "SignalTask"), req)
}

// ExecTask calls the method of that name.
func (c *Client) ExecTask(ctx context.Context, req *ExecTaskRequest) (*ExecTaskResponse, error) {
	return wire.Call[ExecTaskResponse](ctx, c.cc, wire.Method(ServiceName, "ExecTask"), req)
}

// ExecTaskStreaming calls the method of that name.
func (c *Client) ExecTaskStreaming(ctx context.Context) (grpc.BidiStreamingClient[ExecTaskStreamingRequest, ExecTaskStreamingResponse], error) {
	return wire.Converse[ExecTaskStreamingRequest, ExecTaskStreamingResponse](ctx, c.cc, wire.Method(ServiceName, "ExecTaskStreaming"))
}

// CreateNetwork calls the method of that name.
func (c *Client) CreateNetwork(ctx context.Context, req *CreateNetworkRequest) (*CreateNetworkResponse, error) {
	return wire.Call[CreateNetworkResponse](ctx, c.cc, wire.Method(ServiceName, "CreateNetwork"), req)
}

// DestroyNetwork calls the method of that name.
func (c *Client) DestroyNetwork(ctx context.Context, req *DestroyNetworkRequest) (*DestroyNetworkResponse, error) {
	return wire.Call[DestroyNetworkResponse](ctx, c.cc, wire.Method(ServiceName, "DestroyNetwork"), req)
}
