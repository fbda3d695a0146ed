package checks

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/droverhq/drover/core/model"
)

// probeGRPC asks by the standard health protocol of gRPC; only SERVING is success.
func probeGRPC(ctx context.Context, c *model.ServiceCheck, target string) Answer {
	creds := insecure.NewCredentials()
	if c.GRPCUseTLS {
		creds = credentials.NewTLS(tlsOf(c))
	}
	conn, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(creds), grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<10)))
	if err != nil {
		return Answer{Err: err}
	}
	defer conn.Close()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: c.GRPCService})
	if err != nil {
		return Answer{Err: fmt.Errorf("grpc health of %s: %w", target, err)}
	}
	a := Answer{Output: "grpc health: " + resp.Status.String()}
	if resp.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		a.Err = fmt.Errorf("grpc service %q at %s is %s", c.GRPCService, target, resp.Status)
	}
	return a
}
