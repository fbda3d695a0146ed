package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/droverhq/drover/sdk/failpoint"
	gopluginv1 "github.com/droverhq/drover/sdk/proto/goplugin/v1"
)

// maxMessage bounds a request: task configs and handles of hosts that do not keep to the contract's 4 MiB.
const maxMessage = 64 << 20

// Serve is a plugin's main function. It introduces the plugin on stdout and serves it until the host asks it to end;
// then it returns and main should too. Tasks are not touched. A process that was not launched as a plugin is told so on
// stderr and exits with code 1.
//
// It listens on a Unix socket or, on Windows, on a TCP port of 127.0.0.1; on TLS if the host asks for it
// (ClientCertVariable). DROVER_PLUGIN_NETWORK=tcp has it listen on TCP everywhere.
//
// SIGINT is ignored: a Ctrl-C in a terminal is meant for the host. SIGTERM ends the process at once. A host that dies
// leaves the plugin running and serving the next one; a broken stderr does not end it either. After the handshake
// everything printed to os.Stdout goes to stderr.
//
// The protocol is that of hashicorp/go-plugin, whose own client loads what is served here (a test keeps it so). Its
// library is not used: it links net/rpc and html/template, a third of a small plugin's memory.
func Serve(p Plugin) {
	if os.Getenv(CookieKey) != CookieValue {
		fmt.Fprintf(os.Stderr, "%s is a plugin: an agent launches it. Put it into the agent's plugin_dir.\n", os.Args[0])
		os.Exit(1)
	}
	surviveBrokenPipes()
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	l, err := listen()
	if err != nil {
		NewLogger(p.Info().Name).Error("cannot serve the plugin", "error", err)
		os.Exit(1)
	}
	addr, field := l.Addr(), ""
	if clientCert := os.Getenv(ClientCertVariable); clientCert != "" {
		if l, field, err = overTLS(l, clientCert); err != nil {
			NewLogger(p.Info().Name).Error("cannot serve the plugin over TLS", "error", err)
			os.Exit(1)
		}
		os.Unsetenv(ClientCertVariable) // it is not meant for plugins that this one launches
	}
	s := newServer(p)
	fmt.Printf("%d|%d|%s|%s|grpc|%s\n", CoreVersion, AppVersion, addr.Network(), addr, field)
	// Nobody reads stdout from here on, and a full pipe would block whoever prints.
	os.Stdout = os.Stderr
	s.serve(context.Background(), l)
}

// Served is a plugin that ServeTest serves.
type Served struct {
	Network, Addr string
	// Done is closed when the plugin is down.
	Done <-chan struct{}
}

// ServeTest serves a plugin from this process until ctx ends or a host asks it to, with everything as in Serve but what
// concerns the process.
func ServeTest(ctx context.Context, p Plugin) (*Served, error) {
	l, err := listen()
	if err != nil {
		return nil, fmt.Errorf("serve plugin: %w", err)
	}
	done := make(chan struct{})
	s := newServer(p)
	go func() {
		defer close(done)
		s.serve(ctx, l)
	}()
	return &Served{Network: l.Addr().Network(), Addr: l.Addr().String(), Done: done}, nil
}

// server is a plugin's gRPC server with everything that hosts of go-plugin's protocol look for.
type server struct {
	plugin Plugin
	grpc   *grpc.Server
	asked  chan struct{} // closed when a host asks the process to end
	once   sync.Once
}

var _ gopluginv1.Server = (*server)(nil)

func newServer(p Plugin) *server {
	options := append(failpoint.ServerOptions(), grpc.MaxRecvMsgSize(maxMessage))
	s := &server{plugin: p, grpc: grpc.NewServer(options...), asked: make(chan struct{})}
	h := health.NewServer()
	h.SetServingStatus(gopluginv1.HealthService, healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(s.grpc, h)
	gopluginv1.RegisterServer(s.grpc, s)
	registerBase(s.grpc, p)
	p.Register(s.grpc)
	return s
}

// serve answers until ctx ends or a host asks for the end. It closes the listener, which removes its socket.
func (s *server) serve(ctx context.Context, l net.Listener) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
		case <-s.asked:
		}
		s.grpc.Stop()
	}()
	if err := s.grpc.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		s.stop()
	}
	<-stopped
	s.plugin.Close()
}

func (s *server) stop() { s.once.Do(func() { close(s.asked) }) }

// Shutdown ends the process. The answer may be lost on the way: hosts judge by the process.
func (s *server) Shutdown(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	s.stop()
	return &emptypb.Empty{}, nil
}

// StartStream is open as long as the host wants: no contract here needs more connections.
func (s *server) StartStream(stream grpc.BidiStreamingServer[gopluginv1.ConnInfo, gopluginv1.ConnInfo]) error {
	<-stream.Context().Done()
	return nil
}

// StreamStdio is open as long as the host wants and silent: what the plugin prints goes to its stderr.
func (s *server) StreamStdio(_ *emptypb.Empty, stream grpc.ServerStreamingServer[gopluginv1.StdioData]) error {
	<-stream.Context().Done()
	return nil
}
