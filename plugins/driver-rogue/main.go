// Command drover-driver-rogue is a task driver that misbehaves on purpose, in the way its first argument names. It is
// for tests of what a plugin may cost a node; see modes.
//
//	drover-driver-rogue hang-StartTask
//
// It speaks the contract itself instead of through package driver, which would not let it.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/droverhq/drover/sdk/plugin"
	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
	gopluginv1 "github.com/droverhq/drover/sdk/proto/goplugin/v1"
)

func main() {
	if len(os.Args) < 2 || os.Getenv(plugin.CookieKey) != plugin.CookieValue {
		fmt.Fprintln(os.Stderr, "This is a plugin that misbehaves, for tests: an agent launches it. Its argument is how: "+modes)
		os.Exit(1)
	}
	r := &rogue{mode: os.Args[1], tasks: map[string]chan struct{}{}, never: make(chan struct{})}
	if err := r.serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (r *rogue) serve() error {
	if r.mode == "exit-at-once" {
		return fmt.Errorf("I end at once")
	}
	socket := filepath.Join(os.Getenv("PLUGIN_UNIX_SOCKET_DIR"), fmt.Sprintf("rogue%d", os.Getpid()))
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.UnaryInterceptor(r.unary), grpc.StreamInterceptor(r.stream), grpc.ForceServerCodec(codec{}))
	h := health.NewServer()
	h.SetServingStatus(gopluginv1.HealthService, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(s, h)
	gopluginv1.RegisterServer(s, controller{r})
	basev1.RegisterServer(s, r)
	driverv1.RegisterServer(s, r)
	fmt.Printf("%d|%d|unix|%s|grpc|\n", plugin.CoreVersion, plugin.AppVersion, socket)
	go r.misbehave()
	return s.Serve(l)
}

// name is how it reports itself; each mode is a driver of its own.
func (r *rogue) name() string { return "rogue-" + strings.ToLower(r.mode) }

// hangs reports whether a method never answers.
func (r *rogue) hangs(method string) bool {
	what, ok := strings.CutPrefix(r.mode, "hang-")
	if !ok {
		return false
	}
	if what == "all" { // once it is known as a good driver
		return method != "Fingerprint" && r.settled.Load()
	}
	return what == method
}

func (r *rogue) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if r.hangs(path.Base(info.FullMethod)) {
		<-r.never // not even when the caller gives up
	}
	return handle(ctx, req)
}

func (r *rogue) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if r.hangs(path.Base(info.FullMethod)) {
		<-r.never
	}
	return handle(srv, s)
}

// controller serves what go-plugin's protocol wants; its Shutdown and the driver's have the same name.
type controller struct{ *rogue }

func (controller) Shutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	time.AfterFunc(100*time.Millisecond, func() { os.Exit(0) })
	return &emptypb.Empty{}, nil
}

// StartStream is open as long as the host wants.
func (controller) StartStream(s grpc.BidiStreamingServer[gopluginv1.ConnInfo, gopluginv1.ConnInfo]) error {
	<-s.Context().Done()
	return nil
}

// StreamStdio carries what it prints, which in one mode is without end.
func (c controller) StreamStdio(_ *emptypb.Empty, s grpc.ServerStreamingServer[gopluginv1.StdioData]) error {
	for c.mode == "flood-stdio" {
		if err := s.Send(&gopluginv1.StdioData{Channel: gopluginv1.StdioData_STDERR, Data: []byte(strings.Repeat("flood ", 100))}); err != nil {
			return err
		}
	}
	<-s.Context().Done()
	return nil
}
