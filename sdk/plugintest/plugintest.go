// Package plugintest runs a plugin inside a Go test, over real gRPC and with everything the SDK puts around it.
package plugintest

import (
	"context"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

// startTimeout bounds how long the plugin may take to listen and the connection to stand.
const startTimeout = 10 * time.Second

// Serve serves a plugin and returns a host's client for it. Both end with the test. The plugin is not configured yet.
func Serve(t testing.TB, p plugin.Plugin, options ...host.DialOption) *host.Client {
	t.Helper()
	return Connect(t, Listen(t, p), options...)
}

// Listen serves a plugin and returns where, for tests in which hosts come and go.
func Listen(t testing.TB, p plugin.Plugin) host.Reattach {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served, err := plugin.ServeTest(ctx, p)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-served.Done
	})
	return host.Reattach{Protocol: "grpc", Network: served.Network, Addr: served.Addr}
}

// Connect returns a host's client for a plugin that listens. It is closed with the test.
func Connect(t testing.TB, r host.Reattach, options ...host.DialOption) *host.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	c, err := host.Dial(ctx, r, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Driver serves a driver and returns a host's client for it, configured without a configuration of its own and
// initialised.
func Driver(t testing.TB, p plugin.Plugin, node *plugin.NodeConfig) *host.Driver {
	t.Helper()
	c := Serve(t, p)
	if node == nil {
		node = &plugin.NodeConfig{MinPort: 14000, MaxPort: 14512, Topology: OneCore()}
	}
	spec, err := c.ConfigSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw := &plugin.RawConfig{Node: node}
	if spec != nil {
		if raw.Msgpack, err = spec.Encode(map[string]any{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.SetConfig(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	if err := c.Driver().Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c.Driver()
}

// OneCore is a node with one core of 1000 MHz.
func OneCore() *plugin.Topology {
	return &plugin.Topology{NodeIDs: []uint32{0}, Cores: []plugin.Core{{BaseSpeed: 1000}}}
}
