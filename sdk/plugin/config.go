package plugin

import (
	"context"

	"github.com/droverhq/drover/sdk/schema"
)

// ConfigHandler takes a plugin's own configuration. Configure makes one.
type ConfigHandler interface {
	Schema() (*schema.Spec, error)
	Apply(ctx context.Context, raw *RawConfig) error
}

// Configuration is a plugin's own configuration, P being a struct with `config` tags (see schema.Decode).
type Configuration[P any] struct {
	Config P
	// Node is nil while the host only checks the configuration: then nothing must be stored or opened.
	Node *NodeConfig
	Host HostInfo
}

// Configure makes a handler from a function that takes a typed configuration. The function may be called several times;
// the last call with a Node counts.
func Configure[P any](f func(ctx context.Context, c *Configuration[P]) error) ConfigHandler {
	return configFunc[P](f)
}

type configFunc[P any] func(ctx context.Context, c *Configuration[P]) error

func (configFunc[P]) Schema() (*schema.Spec, error) { return schema.Of[P]() }

func (f configFunc[P]) Apply(ctx context.Context, raw *RawConfig) error {
	c := &Configuration[P]{Node: raw.Node, Host: raw.Host}
	if err := schema.Decode(raw.Msgpack, &c.Config); err != nil {
		return err
	}
	return f(ctx, c)
}
