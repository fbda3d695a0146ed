package device_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/internal/prototest"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
	devicev1 "github.com/droverhq/drover/sdk/proto/device/v1"
)

func TestNoFieldIsLost(t *testing.T) {
	for variant := range 4 {
		group := &devicev1.DeviceGroup{}
		prototest.Fill(group, variant, nil)
		g := device.GroupFromProto(group)
		reservation := &devicev1.ContainerReservation{}
		prototest.Fill(reservation, variant, nil)
		stats := &devicev1.DeviceGroupStats{}
		prototest.Fill(stats, variant, nil)
		s := device.GroupStatsFromProto(stats, time.Time{})
		for name, pair := range map[string][2]proto.Message{
			"group":       {group, g.Proto()},
			"reservation": {reservation, device.ReservationFromProto(reservation).Proto()},
			"stats":       {stats, s.Proto(time.Time{})},
		} {
			if !proto.Equal(pair[0], pair[1]) {
				t.Errorf("%s: sent %v\nback %v", name, pair[0], pair[1])
			}
		}
	}
}

// gpu is a device plugin with every ability.
type gpu struct {
	groups   []device.Group
	err      error
	mu       sync.Mutex
	released []string
	node     *plugin.NodeConfig
}

type gpuConfig struct {
	Enabled bool `config:"enabled" default:"true"`
}

func (g *gpu) Config() plugin.ConfigHandler { return plugin.Configure(g.configure) }
func (g *gpu) configure(_ context.Context, c *plugin.Configuration[gpuConfig]) error {
	g.node = c.Node
	if !c.Config.Enabled {
		g.err = device.ErrDisabled
	}
	return nil
}
func (g *gpu) Fingerprint(context.Context) ([]device.Group, error) { return g.groups, g.err }
func (g *gpu) Reserve(_ context.Context, r *device.ReserveRequest) (*device.Reservation, error) {
	return &device.Reservation{
		Env:     map[string]string{"VISIBLE": strings.Join(r.DeviceIDs, ",")},
		Devices: []device.Node{{TaskPath: "/dev/x", HostPath: "/dev/x", Permissions: "rw"}},
	}, nil
}
func (g *gpu) Stats(context.Context) ([]device.GroupStats, error) {
	used := int64(5)
	return []device.GroupStats{{Vendor: "v", Type: "gpu", Name: "n", Instances: map[string]device.Stats{"0": {Summary: device.Stat{Int: &used, Unit: "MiB"}}}}}, nil
}
func (g *gpu) Release(_ context.Context, ids []string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.released = ids
	return nil
}

func oneGPU() []device.Group {
	return []device.Group{{
		Vendor: "v", Type: "gpu", Name: "n",
		Devices:    []device.Instance{{ID: "0", Healthy: true, PCIBusID: "0000:01"}},
		Attributes: map[string]attribute.Value{"memory": attribute.Int(11, "GiB")},
	}}
}

func TestDevicePlugin(t *testing.T) {
	g := &gpu{groups: oneGPU()}
	c := plugintest.Serve(t, device.New(device.Info{Name: "gpu", Version: "0.1.0"}, g))
	ctx := t.Context()
	info, err := c.Info(ctx)
	if err != nil || info.Type != plugin.TypeDevice || info.Name != "gpu" || info.APIVersions[0] != "v0.1.0" {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := c.SetConfig(ctx, &plugin.RawConfig{Node: &plugin.NodeConfig{Topology: plugintest.OneCore()}}); err != nil {
		t.Fatal(err)
	}
	if g.node == nil || g.node.Topology != nil {
		t.Errorf("device plugins do not get the node's facts, got %+v", g.node)
	}
	err = c.Device().Fingerprint(ctx, func(got []device.Group) error {
		if !reflect.DeepEqual(got, oneGPU()) {
			t.Errorf("got %+v", got)
		}
		return io.EOF
	})
	if err != io.EOF {
		t.Error(err)
	}
	r, err := c.Device().Reserve(ctx, []string{"0", "1"})
	if err != nil || r.Env["VISIBLE"] != "0,1" || len(r.Devices) != 1 {
		t.Errorf("got %+v, %v", r, err)
	}
	err = c.Device().Stats(ctx, time.Hour, func(s []device.GroupStats) error {
		if got := s[0].Instances["0"]; *got.Summary.Int != 5 || got.Timestamp.IsZero() {
			t.Errorf("got %+v", got)
		}
		return io.EOF
	})
	if err != io.EOF {
		t.Error(err)
	}
	if err := c.Device().Release(ctx, []string{"1"}); err != nil || len(g.released) != 1 {
		t.Errorf("got %v, %v", g.released, err)
	}
	ext, err := c.Negotiate(ctx, plugin.HostInfo{})
	if err != nil || !ext.Has(plugin.ExtensionDeviceRelease) {
		t.Errorf("got %+v, %v", ext, err)
	}
}

// TestBadFingerprintsEndTheStream: a host shuts the instance down for good.
func TestBadFingerprintsEndTheStream(t *testing.T) {
	tests := map[string]struct {
		change func(*gpu)
		want   string
	}{
		"disabled":             {func(g *gpu) { g.err = device.ErrDisabled }, "device is not enabled"},
		"no vendor":            {func(g *gpu) { g.groups[0].Vendor = "" }, "must not be empty"},
		"no devices":           {func(g *gpu) { g.groups[0].Devices = nil }, "no devices"},
		"no id":                {func(g *gpu) { g.groups[0].Devices[0].ID = "" }, "no id"},
		"unit that is unknown": {func(g *gpu) { g.groups[0].Attributes["memory"] = attribute.Int(1, "parsec") }, "parsec"},
		"unit without number": {func(g *gpu) {
			g.groups[0].Attributes["memory"] = attribute.Value{Kind: attribute.KindString, Unit: "MiB"}
		}, "only a number"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := &gpu{groups: oneGPU()}
			test.change(g)
			c := plugintest.Serve(t, device.New(device.Info{Name: "gpu", Version: "0.1.0"}, g))
			err := c.Device().Fingerprint(t.Context(), func([]device.Group) error { return errors.New("accepted") })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
