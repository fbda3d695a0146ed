package provider

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/cni/conflist"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

// Config is what operators write into plugin "drover-network-cni" { config { ... } }. What is left out comes from the
// agent's client block.
type Config struct {
	CNIPath       string        `config:"cni_path"`
	CNIConfigDir  string        `config:"cni_config_dir"`
	BridgeName    string        `config:"bridge_network_name"`
	BridgeSubnet  string        `config:"bridge_network_subnet"`
	BridgeSubnet6 string        `config:"bridge_network_subnet_ipv6"`
	Hairpin       *bool         `config:"bridge_network_hairpin_mode"`
	Timeout       time.Duration `config:"plugin_timeout" default:"30s"` // of one CNI plugin's run
}

// Defaults of what neither block sets.
const (
	defaultPath      = "/opt/cni/bin:/usr/libexec/cni:/usr/lib/cni"
	defaultConfigDir = "/opt/cni/config"
)

// settings are what the plugin works by.
type settings struct {
	Path      []string
	ConfigDir string
	Bridge    conflist.Bridge
	Timeout   time.Duration
}

// resolve puts the operator's block over the node's settings over the defaults.
func resolve(c Config, node *network.Node) settings {
	pick := func(own, key, fallback string) string {
		if own != "" {
			return own
		}
		if v := node.Settings[key]; v != "" {
			return v
		}
		return fallback
	}
	hairpin := node.Settings["bridge_network_hairpin_mode"] == "true"
	if c.Hairpin != nil {
		hairpin = *c.Hairpin
	}
	return settings{
		Path:      filepath.SplitList(pick(c.CNIPath, "cni_path", defaultPath)),
		ConfigDir: pick(c.CNIConfigDir, "cni_config_dir", defaultConfigDir),
		Timeout:   c.Timeout,
		Bridge: conflist.Bridge{
			Name:     pick(c.BridgeName, "bridge_network_name", conflist.DefaultBridge),
			Subnet:   pick(c.BridgeSubnet, "bridge_network_subnet", conflist.DefaultSubnet),
			SubnetV6: pick(c.BridgeSubnet6, "bridge_network_subnet_ipv6", ""),
			Hairpin:  hairpin,
			LeaseDir: filepath.Join(node.StateDir, "leases"),
		},
	}
}

// Config implements network.WithConfig.
func (p *Provider) Config() plugin.ConfigHandler { return plugin.Configure(p.configure) }

func (p *Provider) configure(_ context.Context, c *plugin.Configuration[Config]) error {
	if c.Config.Timeout < time.Second {
		return fmt.Errorf("plugin_timeout %s is below one second", c.Config.Timeout)
	}
	if dir := c.Config.CNIConfigDir; dir != "" && !filepath.IsAbs(dir) {
		return fmt.Errorf("cni_config_dir %q is not absolute", dir)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config = c.Config
	return nil
}
