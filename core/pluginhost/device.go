package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
)

// ErrNoDevice: no plugin that runs offers the devices now; the text says why.
var ErrNoDevice = errors.New("device is not available")

// ReserveDevices asks the plugin that offers the devices what a task needs to use them. It may be repeated. Errors:
// ErrNoDevice while no plugin offers all of them, or one of them is unhealthy; ErrPluginDown; what the plugin says.
func (h *Host) ReserveDevices(ctx context.Context, d *model.AllocatedDevice) (*device.Reservation, error) {
	s, err := h.deviceSession(d)
	if err != nil {
		return nil, err
	}
	r, err := s.client.Device().Reserve(ctx, d.DeviceIDs)
	if err != nil {
		return nil, fmt.Errorf("device %s: %w", d.ID(), err)
	}
	return r, nil
}

// ReleaseDevices says that a task no longer uses the devices. Plugins without the extension, and those that are gone,
// need not know.
func (h *Host) ReleaseDevices(ctx context.Context, d *model.AllocatedDevice) error {
	h.mu.Lock()
	g := h.deviceOwner(d.ID())
	var s *session
	if g != nil {
		s = g.session
	}
	h.mu.Unlock()
	if s == nil || !s.extensions.Has(plugin.ExtensionDeviceRelease) {
		return nil
	}
	if err := s.client.Device().Release(ctx, d.DeviceIDs); err != nil {
		return fmt.Errorf("device %s: %w", d.ID(), err)
	}
	return nil
}

// DeviceStats are the latest samples of all device plugins that measure.
func (h *Host) DeviceStats() []device.GroupStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []device.GroupStats
	for _, file := range sortedKeys(h.families) {
		if g := h.families[file].shown(); g != nil && g.session != nil {
			all = append(all, g.deviceStats...)
		}
	}
	return all
}

// deviceSession is the process to ask for devices, if it can be asked now.
func (h *Host) deviceSession(want *model.AllocatedDevice) (*session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return nil, ErrStopped
	}
	g := h.deviceOwner(want.ID())
	if g == nil {
		return nil, fmt.Errorf("device %s: %w: no plugin on this node offers it", want.ID(), ErrNoDevice)
	}
	if g.session == nil || g.machine.UpSince.IsZero() {
		return nil, fmt.Errorf("device %s: %w: plugin %s: %s", want.ID(), ErrNoDevice, g.name, waitingFor(g))
	}
	group := g.devices[slices.IndexFunc(g.devices, func(d *model.NodeDevice) bool { return d.ID() == want.ID() })]
	for _, id := range want.DeviceIDs {
		i := slices.IndexFunc(group.Instances, func(i *model.NodeDeviceInstance) bool { return i.ID == id })
		switch {
		case i < 0:
			return nil, fmt.Errorf("device %s %s: %w: plugin %s no longer lists it", want.ID(), id, ErrNoDevice, g.name)
		case !group.Instances[i].Healthy:
			return nil, fmt.Errorf("device %s %s: %w: it is unhealthy: %s", want.ID(), id, ErrNoDevice, group.Instances[i].HealthDescription)
		}
	}
	return g.session, nil
}

// deviceOwner is the generation whose word on a group of devices counts; nil = none offers it. Of two files that offer
// the same group, the first in alphabetical order counts. The lock is held.
func (h *Host) deviceOwner(id string) *generation {
	for _, file := range sortedKeys(h.families) {
		g := h.families[file].shown()
		if g == nil || g.retired() {
			continue
		}
		for _, d := range g.devices {
			if d.ID() == id {
				return g
			}
		}
	}
	return nil
}

// addDevices puts a plugin's devices on the picture. Those of a plugin that is not well are shown as unhealthy, so that
// they are not given out. The lock is held.
func (h *Host) addDevices(s *Snapshot, g *generation) {
	if g.retired() {
		return
	}
	why := ""
	switch shown := g.machine.Shown; {
	case g.machine.Leaving != "":
		why = g.machine.Leaving
	case !shown.Healthy:
		why = shown.Description
	}
	for _, d := range g.devices {
		if owner := h.deviceOwner(d.ID()); owner != g {
			continue
		}
		if why != "" {
			d = unhealthy(d, fmt.Sprintf("plugin %s: %s", g.name, why))
		}
		s.Devices = append(s.Devices, d)
	}
	slices.SortFunc(s.Devices, func(a, b *model.NodeDevice) int { return strings.Compare(a.ID(), b.ID()) })
}

func unhealthy(d *model.NodeDevice, why string) *model.NodeDevice {
	out := *d
	out.Instances = make([]*model.NodeDeviceInstance, len(d.Instances))
	for i, inst := range d.Instances {
		sick := *inst
		if sick.Healthy {
			sick.Healthy, sick.HealthDescription = false, why
		}
		out.Instances[i] = &sick
	}
	return &out
}

// overruled names the groups of devices that another plugin offers too, whose word counts. The lock is held.
func (g *generation) overruled() string {
	for _, d := range g.devices {
		if owner := g.family.host.deviceOwner(d.ID()); owner != nil && owner.family != g.family {
			return fmt.Sprintf("device group %s is also offered by %s, whose devices are used", d.ID(), owner.family.file)
		}
	}
	return ""
}
