// Package onenode is a node for one plugin, without an agent: it launches and configures the plugin as an agent does and
// prepares the directories and output of tasks. The conformance suite and `drover plugin run` stand on it.
package onenode

import (
	"context"
	"fmt"
	"os"
	"runtime"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

// Plugin says which plugin is launched and how it is configured.
type Plugin struct {
	Path string
	Args []string
	// Env is added to what is inherited and wins over it.
	Env []string
	// Config is the plugin's own configuration, as in an agent's plugin block; nil is an empty block.
	Config map[string]any
	// Stderr becomes the plugin's stderr. Nil keeps its end for errors; see host.LaunchConfig.
	Stderr *os.File
	// SocketDir is where the plugin should listen; empty = its own choice.
	SocketDir string
	// Host introduces this side. In development mode drivers may work without being enabled.
	Host plugin.HostInfo
}

// Launch starts the plugin. It is not configured yet.
func (p Plugin) Launch(ctx context.Context) (*host.Process, error) {
	return host.Launch(ctx, host.LaunchConfig{Path: p.Path, Args: p.Args, Env: p.Env, Stderr: p.Stderr, SocketDir: p.SocketDir})
}

// Start launches the plugin and makes it ready: configured for this node and, if it is a driver, initialised.
func (p Plugin) Start(ctx context.Context) (*host.Process, error) {
	process, err := p.Launch(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.Configure(ctx, process.Client, Node()); err != nil {
		process.Kill(ctx)
		return nil, err
	}
	return process, nil
}

// Configure introduces this host, sets the plugin's configuration and initialises drivers. Without node it only
// validates the configuration, as agents do before they use a plugin.
func (p Plugin) Configure(ctx context.Context, c *host.Client, node *plugin.NodeConfig) error {
	if _, err := c.Negotiate(ctx, p.Host); err != nil {
		return err
	}
	raw, err := p.RawConfig(ctx, c)
	if err != nil {
		return err
	}
	raw.Node = node
	if err := c.SetConfig(ctx, raw); err != nil {
		return err
	}
	if node == nil {
		return nil
	}
	return c.Driver().Init(ctx) // a plugin of another type does not implement it
}

// RawConfig checks the plugin's configuration against its schema and encodes it.
func (p Plugin) RawConfig(ctx context.Context, c *host.Client) (*plugin.RawConfig, error) {
	spec, err := c.ConfigSchema(ctx)
	if err != nil {
		return nil, err
	}
	if spec == nil {
		if len(p.Config) > 0 {
			return nil, fmt.Errorf("plugin %s takes no configuration, but it was given one", p.Path)
		}
		return &plugin.RawConfig{}, nil
	}
	config := p.Config
	if config == nil {
		config = map[string]any{}
	}
	bytes, err := spec.Encode(config, nil)
	if err != nil {
		return nil, fmt.Errorf("configuration of plugin %s: %w", p.Path, err)
	}
	return &plugin.RawConfig{Msgpack: bytes}, nil
}

// coreSpeed is what a core counts for, in MHz; the true speed matters only to schedulers.
const coreSpeed = 1000

// Node describes this machine to a plugin.
func Node() *plugin.NodeConfig {
	t := &plugin.Topology{NodeIDs: []uint32{0}}
	for i := range runtime.NumCPU() {
		t.Cores = append(t.Cores, plugin.Core{CoreID: uint32(i), BaseSpeed: coreSpeed})
	}
	return &plugin.NodeConfig{MinPort: 14000, MaxPort: 14512, Topology: t}
}
