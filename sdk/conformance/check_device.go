package conformance

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func deviceChecks() []check {
	return []check{
		{name: "device/fingerprint-immediate", of: plugin.TypeDevice, run: checkDevices,
			reason: "a node registers when its device plugins have spoken; a group that breaks the contract ends the plugin's work"},
		{name: "device/fingerprint-stays-open", of: plugin.TypeDevice, run: checkDevicesStay,
			reason: "a stream that ends takes the devices away until the node restarts"},
		{name: "device/reserve", of: plugin.TypeDevice, run: checkReserve,
			reason: "the reservation is mounted and passed into the task as it is"},
		{name: "device/reserve-repeatable", of: plugin.TypeDevice, run: checkReserveRepeatable,
			reason: "the same device is reserved again when a task restarts, and nothing says that it was given back"},
		{name: "device/reserve-unknown", of: plugin.TypeDevice, run: checkReserveUnknown,
			reason: "a task must not start without the device it was promised"},
		{name: "device/stats", of: plugin.TypeDevice, run: checkDeviceStats,
			reason: "statistics are matched to devices by group and id"},
	}
}

// devices returns the first list of groups.
func (s *session) devices(ctx context.Context) (*host.Device, []device.Group, error) {
	p, err := s.process(ctx)
	if err != nil {
		return nil, nil, err
	}
	d := p.Client.Device()
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	var groups []device.Group
	err = d.Fingerprint(ctx, func(g []device.Group) error {
		groups = g
		return enough
	})
	switch {
	case errors.Is(err, enough):
		return d, groups, nil
	case err == nil:
		return nil, nil, errors.New("the stream ended without a list of devices")
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("no list of devices within %s", promptly)
	case strings.Contains(err.Error(), device.ErrDisabled.Error()):
		return nil, nil, skip("the plugin is disabled on this node")
	}
	return nil, nil, err
}

func checkDevices(ctx context.Context, s *session) error {
	_, groups, err := s.devices(ctx)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, g := range groups {
		name := g.Vendor + "/" + g.Type + "/" + g.Name
		if seen[name] {
			return fmt.Errorf("group %s is listed twice", name)
		}
		seen[name] = true
		ids := map[string]bool{}
		for _, d := range g.Devices {
			if ids[d.ID] {
				return fmt.Errorf("group %s lists device %s twice", name, d.ID)
			}
			ids[d.ID] = true
			if !d.Healthy && d.HealthDescription == "" {
				return warn(fmt.Errorf("device %s of group %s is not healthy and does not say why", d.ID, name))
			}
		}
	}
	return nil
}

func checkDevicesStay(ctx context.Context, s *session) error {
	d, _, err := s.devices(ctx)
	if err != nil {
		return err
	}
	return staysOpen(ctx, func(ctx context.Context, opened func()) error {
		return d.Fingerprint(ctx, func([]device.Group) error {
			opened()
			return nil
		})
	})
}

// reserved reserves the first healthy device.
func (s *session) reserved(ctx context.Context) (*host.Device, string, *device.Reservation, error) {
	d, groups, err := s.devices(ctx)
	if err != nil {
		return nil, "", nil, err
	}
	for _, g := range groups {
		for _, instance := range g.Devices {
			if instance.Healthy {
				r, err := d.Reserve(ctx, []string{instance.ID})
				return d, instance.ID, r, err
			}
		}
	}
	return nil, "", nil, skip("this node has no healthy device of the plugin")
}

func checkReserve(ctx context.Context, s *session) error {
	_, id, r, err := s.reserved(ctx)
	if err != nil {
		return err
	}
	if r == nil || len(r.Env)+len(r.Mounts)+len(r.Devices) == 0 {
		return warn(fmt.Errorf("reserving device %s gives a task nothing", id))
	}
	for _, m := range r.Mounts {
		if !filepath.IsAbs(m.HostPath) || m.TaskPath == "" {
			return fmt.Errorf("the mount of %q at %q needs two absolute paths", m.HostPath, m.TaskPath)
		}
	}
	for _, n := range r.Devices {
		if !filepath.IsAbs(n.HostPath) || n.TaskPath == "" {
			return fmt.Errorf("the device file %q at %q needs two absolute paths", n.HostPath, n.TaskPath)
		}
		if strings.Trim(n.Permissions, "rwm") != "" {
			return fmt.Errorf("the permissions %q of device file %s are not a subset of rwm", n.Permissions, n.HostPath)
		}
	}
	return nil
}

func checkReserveRepeatable(ctx context.Context, s *session) error {
	d, id, first, err := s.reserved(ctx)
	if err != nil {
		return err
	}
	again, err := d.Reserve(ctx, []string{id})
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(first, again) {
		return warn(fmt.Errorf("reserving device %s twice gives different answers", id))
	}
	return nil
}

func checkReserveUnknown(ctx context.Context, s *session) error {
	d, _, err := s.devices(ctx)
	if err != nil {
		return err
	}
	if _, err := d.Reserve(ctx, []string{"no-such-device"}); errors.Is(err, host.ErrPluginDown) {
		return err
	} else if err == nil {
		return warn(errors.New("a device that does not exist was reserved"))
	}
	return nil
}

func checkDeviceStats(ctx context.Context, s *session) error {
	d, groups, err := s.devices(ctx)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, g := range groups {
		for _, instance := range g.Devices {
			known[g.Vendor+"/"+g.Type+"/"+g.Name+"/"+instance.ID] = true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	err = d.Stats(ctx, time.Second, func(stats []device.GroupStats) error {
		for _, g := range stats {
			for id := range g.Instances {
				if name := g.Vendor + "/" + g.Type + "/" + g.Name + "/" + id; !known[name] {
					return fmt.Errorf("there are statistics of %s, which is not among the devices", name)
				}
			}
		}
		return enough
	})
	switch {
	case errors.Is(err, enough):
		return nil
	case err == nil:
		return skip("the plugin has no statistics")
	case ctx.Err() != nil:
		return fmt.Errorf("no sample within %s", promptly)
	}
	return err
}
