package networkv1

import (
	"context"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/proto/wire"
)

// ServiceName is the name of the service on the wire.
const ServiceName = "drover.network.v1.Network"

// Server is what the service is served from.
type Server interface {
	Init(context.Context, *InitRequest) (*InitResponse, error)
	Offers(*OffersRequest, grpc.ServerStreamingServer[OffersResponse]) error
	Setup(context.Context, *SetupRequest) (*SetupResponse, error)
	Teardown(context.Context, *TeardownRequest) (*TeardownResponse, error)
	Status(context.Context, *StatusRequest) (*StatusResponse, error)
	List(context.Context, *ListRequest) (*ListResponse, error)
	Reconcile(context.Context, *ReconcileRequest) (*ReconcileResponse, error)
}

// ServiceDesc describes the service under its name on the wire.
func ServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*Server)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(ServiceName, "Init", Server.Init),
			wire.Unary(ServiceName, "Setup", Server.Setup),
			wire.Unary(ServiceName, "Teardown", Server.Teardown),
			wire.Unary(ServiceName, "Status", Server.Status),
			wire.Unary(ServiceName, "List", Server.List),
			wire.Unary(ServiceName, "Reconcile", Server.Reconcile),
		},
		Streams: []grpc.StreamDesc{
			wire.ServerStream("Offers", Server.Offers),
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

// Offers calls the method of that name.
func (c *Client) Offers(ctx context.Context, req *OffersRequest) (grpc.ServerStreamingClient[OffersResponse], error) {
	return wire.Receive[OffersRequest, OffersResponse](ctx, c.cc, wire.Method(ServiceName, "Offers"), req)
}

// Setup calls the method of that name.
func (c *Client) Setup(ctx context.Context, req *SetupRequest) (*SetupResponse, error) {
	return wire.Call[SetupResponse](ctx, c.cc, wire.Method(ServiceName, "Setup"), req)
}

// Teardown calls the method of that name.
func (c *Client) Teardown(ctx context.Context, req *TeardownRequest) (*TeardownResponse, error) {
	return wire.Call[TeardownResponse](ctx, c.cc, wire.Method(ServiceName, "Teardown"), req)
}

// Status calls the method of that name.
func (c *Client) Status(ctx context.Context, req *StatusRequest) (*StatusResponse, error) {
	return wire.Call[StatusResponse](ctx, c.cc, wire.Method(ServiceName, "Status"), req)
}

// List calls the method of that name.
func (c *Client) List(ctx context.Context, req *ListRequest) (*ListResponse, error) {
	return wire.Call[ListResponse](ctx, c.cc, wire.Method(ServiceName, "List"), req)
}

// Reconcile calls the method of that name.
func (c *Client) Reconcile(ctx context.Context, req *ReconcileRequest) (*ReconcileResponse, error) {
	return wire.Call[ReconcileResponse](ctx, c.cc, wire.Method(ServiceName, "Reconcile"), req)
}
