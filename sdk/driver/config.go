package driver

import (
	"context"

	"github.com/droverhq/drover/sdk/plugin"
)

// ConfigHandler takes the driver's own configuration. Configure makes one.
type ConfigHandler = plugin.ConfigHandler

// Configuration is a driver's own configuration, P being a struct with `config` tags.
type Configuration[P any] = plugin.Configuration[P]

// Configure makes a handler from a function that takes a typed configuration. The function may be called several times;
// the last call with a Node counts.
func Configure[P any](f func(ctx context.Context, c *Configuration[P]) error) ConfigHandler {
	return plugin.Configure(f)
}
