package extensionv1

import (
	"context"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/proto/wire"
)

// ExtensionsServiceName is the name of the service on the wire.
const ExtensionsServiceName = "drover.plugin.v1.Extensions"

// ExtensionsServer is what the service is served from.
type ExtensionsServer interface {
	Negotiate(context.Context, *NegotiateRequest) (*NegotiateResponse, error)
}

// ExtensionsServiceDesc describes the service under its name on the wire.
func ExtensionsServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: ExtensionsServiceName,
		HandlerType: (*ExtensionsServer)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(ExtensionsServiceName, "Negotiate", ExtensionsServer.Negotiate),
		},
	}
}

// RegisterExtensionsServer adds the service to a gRPC server.
func RegisterExtensionsServer(s grpc.ServiceRegistrar, srv ExtensionsServer) {
	s.RegisterService(ExtensionsServiceDesc(), srv)
}

// ExtensionsClient calls the service.
type ExtensionsClient struct{ cc grpc.ClientConnInterface }

// NewExtensionsClient returns a client on a connection.
func NewExtensionsClient(cc grpc.ClientConnInterface) *ExtensionsClient { return &ExtensionsClient{cc} }

// Negotiate calls the method of that name.
func (c *ExtensionsClient) Negotiate(ctx context.Context, req *NegotiateRequest) (*NegotiateResponse, error) {
	return wire.Call[NegotiateResponse](ctx, c.cc, wire.Method(ExtensionsServiceName, "Negotiate"), req)
}

// ConfigCheckServiceName is the name of the service on the wire.
const ConfigCheckServiceName = "drover.plugin.v1.ConfigCheck"

// ConfigCheckServer is what the service is served from.
type ConfigCheckServer interface {
	CheckTaskConfig(context.Context, *CheckTaskConfigRequest) (*CheckTaskConfigResponse, error)
}

// ConfigCheckServiceDesc describes the service under its name on the wire.
func ConfigCheckServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: ConfigCheckServiceName,
		HandlerType: (*ConfigCheckServer)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(ConfigCheckServiceName, "CheckTaskConfig", ConfigCheckServer.CheckTaskConfig),
		},
	}
}

// RegisterConfigCheckServer adds the service to a gRPC server.
func RegisterConfigCheckServer(s grpc.ServiceRegistrar, srv ConfigCheckServer) {
	s.RegisterService(ConfigCheckServiceDesc(), srv)
}

// ConfigCheckClient calls the service.
type ConfigCheckClient struct{ cc grpc.ClientConnInterface }

// NewConfigCheckClient returns a client on a connection.
func NewConfigCheckClient(cc grpc.ClientConnInterface) *ConfigCheckClient {
	return &ConfigCheckClient{cc}
}

// CheckTaskConfig calls the method of that name.
func (c *ConfigCheckClient) CheckTaskConfig(ctx context.Context, req *CheckTaskConfigRequest) (*CheckTaskConfigResponse, error) {
	return wire.Call[CheckTaskConfigResponse](ctx, c.cc, wire.Method(ConfigCheckServiceName, "CheckTaskConfig"), req)
}

// HandOverServiceName is the name of the service on the wire.
const HandOverServiceName = "drover.plugin.v1.HandOver"

// HandOverServer is what the service is served from.
type HandOverServer interface {
	Release(context.Context, *ReleaseRequest) (*ReleaseResponse, error)
	Resume(context.Context, *ResumeRequest) (*ResumeResponse, error)
}

// HandOverServiceDesc describes the service under its name on the wire.
func HandOverServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: HandOverServiceName,
		HandlerType: (*HandOverServer)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(HandOverServiceName, "Release", HandOverServer.Release),
			wire.Unary(HandOverServiceName, "Resume", HandOverServer.Resume),
		},
	}
}

// RegisterHandOverServer adds the service to a gRPC server.
func RegisterHandOverServer(s grpc.ServiceRegistrar, srv HandOverServer) {
	s.RegisterService(HandOverServiceDesc(), srv)
}

// HandOverClient calls the service.
type HandOverClient struct{ cc grpc.ClientConnInterface }

// NewHandOverClient returns a client on a connection.
func NewHandOverClient(cc grpc.ClientConnInterface) *HandOverClient { return &HandOverClient{cc} }

// Release calls the method of that name.
func (c *HandOverClient) Release(ctx context.Context, req *ReleaseRequest) (*ReleaseResponse, error) {
	return wire.Call[ReleaseResponse](ctx, c.cc, wire.Method(HandOverServiceName, "Release"), req)
}

// Resume calls the method of that name.
func (c *HandOverClient) Resume(ctx context.Context, req *ResumeRequest) (*ResumeResponse, error) {
	return wire.Call[ResumeResponse](ctx, c.cc, wire.Method(HandOverServiceName, "Resume"), req)
}

// DeviceReleaseServiceName is the name of the service on the wire.
const DeviceReleaseServiceName = "drover.plugin.v1.DeviceRelease"

// DeviceReleaseServer is what the service is served from.
type DeviceReleaseServer interface {
	Release(context.Context, *DeviceReleaseRequest) (*DeviceReleaseResponse, error)
}

// DeviceReleaseServiceDesc describes the service under its name on the wire.
func DeviceReleaseServiceDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: DeviceReleaseServiceName,
		HandlerType: (*DeviceReleaseServer)(nil),
		Methods: []grpc.MethodDesc{
			wire.Unary(DeviceReleaseServiceName, "Release", DeviceReleaseServer.Release),
		},
	}
}

// RegisterDeviceReleaseServer adds the service to a gRPC server.
func RegisterDeviceReleaseServer(s grpc.ServiceRegistrar, srv DeviceReleaseServer) {
	s.RegisterService(DeviceReleaseServiceDesc(), srv)
}

// DeviceReleaseClient calls the service.
type DeviceReleaseClient struct{ cc grpc.ClientConnInterface }

// NewDeviceReleaseClient returns a client on a connection.
func NewDeviceReleaseClient(cc grpc.ClientConnInterface) *DeviceReleaseClient {
	return &DeviceReleaseClient{cc}
}

// Release calls the method of that name.
func (c *DeviceReleaseClient) Release(ctx context.Context, req *DeviceReleaseRequest) (*DeviceReleaseResponse, error) {
	return wire.Call[DeviceReleaseResponse](ctx, c.cc, wire.Method(DeviceReleaseServiceName, "Release"), req)
}
