// Command thirdparty-driver is a task driver as its author would have shipped it: built with nothing but the published
// plugin packages and the executor library of another project, none of Drover's.
package main

import (
	"context"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/plugins"
)

func main() {
	plugins.ServeCtx(func(ctx context.Context, log hclog.Logger) interface{} { return newDriver(ctx, log) })
}
