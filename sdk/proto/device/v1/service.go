package devicev1

import (
	"context"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/proto/wire"
)

// ServiceName is the name of the service on the wire.
const ServiceName = "hashicorp.nomad.plugins.device.DevicePlugin"

// Server is what the service is served from.
type Server interface {
	Fingerprint(*FingerprintRequest, grpc.ServerStreamingServer[FingerprintResponse]) error
	Reserve(context.Context, *ReserveRequest) (*ReserveResponse, error)
	Stats(*StatsRequest, grpc.ServerStreamingServer[StatsResponse]) error
}

// ServiceDesc describes the service under its name on the wire.
func ServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*Server)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(ServiceName, "Reserve", Server.Reserve),
		},
		Streams: []grpc.StreamDesc{
			wire.ServerStream("Fingerprint", Server.Fingerprint),
			wire.ServerStream("Stats", Server.Stats),
		},
	}
}

// RegisterServer adds the service to a gRPC server.
func RegisterServer(s grpc.ServiceRegistrar, srv Server) { s.RegisterService(ServiceDesc(), srv) }

// Client calls the service.
type Client struct{ cc grpc.ClientConnInterface }

// NewClient returns a client on a connection.
func NewClient(cc grpc.ClientConnInterface) *Client { return &Client{cc} }

// Fingerprint calls the method of that name.
func (c *Client) Fingerprint(ctx context.Context, req *FingerprintRequest) (grpc.ServerStreamingClient[FingerprintResponse], error) {
	return wire.Receive[FingerprintRequest, FingerprintResponse](ctx, c.cc, wire.Method(ServiceName, "Fingerprint"), req)
}

// Reserve calls the method of that name.
func (c *Client) Reserve(ctx context.Context, req *ReserveRequest) (*ReserveResponse, error) {
	return wire.Call[ReserveResponse](ctx, c.cc, wire.Method(ServiceName, "Reserve"), req)
}

// Stats calls the method of that name.
func (c *Client) Stats(ctx context.Context, req *StatsRequest) (grpc.ServerStreamingClient[StatsResponse], error) {
	return wire.Receive[StatsRequest, StatsResponse](ctx, c.cc, wire.Method(ServiceName, "Stats"), req)
}
