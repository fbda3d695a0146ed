// Command thirdparty-device is a device plugin as its author would have shipped it. Its devices are files that every
// machine has.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/helper/pointer"
	"github.com/hashicorp/nomad/plugins"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/device"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/hashicorp/nomad/plugins/shared/structs"
)

func main() {
	plugins.ServeCtx(func(ctx context.Context, log hclog.Logger) interface{} { return &files{log: log} })
}

// files offers device files: the sinks and the sources.
type files struct {
	log    hclog.Logger
	config struct {
		Broken string `codec:"broken"`
	}
}

var groups = []struct {
	name  string
	paths []string
}{
	{"sink", []string{"/dev/null", "/dev/full"}},
	{"source", []string{"/dev/zero"}},
}

func (f *files) PluginInfo() (*base.PluginInfoResponse, error) {
	return &base.PluginInfoResponse{Type: base.PluginTypeDevice, PluginApiVersions: []string{device.ApiVersion010}, PluginVersion: "0.3.0", Name: "files"}, nil
}

func (f *files) ConfigSchema() (*hclspec.Spec, error) {
	return hclspec.NewObject(map[string]*hclspec.Spec{"broken": hclspec.NewAttr("broken", "string", false)}), nil
}

func (f *files) SetConfig(c *base.Config) error {
	if len(c.PluginConfig) == 0 {
		return nil
	}
	return base.MsgPackDecode(c.PluginConfig, &f.config)
}

func (f *files) Fingerprint(ctx context.Context) (<-chan *device.FingerprintResponse, error) {
	ch := make(chan *device.FingerprintResponse, 1)
	var all []*device.DeviceGroup
	for _, g := range groups {
		group := &device.DeviceGroup{Vendor: "posix", Type: "file", Name: g.name, Attributes: map[string]*structs.Attribute{
			"block":  structs.NewBoolAttribute(false),
			"buffer": structs.NewIntAttribute(4, structs.UnitKiB),
			"ratio":  structs.NewFloatAttribute(0.5, ""),
			"kind":   structs.NewStringAttribute("character"),
		}}
		for i, p := range g.paths {
			d := &device.Device{ID: p, Healthy: p != f.config.Broken, HwLocality: &device.DeviceLocality{PciBusID: fmt.Sprintf("0000:00:%02d.0", i)}}
			if !d.Healthy {
				d.HealthDesc = "broken by configuration"
			}
			group.Devices = append(group.Devices, d)
		}
		all = append(all, group)
	}
	ch <- device.NewFingerprint(all...)
	go func() {
		<-ctx.Done()
		close(ch)
	}()
	return ch, nil
}

func (f *files) Reserve(ids []string) (*device.ContainerReservation, error) {
	r := &device.ContainerReservation{Envs: map[string]string{}, Mounts: []*device.Mount{{TaskPath: "/files", HostPath: "/etc", ReadOnly: true}}}
	for i, id := range ids {
		if !known(id) {
			return nil, fmt.Errorf("unknown device %q", id)
		}
		r.Envs[fmt.Sprintf("FILE_%d", i)] = id
		r.Devices = append(r.Devices, &device.DeviceSpec{TaskPath: "/dev/file" + fmt.Sprint(i), HostPath: id, CgroupPerms: "rw"})
	}
	return r, nil
}

func known(id string) bool {
	for _, g := range groups {
		for _, p := range g.paths {
			if p == id {
				return true
			}
		}
	}
	return false
}

func (f *files) Stats(ctx context.Context, interval time.Duration) (<-chan *device.StatsResponse, error) {
	ch := make(chan *device.StatsResponse)
	go func() {
		defer close(ch)
		timer := time.NewTimer(0)
		for n := int64(1); ; n++ {
			select {
			case <-timer.C:
				timer.Reset(interval)
			case <-ctx.Done():
				return
			}
			resp := &device.StatsResponse{}
			for _, g := range groups {
				gs := &device.DeviceGroupStats{Vendor: "posix", Type: "file", Name: g.name, InstanceStats: map[string]*device.DeviceStats{}}
				for _, p := range g.paths {
					v := &structs.StatValue{IntNumeratorVal: pointer.Of(n), IntDenominatorVal: pointer.Of(int64(100)), Unit: "KiB", Desc: "bytes moved"}
					gs.InstanceStats[p] = &device.DeviceStats{Summary: v, Timestamp: time.Now(),
						Stats: &structs.StatObject{Attributes: map[string]*structs.StatValue{"moved": v}}}
				}
				resp.Groups = append(resp.Groups, gs)
			}
			select {
			case ch <- resp:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, nil
}
