package driver

import (
	"context"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/plugin"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
	"github.com/droverhq/drover/sdk/schema"
)

// New makes a plugin of a driver, to be given to plugin.Serve or to plugintest.
func New[C, S any](info Info, d Driver[C, S]) plugin.Plugin {
	return &plugged[C, S]{info: info, impl: d, server: newServer(info, d)}
}

// plugged is the part of a driver that every plugin has.
type plugged[C, S any] struct {
	info   Info
	impl   Driver[C, S]
	server *server[C, S]
}

func (p *plugged[C, S]) Info() plugin.Info {
	return plugin.Info{
		Type:        plugin.TypeDriver,
		Name:        p.info.Name,
		Version:     p.info.Version,
		APIVersions: []string{plugin.APIVersion},
	}
}

func (p *plugged[C, S]) ConfigSchema() (*schema.Spec, error) {
	if w, ok := p.impl.(WithConfig); ok {
		return w.Config().Schema()
	}
	return nil, nil
}

func (p *plugged[C, S]) SetConfig(ctx context.Context, raw *plugin.RawConfig) error {
	if w, ok := p.impl.(WithConfig); ok {
		return w.Config().Apply(ctx, raw)
	}
	return nil
}

func (p *plugged[C, S]) Register(s grpc.ServiceRegistrar) {
	driverv1.RegisterServer(s, p.server)
	if _, ok := p.impl.(WithConfigCheck[C]); ok {
		extensionv1.RegisterConfigCheckServer(s, configCheck[C]{p.server.checkConfig})
	}
	if w, ok := p.impl.(WithHandOver); ok {
		extensionv1.RegisterHandOverServer(s, handOver[C, S]{p.server, w})
	}
}

func (p *plugged[C, S]) Extensions() []string {
	var names []string
	if _, ok := p.impl.(WithConfigCheck[C]); ok {
		names = append(names, plugin.ExtensionConfigCheck)
	}
	if _, ok := p.impl.(WithHandOver); ok {
		names = append(names, plugin.ExtensionHandOver)
	}
	return names
}

func (p *plugged[C, S]) Detail() *extensionv1.CapabilityDetail {
	_, stats := p.impl.(WithStats)
	_, exec := p.impl.(WithExec)
	return &extensionv1.CapabilityDetail{Stats: stats, ExecTty: exec, StateVersion: int32(p.server.stateVersion())}
}

func (p *plugged[C, S]) Close() { p.server.close() }
