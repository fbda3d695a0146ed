package plugin

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	basev1 "github.com/droverhq/drover/sdk/proto/base/v1"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
)

// SDKVersion is the version of this SDK, for people.
const SDKVersion = "0.1.0"

// base answers what every plugin is asked.
type base struct {
	plugin Plugin

	mu   sync.Mutex
	host HostInfo
}

var (
	_ basev1.Server                = (*base)(nil)
	_ extensionv1.ExtensionsServer = (*base)(nil)
)

func registerBase(s grpc.ServiceRegistrar, p Plugin) {
	b := &base{plugin: p}
	basev1.RegisterServer(s, b)
	extensionv1.RegisterExtensionsServer(s, b)
}

func (b *base) PluginInfo(context.Context, *basev1.PluginInfoRequest) (*basev1.PluginInfoResponse, error) {
	info := b.plugin.Info()
	return &basev1.PluginInfoResponse{
		Type:              basev1.PluginType(info.Type),
		PluginApiVersions: info.APIVersions,
		PluginVersion:     info.Version,
		Name:              info.Name,
	}, nil
}

func (b *base) ConfigSchema(context.Context, *basev1.ConfigSchemaRequest) (*basev1.ConfigSchemaResponse, error) {
	spec, err := b.plugin.ConfigSchema()
	if err != nil {
		return nil, err
	}
	return &basev1.ConfigSchemaResponse{Spec: spec.Proto()}, nil
}

func (b *base) SetConfig(ctx context.Context, req *basev1.SetConfigRequest) (*basev1.SetConfigResponse, error) {
	b.mu.Lock()
	host := b.host
	b.mu.Unlock()
	err := b.plugin.SetConfig(ctx, &RawConfig{
		Msgpack:    req.GetMsgpackConfig(),
		Node:       NodeConfigFromProto(req.GetNomadConfig()),
		APIVersion: req.GetPluginApiVersion(),
		Host:       host,
	})
	if err != nil {
		return nil, err
	}
	return &basev1.SetConfigResponse{}, nil
}

func (b *base) Negotiate(_ context.Context, req *extensionv1.NegotiateRequest) (*extensionv1.NegotiateResponse, error) {
	b.mu.Lock()
	b.host = HostInfo{Name: req.GetHostName(), Version: req.GetHostVersion(), DevMode: req.GetDevMode()}
	b.mu.Unlock()
	return &extensionv1.NegotiateResponse{
		Extensions:   b.plugin.Extensions(),
		SdkVersion:   SDKVersion,
		Capabilities: b.plugin.Detail(),
	}, nil
}
