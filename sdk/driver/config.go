package driver

import (
	"context"

	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/schema"
)

// ConfigHandler takes the driver's own configuration. Configure makes one.
type ConfigHandler interface {
	schema() (*schema.Spec, error)
	apply(ctx context.Context, raw *plugin.RawConfig) error
}

// Configuration is a driver's own configuration, P being a struct with `config` tags.
type Configuration[P any] struct {
	Config P
	// Node is nil while the host only checks the configuration: then nothing must be stored or opened.
	Node *plugin.NodeConfig
	Host plugin.HostInfo
}

// Configure makes a handler from a function that takes a typed configuration. The function may be called several times;
// the last call with a Node counts.
func Configure[P any](f func(ctx context.Context, c *Configuration[P]) error) ConfigHandler {
	return configFunc[P](f)
}

type configFunc[P any] func(ctx context.Context, c *Configuration[P]) error

func (configFunc[P]) schema() (*schema.Spec, error) { return schema.Of[P]() }

func (f configFunc[P]) apply(ctx context.Context, raw *plugin.RawConfig) error {
	c := &Configuration[P]{Node: raw.Node, Host: raw.Host}
	if err := schema.Decode(raw.Msgpack, &c.Config); err != nil {
		return err
	}
	return f(ctx, c)
}
