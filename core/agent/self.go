package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/api"
	"github.com/droverhq/drover/core/config"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node"
	"github.com/droverhq/drover/core/node/fingerprint"
	"github.com/droverhq/drover/core/pluginhost"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/core/pluginhost/trust"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/telemetry"
)

var _ api.Agent = (*Agent)(nil)

// Self is what /v1/agent/self answers.
func (a *Agent) Self() map[string]any {
	c := a.config
	stats := map[string]map[string]string{}
	if a.server != nil {
		stats = a.server.Stats()
	}
	stats["runtime"] = map[string]string{
		"arch": runtime.GOARCH, "version": runtime.Version(), "goroutines": strconv.Itoa(runtime.NumGoroutine()),
		"cpu_count": strconv.Itoa(runtime.NumCPU()), "kernel.name": runtime.GOOS,
	}
	if n := a.node.Load(); n != nil {
		for k, v := range n.Stats() {
			stats[k] = v
		}
	}
	return map[string]any{
		"config": map[string]any{
			"Region": c.Region, "Datacenter": c.Datacenter, "NodeName": c.Name, "DataDir": a.dirs.data, "PluginDir": a.dirs.plugins,
			"LogLevel": c.LogLevel, "BindAddr": c.BindAddr, "DevMode": c.DevMode, "EnableDebug": c.EnableDebug,
			"Ports":   map[string]int{"HTTP": c.Ports.HTTP, "RPC": c.Ports.RPC, "Serf": c.Ports.Serf},
			"Server":  map[string]any{"Enabled": c.Server.Enabled, "BootstrapExpect": c.Server.BootstrapExpect},
			"Client":  map[string]any{"Enabled": c.Client.Enabled, "NodeClass": c.Client.NodeClass, "NodePool": c.Client.NodePool, "Meta": c.Client.Meta},
			"ACL":     map[string]any{"Enabled": false},
			"UI":      map[string]any{"Enabled": false},
			"Version": map[string]any{"Version": a.Version(), "DroverVersion": a.version},
		},
		"member": a.member(),
		"stats":  stats,
	}
}

// nodeTrouble is why the node cannot be given work, as far as this agent knows; nil when it can.
func (a *Agent) nodeTrouble(n *node.Node) error {
	trouble := n.Trouble()
	if a.server == nil {
		return trouble
	}
	known := a.server.State().Snapshot().Node(n.ID())
	switch {
	case known != nil && known.Status == model.NodeStatusReady:
		return nil
	case trouble != nil:
		return trouble
	case known == nil:
		return errors.New("the servers do not know this node: it is registering, or was purged")
	}
	return fmt.Errorf("the servers take this node for %s", known.Status)
}

func (a *Agent) member() any {
	if a.server != nil {
		return a.server.Self()
	}
	return map[string]any{"Name": a.config.Name, "Tags": map[string]string{"build": a.Version()}}
}

// Identity is who this agent is.
func (a *Agent) Identity() (name, region, datacenter string) {
	return a.config.Name, a.config.Region, a.config.Datacenter
}

// Version is the version that existing clients compare against; Drover's own is shown beside it.
func (a *Agent) Version() string { return fingerprint.CompatVersion }

// NodeID is the node part's, "" without one.
func (a *Agent) NodeID() string {
	n := a.node.Load()
	if n == nil {
		return ""
	}
	return n.ID()
}

// Health says how the parts are.
func (a *Agent) Health() (srv, client *api.PartHealth) {
	if a.server != nil {
		srv = &api.PartHealth{OK: true, Message: "ok"}
		if a.server.Leader() == "" {
			srv = &api.PartHealth{Message: "No cluster leader"}
		}
	}
	if a.config.Client.Enabled {
		client = &api.PartHealth{Message: "starting: plugins are being asked what they offer"}
		if n := a.node.Load(); n != nil {
			client = &api.PartHealth{OK: true, Message: "ok"}
			if trouble := a.nodeTrouble(n); trouble != nil {
				client = &api.PartHealth{Message: trouble.Error()}
			}
		}
	}
	return srv, client
}

// Reload reads the configuration again and applies what can change while running: certificates, log level
// and plugin blocks. With a plugin's name it applies that plugin's block alone.
func (a *Agent) Reload(plugin string) error {
	if a.reload == nil {
		return rpc.Errorf(rpc.ErrInvalid, "this agent was started without a configuration file: there is nothing to reload")
	}
	next, err := a.reload()
	if err != nil {
		return rpc.Errorf(rpc.ErrInvalid, "%s", err)
	}
	if err := next.Validate(); err != nil && !next.DevMode {
		return rpc.Errorf(rpc.ErrInvalid, "%s", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if plugin != "" {
		return a.reloadPlugin(next, plugin)
	}
	renew, err := a.readCertificates(next)
	if err != nil {
		return rpc.Errorf(rpc.ErrInvalid, "%s", err)
	}
	renew()
	if next.LogLevel != a.config.LogLevel {
		a.logger.SetLevel(hclog.LevelFromString(next.LogLevel))
		a.logger.Info("log level changed", "level", next.LogLevel)
	}
	if plugins := a.plugins.Load(); plugins != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		asked, err := pluginTrust(next)
		if err != nil {
			return rpc.Errorf(rpc.ErrInvalid, "%s", err)
		}
		plugins.SetTrust(asked)
		if err := plugins.Reload(ctx, blocks(next)); err != nil {
			return refusedBlock(err)
		}
	}
	a.config.LogLevel, a.config.Plugins, a.config.PluginTrust = next.LogLevel, next.Plugins, next.PluginTrust
	return nil
}

func (a *Agent) reloadPlugin(next *config.Config, plugin string) error {
	plugins := a.plugins.Load()
	if plugins == nil {
		if a.config.Client.Enabled {
			return errors.New("this agent's client part is starting: try again")
		}
		return errors.New("this agent runs no plugins: its client part is off")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := plugins.ReloadPlugin(ctx, blocks(next), plugin)
	if errors.Is(err, pluginhost.ErrUnknownPlugin) {
		return rpc.Errorf(rpc.ErrNotFound, "no plugin %q on this node: `drover plugin list` names those there are", plugin)
	}
	return refusedBlock(err)
}

// refusedBlock tells what the operator has to change from what may go well the next time.
func refusedBlock(err error) error {
	if errors.Is(err, pluginhost.ErrBlock) {
		return rpc.Errorf(rpc.ErrInvalid, "%s", err)
	}
	return err
}

// Metrics answers /v1/metrics.
func (a *Agent) Metrics() http.Handler {
	return telemetry.Handler(a.config.Name, a.config.Telemetry.PrometheusMetrics, a.serverGauges, a.nodeGauges)
}

func blocks(c *config.Config) []pluginhost.Block {
	var out []pluginhost.Block
	for _, p := range c.Plugins {
		out = append(out, pluginhost.Block{
			Name: p.Name, Args: p.Args, Config: p.Config,
			Require: trust.Level(p.Require), SHA256: p.SHA256, EnvAllow: p.EnvAllow, User: p.User,
			Upgrade: lifecycle.Policy(p.Upgrade),
		})
	}
	return out
}

// pluginTrust is what is asked of plugin binaries. Key files are read again with every reload.
func pluginTrust(c *config.Config) (pluginhost.Trust, error) {
	keys, err := trust.ParseKeys(c.PluginTrust.TrustedKeys)
	if err != nil {
		return pluginhost.Trust{}, fmt.Errorf("plugin_trust.trusted_keys: %w", err)
	}
	return pluginhost.Trust{Require: trust.Level(c.PluginTrust.Require), Keys: keys}, nil
}

func hostNetworks(c *config.Config) map[string]*model.HostNetwork {
	out := map[string]*model.HostNetwork{}
	for _, n := range c.Client.HostNetworks {
		out[n.Name] = &model.HostNetwork{Name: n.Name, CIDR: n.CIDR, Interface: n.Interface, ReservedPorts: n.ReservedPorts}
	}
	return out
}
