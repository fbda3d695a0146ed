package node

import (
	"cmp"
	"context"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/core/pluginhost"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/driver"
)

// FromPluginHost makes package pluginhost's Host fit the node.
func FromPluginHost(h *pluginhost.Host) PluginHost { return realHost{h} }

type realHost struct{ h *pluginhost.Host }

var (
	_ PluginHost        = realHost{}
	_ taskrunner.Driver = (*pluginhost.Driver)(nil)
)

func (r realHost) Driver(ctx context.Context, name string) (taskrunner.Driver, error) {
	d, err := r.h.Driver(ctx, name)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (r realHost) DriverOf(ctx context.Context, name string, generation uint64) (taskrunner.Driver, error) {
	d, err := r.h.DriverOf(ctx, name, generation)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (r realHost) Subscribe(allocID, task string) (<-chan driver.TaskEvent, func()) {
	return r.h.Subscribe(allocID, task)
}

func (r realHost) Settled(ctx context.Context) error { return r.h.Settled(ctx) }
func (r realHost) Events() <-chan *model.NodeEvent   { return r.h.Events() }
func (r realHost) Recovered()                        { r.h.Recovered() }

func (r realHost) Logs(ctx context.Context, name string, follow bool, fn func(line []byte) error) error {
	return r.h.PluginLogs(ctx, name, follow, fn)
}

func (r realHost) Plugins() (*Plugins, <-chan struct{}) {
	s, changed := r.h.Watch()
	p := &Plugins{Drivers: s.Drivers, Plugins: s.Plugins, Attributes: s.Attributes}
	for _, sc := range s.Schemas {
		p.Schemas = append(p.Schemas, rpc.DriverSchema{Driver: sc.Driver, Version: sc.Version, Digest: sc.Digest, Spec: sc.JSON})
	}
	slices.SortFunc(p.Schemas, func(a, b rpc.DriverSchema) int {
		return cmp.Or(cmp.Compare(a.Driver, b.Driver), cmp.Compare(a.Digest, b.Digest))
	})
	return p, changed
}
