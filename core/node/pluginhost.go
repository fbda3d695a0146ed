package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/network"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/core/pluginhost"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/schema"
)

// FromPluginHost makes package pluginhost's Host fit the node.
func FromPluginHost(h *pluginhost.Host) PluginHost {
	return &realHost{Host: h, schemas: map[string]rpc.DriverSchema{}}
}

type realHost struct {
	*pluginhost.Host
	mu      sync.Mutex
	schemas map[string]rpc.DriverSchema // by the plugin host's digest
}

var (
	_ PluginHost        = (*realHost)(nil)
	_ taskrunner.Driver = (*pluginhost.Driver)(nil)
)

func (r *realHost) Driver(ctx context.Context, name string) (taskrunner.Driver, error) {
	d, err := r.Host.Driver(ctx, name)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (r *realHost) DriverOf(ctx context.Context, name string, generation uint64) (taskrunner.Driver, error) {
	d, err := r.Host.DriverOf(ctx, name, generation)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// DevicesChanged is closed when plugins offer other devices, or the same in another state.
func (r *realHost) DevicesChanged() <-chan struct{} {
	_, changed := r.Watch()
	return changed
}

// ReserveDevices makes errors that may go away by themselves known as such.
func (r *realHost) ReserveDevices(ctx context.Context, d *model.AllocatedDevice) (*device.Reservation, error) {
	res, err := r.Host.ReserveDevices(ctx, d)
	if errors.Is(err, pluginhost.ErrNoDevice) || errors.Is(err, pluginhost.ErrPluginDown) {
		return nil, noDevice{err}
	}
	return res, err
}

type noDevice struct{ error }

func (e noDevice) Unwrap() error      { return e.error }
func (noDevice) Is(target error) bool { return target == taskrunner.ErrNoDevice }

func (r *realHost) Network(ctx context.Context, mode string) (network.Plugin, error) {
	p, err := r.Host.Network(ctx, mode)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (r *realHost) NetworkPlugin(ctx context.Context, name string) (network.Plugin, error) {
	p, err := r.Host.NetworkPlugin(ctx, name)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (r *realHost) Networks() []network.Plugin {
	var all []network.Plugin
	for _, p := range r.Host.Networks() {
		all = append(all, p)
	}
	return all
}

func (r *realHost) Subscribe(allocID, task string) (<-chan driver.TaskEvent, func()) {
	return r.Host.Subscribe(allocID, task)
}

func (r *realHost) Logs(ctx context.Context, name string, follow bool, fn func(line []byte) error) error {
	return r.PluginLogs(ctx, name, follow, fn)
}

// Plugins names schemas by the digest of their wire form, as the servers do.
func (r *realHost) Plugins() (*Plugins, <-chan struct{}) {
	s, changed := r.Watch()
	p := &Plugins{Drivers: make(map[string]*model.DriverInfo, len(s.Drivers)), Devices: s.Devices, Plugins: s.Plugins, Networks: s.NetworkModes,
		Attributes: s.Attributes}
	byDigest := r.wire(s.Schemas)
	for _, sc := range byDigest {
		p.Schemas = append(p.Schemas, sc)
	}
	slices.SortFunc(p.Schemas, func(a, b rpc.DriverSchema) int {
		return cmp.Or(cmp.Compare(a.Driver, b.Driver), cmp.Compare(a.Digest, b.Digest))
	})
	for name, d := range s.Drivers {
		info := *d
		info.SchemaDigest = byDigest[d.SchemaDigest].Digest
		p.Drivers[name] = &info
	}
	return p, changed
}

func (r *realHost) wire(found map[string]pluginhost.Schema) map[string]rpc.DriverSchema {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]rpc.DriverSchema, len(found))
	for digest, sc := range found {
		w, known := r.schemas[digest]
		if !known {
			var ok bool
			if w, ok = wireSchema(sc); !ok {
				continue
			}
		}
		out[digest] = w
	}
	r.schemas = out
	return out
}

// wireSchema is false for a schema that cannot be sent; the driver then counts as having none.
func wireSchema(sc pluginhost.Schema) (rpc.DriverSchema, bool) {
	var spec schema.Spec
	if json.Unmarshal(sc.JSON, &spec) != nil {
		return rpc.DriverSchema{}, false
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec.Proto())
	if err != nil {
		return rpc.DriverSchema{}, false
	}
	sum := sha256.Sum256(b)
	return rpc.DriverSchema{Driver: sc.Driver, Version: sc.Version, Digest: hex.EncodeToString(sum[:]), Spec: b}, true
}
