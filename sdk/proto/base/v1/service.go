package basev1

import (
	"context"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/proto/wire"
)

// ServiceName is the name of the service on the wire.
const ServiceName = "hashicorp.nomad.plugins.base.proto.BasePlugin"

// Server is what the service is served from.
type Server interface {
	PluginInfo(context.Context, *PluginInfoRequest) (*PluginInfoResponse, error)
	ConfigSchema(context.Context, *ConfigSchemaRequest) (*ConfigSchemaResponse, error)
	SetConfig(context.Context, *SetConfigRequest) (*SetConfigResponse, error)
}

// ServiceDesc describes the service under its name on the wire.
func ServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: ServiceName,
		HandlerType: (*Server)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(ServiceName, "PluginInfo", Server.PluginInfo),
			wire.Unary(ServiceName, "ConfigSchema", Server.ConfigSchema),
			wire.Unary(ServiceName, "SetConfig", Server.SetConfig),
		},
	}
}

// RegisterServer adds the service to a gRPC server.
func RegisterServer(s grpc.ServiceRegistrar, srv Server) { s.RegisterService(ServiceDesc(), srv) }

// Client calls the service.
type Client struct{ cc grpc.ClientConnInterface }

// NewClient returns a client on a connection.
func NewClient(cc grpc.ClientConnInterface) *Client { return &Client{cc} }

// PluginInfo calls the method of that name.
func (c *Client) PluginInfo(ctx context.Context, req *PluginInfoRequest) (*PluginInfoResponse, error) {
	return wire.Call[PluginInfoResponse](ctx, c.cc, wire.Method(ServiceName, "PluginInfo"), req)
}

// ConfigSchema calls the method of that name.
func (c *Client) ConfigSchema(ctx context.Context, req *ConfigSchemaRequest) (*ConfigSchemaResponse, error) {
	return wire.Call[ConfigSchemaResponse](ctx, c.cc, wire.Method(ServiceName, "ConfigSchema"), req)
}

// SetConfig calls the method of that name.
func (c *Client) SetConfig(ctx context.Context, req *SetConfigRequest) (*SetConfigResponse, error) {
	return wire.Call[SetConfigResponse](ctx, c.cc, wire.Method(ServiceName, "SetConfig"), req)
}
