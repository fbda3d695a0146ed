package gopluginv1

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/droverhq/drover/sdk/proto/wire"
)

// HealthService is the name under which plugins report their health.
const HealthService = "plugin"

// Shutdown asks the plugin's process to end. The process usually ends before it answers: Unavailable is the rule.
func Shutdown(ctx context.Context, cc grpc.ClientConnInterface) error {
	_, err := wire.Call[emptypb.Empty](ctx, cc, "/plugin.GRPCController/Shutdown", &emptypb.Empty{})
	return err
}

// StreamStdio receives what the plugin's process prints after its handshake.
func StreamStdio(ctx context.Context, cc grpc.ClientConnInterface) (grpc.ServerStreamingClient[StdioData], error) {
	return wire.Receive[emptypb.Empty, StdioData](ctx, cc, "/plugin.GRPCStdio/StreamStdio", &emptypb.Empty{})
}
