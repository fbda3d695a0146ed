package plugin

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// maxMessage bounds a request: task configs and handles of hosts that do not keep to the contract's 4 MiB.
const maxMessage = 64 << 20

// Serve is a plugin's main function. It introduces the plugin on stdout and serves it until the host asks it to end;
// then it returns and main should too. Tasks are not touched. A process that was not launched as a plugin is told so on
// stderr and exits with code 1.
//
// SIGINT is ignored: a Ctrl-C in a terminal is meant for the host. SIGTERM ends the process at once. A host that dies
// leaves the plugin running and serving the next one; a broken stderr does not end it either. After the handshake
// everything printed to os.Stdout and os.Stderr goes to the stderr that the process started with.
func Serve(p Plugin) {
	surviveBrokenPipes()
	logger := NewLogger(p.Info().Name)
	defer p.Close()
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: handshake(),
		Plugins:         pluginSet(p),
		GRPCServer:      grpcServer(restoreOutput(os.Stderr)),
		Logger:          quiet(logger),
	})
}

// Served is a plugin that ServeTest serves.
type Served struct {
	Network, Addr string
	// Done is closed when the plugin is down.
	Done <-chan struct{}
}

// ServeTest serves a plugin from this process until ctx ends, with everything as in Serve but the handshake line.
func ServeTest(ctx context.Context, p Plugin) (*Served, error) {
	reattach := make(chan *goplugin.ReattachConfig, 1)
	stopped := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer p.Close()
		goplugin.Serve(&goplugin.ServeConfig{
			HandshakeConfig: handshake(),
			Plugins:         pluginSet(p),
			GRPCServer:      grpcServer(nil),
			Logger:          hclog.NewNullLogger(),
			Test:            &goplugin.ServeTestConfig{Context: ctx, ReattachConfigCh: reattach, CloseCh: stopped},
		})
	}()
	select {
	case r := <-reattach:
		return &Served{Network: r.Addr.Network(), Addr: r.Addr.String(), Done: done}, nil
	case <-stopped:
		return nil, errors.New("serve plugin: it ended before it listened")
	}
}

func handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{ProtocolVersion: AppVersion, MagicCookieKey: CookieKey, MagicCookieValue: CookieValue}
}

func pluginSet(p Plugin) goplugin.PluginSet {
	return goplugin.PluginSet{
		"base":                 &glue{register: func(s *grpc.Server) { registerBase(s, p) }},
		p.Info().Type.String(): &glue{register: func(s *grpc.Server) { p.Register(s) }},
	}
}

// glue hands go-plugin a set of services.
type glue struct {
	goplugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
}

var _ goplugin.GRPCPlugin = (*glue)(nil)

func (g *glue) GRPCServer(_ *goplugin.GRPCBroker, s *grpc.Server) error {
	g.register(s)
	return nil
}

func (g *glue) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this side only serves; use package host")
}

// grpcServer makes the server; onCall runs before the first call is answered.
func grpcServer(onCall func()) func([]grpc.ServerOption) *grpc.Server {
	var once sync.Once
	called := func() {
		if onCall != nil {
			once.Do(onCall)
		}
	}
	return func(opts []grpc.ServerOption) *grpc.Server {
		return grpc.NewServer(append(opts,
			grpc.MaxRecvMsgSize(maxMessage),
			grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
				called()
				return next(ctx, req)
			}),
			grpc.StreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
				called()
				return next(srv, stream)
			}),
		)...)
	}
}

// restoreOutput undoes go-plugin's redirection of the process' output into pipes that only a host drains: without a host
// a plugin that prints would sooner or later block. go-plugin sets the pipes before it accepts the first call.
func restoreOutput(stderr *os.File) func() {
	return func() { os.Stdout, os.Stderr = stderr, stderr }
}

// quiet leaves out go-plugin's own trace of interrupts and addresses.
func quiet(l hclog.Logger) hclog.Logger {
	l = l.Named("plugin")
	l.SetLevel(hclog.Info)
	return l
}
