package gopluginv1

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/droverhq/drover/sdk/proto/wire"
)

// HealthService is the name under which plugins report their health.
const HealthService = "plugin"

// Names of the services on the wire.
const (
	BrokerServiceName     = "plugin.GRPCBroker"
	ControllerServiceName = "plugin.GRPCController"
	StdioServiceName      = "plugin.GRPCStdio"
)

// Server is what the three services are served from.
type Server interface {
	// StartStream is the broker's: it offers more connections.
	StartStream(grpc.BidiStreamingServer[ConnInfo, ConnInfo]) error
	// Shutdown is the controller's: it ends the process.
	Shutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error)
	// StreamStdio carries redirected output.
	StreamStdio(*emptypb.Empty, grpc.ServerStreamingServer[StdioData]) error
}

// RegisterServer adds the three services to a gRPC server.
func RegisterServer(s grpc.ServiceRegistrar, srv Server) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: BrokerServiceName,
		HandlerType: (*Server)(nil),
		Streams:     []grpc.StreamDesc{wire.BidiStream("StartStream", Server.StartStream)},
	}, srv)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: ControllerServiceName,
		HandlerType: (*Server)(nil),
		Methods:     []grpc.MethodDesc{wire.Unary(ControllerServiceName, "Shutdown", Server.Shutdown)},
	}, srv)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: StdioServiceName,
		HandlerType: (*Server)(nil),
		Streams:     []grpc.StreamDesc{wire.ServerStream("StreamStdio", Server.StreamStdio)},
	}, srv)
}

// Shutdown asks the plugin's process to end. The process usually ends before it answers: Unavailable is the rule.
func Shutdown(ctx context.Context, cc grpc.ClientConnInterface) error {
	_, err := wire.Call[emptypb.Empty](ctx, cc, wire.Method(ControllerServiceName, "Shutdown"), &emptypb.Empty{})
	return err
}

// StreamStdio receives what the plugin's process prints after its handshake.
func StreamStdio(ctx context.Context, cc grpc.ClientConnInterface) (grpc.ServerStreamingClient[StdioData], error) {
	return wire.Receive[emptypb.Empty, StdioData](ctx, cc, wire.Method(StdioServiceName, "StreamStdio"), &emptypb.Empty{})
}
