// Command counters is a device plugin on our SDK that uses all of the contract: every form of attribute and statistic, a
// broken device, places and mounts. The other project's client must understand it.
package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
)

func main() {
	plugin.Serve(device.New(device.Info{Name: "counters", Version: "1.0.0"}, &counters{}))
}

type counters struct {
	broken  atomic.Pointer[string]
	samples atomic.Int64
}

type config struct {
	Broken string `config:"broken" default:"c9"`
}

var (
	_ device.WithConfig              = (*counters)(nil)
	_ device.WithStats               = (*counters)(nil)
	_ device.WithFingerprintInterval = (*counters)(nil)
)

func (c *counters) Config() plugin.ConfigHandler {
	return plugin.Configure(func(_ context.Context, conf *plugin.Configuration[config]) error {
		c.broken.Store(&conf.Config.Broken)
		return nil
	})
}

func (c *counters) FingerprintInterval() time.Duration { return 20 * time.Millisecond }

// Fingerprint changes with the second look: a device is added.
func (c *counters) Fingerprint(context.Context) ([]device.Group, error) {
	g := device.Group{Vendor: "test", Type: "counter", Name: "model one", Attributes: map[string]attribute.Value{
		"truth": attribute.Truth(true), "text": attribute.Text("word"), "memory": attribute.Int(4, "GiB"), "ratio": attribute.Float(0.25, ""),
	}}
	for i := range 2 {
		in := device.Instance{ID: fmt.Sprint("c", i), Healthy: true, PCIBusID: fmt.Sprintf("0000:00:%02d.0", i)}
		if in.ID == *c.broken.Load() {
			in.Healthy, in.HealthDescription = false, "it miscounts"
		}
		g.Devices = append(g.Devices, in)
	}
	return []device.Group{g}, nil
}

func (c *counters) Reserve(_ context.Context, r *device.ReserveRequest) (*device.Reservation, error) {
	out := &device.Reservation{Env: map[string]string{"COUNTERS": fmt.Sprint(r.DeviceIDs)}, Mounts: []device.Mount{{TaskPath: "/c", HostPath: "/etc", ReadOnly: true}}}
	for _, id := range r.DeviceIDs {
		if id != "c0" && id != "c1" {
			return nil, fmt.Errorf("there is no counter %q", id)
		}
		out.Devices = append(out.Devices, device.Node{TaskPath: "/dev/" + id, HostPath: "/dev/null", Permissions: "rwm"})
	}
	return out, nil
}

func (c *counters) Stats(context.Context) ([]device.GroupStats, error) {
	n, of := c.samples.Add(1), int64(100)
	f, fof, text, truth := 0.5, 2.0, "busy", true
	summary := device.Stat{Int: &n, IntOf: &of, Unit: "MiB", Description: "counted"}
	return []device.GroupStats{{Vendor: "test", Type: "counter", Name: "model one", Instances: map[string]device.Stats{
		"c0": {Summary: summary, Tree: device.StatTree{
			Values: map[string]device.Stat{"f": {Float: &f, FloatOf: &fof}, "text": {Text: &text}, "truth": {Truth: &truth}},
			Nested: map[string]device.StatTree{"deeper": {Values: map[string]device.Stat{"n": {Int: &n}}}},
		}},
	}}}, nil
}
