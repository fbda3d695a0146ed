package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/droverhq/drover/sdk/plugin"
	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
	gopluginv1 "github.com/droverhq/drover/sdk/proto/goplugin/v1"
	"github.com/droverhq/drover/sdk/schema"
)

const (
	// maxReceive bounds one message from a plugin, maxReport one of those that come unasked and often, and maxSend one to
	// it. The contract sets no limit; no honest message comes near.
	maxReceive = 8 << 20
	maxReport  = 1 << 20
	maxSend    = 16 << 20
	// shortCall is the deadline of calls that have no work to do.
	shortCall = 30 * time.Second
	// longCall is the deadline of calls that may pull an image or wait for a runtime, if the context has none.
	longCall = 15 * time.Minute
)

// Client talks to one plugin process. It is safe for concurrent use.
type Client struct {
	conn    *grpc.ClientConn
	base    *basev1.Client
	driver  *Driver
	device  *Device
	network *Network

	cancel context.CancelFunc
	drain  sync.WaitGroup
}

// DialOption changes how Dial connects.
type DialOption func(*dialConfig)

type dialConfig struct {
	output      func(stderr bool, data []byte)
	gate        Gate
	credentials credentials.TransportCredentials
	err         error
}

// WithOutput receives what the plugin's process prints after its handshake. Without it that is read and dropped: nobody
// reading would block the plugin.
func WithOutput(f func(stderr bool, data []byte)) DialOption {
	return func(c *dialConfig) { c.output = f }
}

// Dial connects to a plugin that listens. It waits until the connection stands or ctx ends. A connection that is lost
// is not made again, because whoever answers at the address then need not be the same plugin: dial anew.
func Dial(ctx context.Context, r Reattach, options ...DialOption) (*Client, error) {
	config := dialConfig{output: func(bool, []byte) {}, credentials: insecure.NewCredentials()}
	for _, o := range options {
		o(&config)
	}
	if config.err != nil {
		return nil, fmt.Errorf("dial plugin %s: %w", r, config.err)
	}
	if r.Protocol != "" && r.Protocol != "grpc" {
		return nil, fmt.Errorf("dial plugin %s: protocol %q is not supported", r, r.Protocol)
	}
	first, err := (&net.Dialer{}).DialContext(ctx, r.Network, r.Addr)
	if err != nil {
		return nil, fmt.Errorf("dial plugin %s: %w", r, errors.Join(ErrPluginDown, err))
	}
	var used atomic.Bool
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(config.credentials),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, ErrPluginDown
			}
			return first, nil
		}),
		grpc.WithIdleTimeout(0), // an idle connection would be closed and could not be made again
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive), grpc.MaxCallSendMsgSize(maxSend)),
		grpc.WithChainStreamInterceptor(boundReports),
	}
	if config.gate != nil {
		dial = append(dial, grpc.WithUnaryInterceptor(config.gate.unary), grpc.WithChainStreamInterceptor(config.gate.stream))
	}
	conn, err := grpc.NewClient("passthrough:///plugin", dial...)
	if err != nil {
		first.Close()
		return nil, fmt.Errorf("dial plugin %s: %w", r, err)
	}
	if err := ready(ctx, conn); err != nil {
		conn.Close()
		first.Close()
		return nil, fmt.Errorf("dial plugin %s: %w", r, err)
	}
	c := &Client{conn: conn, base: basev1.NewClient(conn), driver: newDriver(conn), device: newDevice(conn), network: newNetwork(conn)}
	var drainCtx context.Context
	drainCtx, c.cancel = context.WithCancel(context.Background())
	c.drain.Go(func() { drainOutput(drainCtx, conn, config.output) })
	return c, nil
}

// boundReports bounds the messages of streams on which only the plugin speaks.
func boundReports(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if !desc.ClientStreams {
		opts = append(opts, grpc.MaxCallRecvMsgSize(maxReport))
	}
	return open(ctx, desc, cc, method, opts...)
}

// ready waits until the connection stands. One failure is final, see Dial.
func ready(ctx context.Context, conn *grpc.ClientConn) error {
	conn.Connect()
	for {
		state := conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.TransientFailure, connectivity.Shutdown:
			return fmt.Errorf("it does not speak gRPC: %w", ErrPluginDown)
		}
		if !conn.WaitForStateChange(ctx, state) {
			return fmt.Errorf("it does not answer: %w", ctx.Err())
		}
	}
}

// drainOutput reads redirected output until the connection ends. Plugins without the service are fine. It takes its time
// (10 MB/s, 20,000 messages/s), so that a plugin that prints without end costs its host little.
func drainOutput(ctx context.Context, conn *grpc.ClientConn, output func(stderr bool, data []byte)) {
	stream, err := gopluginv1.StreamStdio(ctx, conn)
	if err != nil {
		return
	}
	for {
		msg, err := stream.Recv()
		if err != nil {
			return
		}
		output(msg.GetChannel() == gopluginv1.StdioData_STDERR, msg.GetData())
		const perByte, perMessage = 100 * time.Nanosecond, 50 * time.Microsecond
		time.Sleep(perMessage + perByte*time.Duration(len(msg.GetData())))
	}
}

// Driver is the plugin as a task driver.
func (c *Client) Driver() *Driver { return c.driver }

// Device is the plugin as a device plugin.
func (c *Client) Device() *Device { return c.device }

// Network is the plugin as a network plugin.
func (c *Client) Network() *Network { return c.network }

// Ping reports whether the plugin says that it serves. A plugin without the health service answers too if it is there.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := healthv1.NewHealthClient(c.conn).Check(ctx, &healthv1.HealthCheckRequest{Service: gopluginv1.HealthService})
	if err := ignoreUnimplemented(callError(ctx, "ping plugin", err)); err != nil {
		return err
	}
	if err == nil && resp.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		return fmt.Errorf("ping plugin: it is %s", resp.GetStatus())
	}
	return nil
}

// Info asks who the plugin is.
func (c *Client) Info(ctx context.Context) (plugin.Info, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := c.base.PluginInfo(ctx, &basev1.PluginInfoRequest{})
	if err != nil {
		return plugin.Info{}, callError(ctx, "plugin info", err)
	}
	return plugin.Info{
		Type:        plugin.Type(resp.GetType()),
		Name:        resp.GetName(),
		Version:     resp.GetPluginVersion(),
		APIVersions: resp.GetPluginApiVersions(),
	}, nil
}

// ConfigSchema asks for the shape of the plugin's own configuration. It is nil if the plugin takes none.
func (c *Client) ConfigSchema(ctx context.Context) (*schema.Spec, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := c.base.ConfigSchema(ctx, &basev1.ConfigSchemaRequest{})
	if err != nil {
		return nil, callError(ctx, "plugin config schema", err)
	}
	spec, err := schema.FromProto(resp.GetSpec())
	if err != nil {
		return nil, fmt.Errorf("plugin config schema: %w", err)
	}
	return spec, nil
}

// SetConfig configures the plugin. Before the plugin runs tasks, c.Node with its topology must be there: plugins read it
// without a check.
func (c *Client) SetConfig(ctx context.Context, config *plugin.RawConfig) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	version := config.APIVersion
	if version == "" {
		version = plugin.APIVersion
	}
	_, err := c.base.SetConfig(ctx, &basev1.SetConfigRequest{
		MsgpackConfig:    config.Msgpack,
		NomadConfig:      config.Node.Proto(),
		PluginApiVersion: version,
	})
	return callError(ctx, "set plugin config", err)
}

// Negotiate introduces the host and learns what the plugin offers beyond the public contract. Call it before SetConfig
// and again after a reattach.
func (c *Client) Negotiate(ctx context.Context, host plugin.HostInfo) (Extensions, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := extensionv1.NewExtensionsClient(c.conn).Negotiate(ctx, &extensionv1.NegotiateRequest{
		HostName:    host.Name,
		HostVersion: host.Version,
		DevMode:     host.DevMode,
		Offered:     []string{plugin.ExtensionConfigCheck, plugin.ExtensionHandOver, plugin.ExtensionDeviceRelease},
	})
	if err != nil {
		return Extensions{}, ignoreUnimplemented(callError(ctx, "negotiate extensions", err))
	}
	return Extensions{
		Names:        resp.GetExtensions(),
		SDKVersion:   resp.GetSdkVersion(),
		StateVersion: int(resp.GetCapabilities().GetStateVersion()),
	}, nil
}

// CheckTaskConfig asks a plugin with the extension "config-check" about a task's config.
func (c *Client) CheckTaskConfig(ctx context.Context, msgpack []byte) (schema.Diagnostics, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := extensionv1.NewConfigCheckClient(c.conn).CheckTaskConfig(ctx, &extensionv1.CheckTaskConfigRequest{MsgpackConfig: msgpack})
	if err != nil {
		return nil, callError(ctx, "check task config", err)
	}
	var found schema.Diagnostics
	for _, d := range resp.GetDiagnostics() {
		found = append(found, schema.DiagnosticFromProto(d))
	}
	return found, nil
}

// Stop asks the plugin's process to end. Judge by the process whether it did: the answer is normally lost, and so
// neither that nor a plugin without the method is an error.
func (c *Client) Stop(ctx context.Context) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	err := callError(ctx, "stop plugin", gopluginv1.Shutdown(ctx, c.conn))
	if errors.Is(err, ErrPluginDown) {
		return nil
	}
	return ignoreUnimplemented(err)
}

// Close ends the connection and every call on it. The plugin lives on.
func (c *Client) Close() error {
	c.cancel()
	err := c.conn.Close()
	c.drain.Wait()
	return err
}

// deadline gives a context a deadline if it has none.
func deadline(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, d)
}

func ignoreUnimplemented(err error) error {
	if errors.Is(err, ErrUnimplemented) {
		return nil
	}
	return err
}
