package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/host"
)

// What a device plugin may send, at most. A list beyond that is refused.
const (
	deviceGap      = time.Second // between two lists: each one registers the node again
	maxGroups      = 256
	maxInstances   = 4096 // of all groups together
	statsInterval  = 5 * time.Second
	statsReopen    = 5 * time.Second
	maxStatsReopen = 30 * time.Minute
)

// deviceLists follows what a device plugin finds. A plugin that says it is disabled is not asked again.
func (g *generation) deviceLists(ctx context.Context, s *session) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g.reopen(ctx, func() error {
		return s.client.Device().Fingerprint(ctx, func(groups []device.Group) error {
			if err := checkGroups(groups); err != nil {
				return err
			}
			g.devicesFound(ctx, s, groups)
			return pause(ctx, deviceGap)
		})
	}, func(err error) {
		switch {
		case err == nil:
		case strings.Contains(err.Error(), device.ErrDisabled.Error()):
			g.keepDevices(nil, "")
			g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Health, Reason: device.ErrDisabled.Error()})
			stop()
		default:
			g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Lost, Reason: "failed to list its devices: " + cut(err.Error(), maxDescription)})
			if errors.Is(err, host.ErrPluginDown) {
				g.endIfCutOff(ctx, s)
			}
		}
	})
}

// checkGroups reports why a list cannot be used; that each group is well formed has been checked.
func checkGroups(groups []device.Group) error {
	if len(groups) > maxGroups {
		return fmt.Errorf("it lists %d groups of devices, more than %d", len(groups), maxGroups)
	}
	seen, total := map[string]bool{}, 0
	for _, g := range groups {
		name := strings.Join([]string{g.Vendor, g.Type, g.Name}, "/")
		switch {
		case len(name) > 3*maxName:
			return fmt.Errorf("the name %.60q of a group of devices is longer than %d characters", name, 3*maxName)
		case strings.ContainsAny(g.Vendor+g.Type, "/\x00"):
			return fmt.Errorf("device group %q: vendor and type have no slash", name)
		case seen[name]:
			return fmt.Errorf("it lists the device group %s twice", name)
		case len(g.Attributes) > maxAttributes:
			return fmt.Errorf("device group %s has %d attributes, more than %d", name, len(g.Attributes), maxAttributes)
		}
		seen[name] = true
		ids := map[string]bool{}
		for _, d := range g.Devices {
			if ids[d.ID] || len(d.ID) > maxAttributeKey {
				return fmt.Errorf("device group %s: the id %.60q is there twice or longer than %d characters", name, d.ID, maxAttributeKey)
			}
			ids[d.ID] = true
		}
		if total += len(g.Devices); total > maxInstances {
			return fmt.Errorf("it lists more than %d devices", maxInstances)
		}
	}
	return nil
}

// devicesFound takes over a list, which replaces the one before.
func (g *generation) devicesFound(ctx context.Context, s *session, groups []device.Group) {
	found := make([]*model.NodeDevice, 0, len(groups))
	sick, total := 0, 0
	for _, group := range groups {
		d := nodeDevice(group)
		for _, i := range d.Instances {
			total++
			if !i.Healthy {
				sick++
			}
		}
		found = append(found, d)
	}
	words := fmt.Sprintf("%d devices", total)
	if sick > 0 {
		words += fmt.Sprintf(", %d of them unhealthy", sick)
	}
	g.keepDevices(found, words)
	g.postFrom(ctx, s, devicesListed(words))
}

func (g *generation) keepDevices(found []*model.NodeDevice, words string) {
	h := g.family.host
	h.mu.Lock()
	defer h.mu.Unlock()
	g.devices, g.deviceWords = found, words
}

// devicesListed is what a list says of the plugin's health: it is well, even if its devices are not.
func devicesListed(words string) lifecycle.Event {
	return lifecycle.Event{Kind: lifecycle.Health, Reason: words, Healthy: true, Detected: true}
}

func nodeDevice(g device.Group) *model.NodeDevice {
	d := &model.NodeDevice{Vendor: g.Vendor, Type: g.Type, Name: g.Name, Attributes: map[string]*model.DeviceAttribute{}}
	for key, value := range g.Attributes {
		if len(key) <= maxAttributeKey && len(value.Format()) <= maxAttributeText {
			d.Attributes[key] = deviceAttribute(value)
		}
	}
	for _, i := range g.Devices {
		out := &model.NodeDeviceInstance{ID: i.ID, Healthy: i.Healthy, HealthDescription: cut(i.HealthDescription, maxDescription)}
		if i.PCIBusID != "" {
			out.Locality = &model.NodeDeviceLocality{PciBusID: cut(i.PCIBusID, maxName)}
		}
		d.Instances = append(d.Instances, out)
	}
	return d
}

func deviceAttribute(v attribute.Value) *model.DeviceAttribute {
	a := &model.DeviceAttribute{Unit: v.Unit}
	switch v.Kind {
	case attribute.KindInt:
		a.Int = &v.Int
	case attribute.KindFloat:
		a.Float = &v.Float
	case attribute.KindBool:
		a.Bool = &v.Bool
	case attribute.KindString:
		a.String = &v.String
	}
	return a
}

// deviceSamples keeps the latest statistics. A plugin that ends the stream has none.
func (g *generation) deviceSamples(ctx context.Context, s *session) {
	wait := statsReopen
	for {
		err := s.client.Device().Stats(ctx, statsInterval, func(groups []device.GroupStats) error {
			g.keepSamples(groups)
			wait = statsReopen
			return pause(ctx, statsInterval/2) // samples that come faster are held back
		})
		g.keepSamples(nil)
		if err == nil || errors.Is(err, host.ErrUnimplemented) || errors.Is(err, host.ErrPluginDown) || pause(ctx, wait) != nil {
			return
		}
		g.log.Debug("no device statistics", "error", err)
		wait = min(2*wait, maxStatsReopen)
	}
}

func (g *generation) keepSamples(groups []device.GroupStats) {
	if len(groups) > maxGroups {
		groups = groups[:maxGroups]
	}
	h := g.family.host
	h.mu.Lock()
	defer h.mu.Unlock()
	g.deviceStats = groups
}
