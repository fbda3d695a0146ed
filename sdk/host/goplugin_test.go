package host_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
)

// connPlugin gives a test the bare connection of go-plugin's own client.
type connPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
}

func (connPlugin) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error { return nil }
func (connPlugin) GRPCClient(_ context.Context, _ *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}

// serveGoPlugin is a plugin without any of our code, which serves nothing but what every plugin does.
func serveGoPlugin() {
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  2,
			MagicCookieKey:   "NOMAD_PLUGIN_MAGIC_COOKIE",
			MagicCookieValue: "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255",
		},
		Plugins:    goplugin.PluginSet{"driver": connPlugin{}},
		GRPCServer: goplugin.DefaultGRPCServer,
		Logger:     hclog.New(&hclog.LoggerOptions{Output: io.Discard}),
	})
}

// TestOtherHostsLoadOurPlugins launches a plugin of this SDK with the library that other hosts use, as they do.
func TestOtherHostsLoadOurPlugins(t *testing.T) { loadWithGoPlugin(t, false) }

// TestOtherHostsLoadOurPluginsOverTLS is the same for hosts that have switched that library's TLS on.
func TestOtherHostsLoadOurPluginsOverTLS(t *testing.T) { loadWithGoPlugin(t, true) }

func loadWithGoPlugin(t *testing.T, autoTLS bool) {
	config := launchConfig(t, "plugin")
	cmd := exec.Command(config.Path)
	cmd.Env = append(os.Environ(), config.Env...)
	client := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig: goplugin.HandshakeConfig{
			ProtocolVersion:  2,
			MagicCookieKey:   "NOMAD_PLUGIN_MAGIC_COOKIE",
			MagicCookieValue: "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255",
		},
		Plugins:          goplugin.PluginSet{"base": connPlugin{}, "driver": connPlugin{}},
		Cmd:              cmd,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         autoTLS,
		MinPort:          10000,
		MaxPort:          25000,
		Logger:           hclog.New(&hclog.LoggerOptions{Output: io.Discard}),
	})
	defer client.Kill()
	rpc, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := rpc.Ping(); err != nil {
		t.Error(err)
	}
	conn, err := rpc.Dispense("driver")
	if err != nil {
		t.Fatal(err)
	}
	info, err := basev1.NewClient(conn.(*grpc.ClientConn)).PluginInfo(t.Context(), &basev1.PluginInfoRequest{})
	if err != nil || info.GetName() != "t" || info.GetType() != basev1.PluginType_DRIVER {
		t.Errorf("got %v, %v", info, err)
	}
	if autoTLS {
		return // that library forgets its key
	}
	reattached := goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  goplugin.HandshakeConfig{ProtocolVersion: 2, MagicCookieKey: "x", MagicCookieValue: "y"},
		Plugins:          goplugin.PluginSet{"driver": connPlugin{}},
		Reattach:         client.ReattachConfig(),
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		Logger:           hclog.New(&hclog.LoggerOptions{Output: io.Discard}),
	})
	again, err := reattached.Client()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Ping(); err != nil {
		t.Error(err)
	}
	client.Kill()
	if !client.Exited() || cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("the plugin did not end when asked: %v", cmd.ProcessState)
	}
}
