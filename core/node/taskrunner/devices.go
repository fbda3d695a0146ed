package taskrunner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/event"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/driver"
)

const (
	// deviceWait covers a plugin that is being launched again.
	deviceWait = 10 * time.Second
	// restoredDeviceWait is for tasks of an earlier agent: its plugins start anew with this one.
	restoredDeviceWait = 5 * time.Minute
	releaseWait        = 5 * time.Second
)

// devicesOf are the devices of the task, one entry for each group: a plugin that names its devices in one variable has
// to name all of them.
func devicesOf(alloc *model.Allocation, task string) []*model.AllocatedDevice {
	if alloc.AllocatedResources == nil || alloc.AllocatedResources.Tasks[task] == nil {
		return nil
	}
	var out []*model.AllocatedDevice
	for _, d := range alloc.AllocatedResources.Tasks[task].Devices {
		i := slices.IndexFunc(out, func(o *model.AllocatedDevice) bool { return o.ID() == d.ID() })
		if i < 0 {
			c := *d
			c.DeviceIDs = slices.Clone(d.DeviceIDs)
			out = append(out, &c)
			continue
		}
		out[i].DeviceIDs = append(out[i].DeviceIDs, d.DeviceIDs...)
	}
	return out
}

// reserveDevices makes the task's devices usable and returns what has to be done for that. While a device is not there it
// waits: a task never runs without what it was promised.
func (r *Runner) reserveDevices(ctx context.Context, alloc *model.Allocation, task string) (*device.Reservation, error) {
	wanted := devicesOf(alloc, task)
	if len(wanted) == 0 {
		return &device.Reservation{}, nil
	}
	timer := time.NewTimer(r.deviceWait())
	defer timer.Stop()
	told := ""
	for {
		changed := r.cfg.Devices.DevicesChanged()
		res, err := r.reserveAll(ctx, wanted)
		if err == nil {
			return res, nil
		}
		if !errors.Is(err, ErrNoDevice) {
			return nil, &stepError{errSetup, err, true}
		}
		if text := err.Error(); text != told {
			told = text
			r.Emit(event.Device(r.cfg.Now(), "waiting: "+text))
		}
		select {
		case <-changed:
		case <-timer.C:
			return nil, &stepError{errSetup, err, true}
		case <-ctx.Done():
			return nil, &stepError{errSetup, ctx.Err(), true}
		}
	}
}

func (r *Runner) deviceWait() time.Duration {
	switch {
	case r.cfg.DeviceWait > 0:
		return r.cfg.DeviceWait
	case r.fromBefore:
		return restoredDeviceWait
	}
	return deviceWait
}

// reserveAll puts the reservations of all groups together.
func (r *Runner) reserveAll(ctx context.Context, wanted []*model.AllocatedDevice) (*device.Reservation, error) {
	all := &device.Reservation{Env: map[string]string{}}
	for _, d := range wanted {
		res, err := r.cfg.Devices.ReserveDevices(ctx, d)
		if err != nil {
			return nil, err
		}
		if err := checkReservation(res); err != nil {
			return nil, fmt.Errorf("device %s: its plugin's answer cannot be used: %w", d.ID(), err)
		}
		for k, v := range res.Env {
			all.Env[k] = joined(all.Env[k], v)
		}
		all.Mounts = append(all.Mounts, res.Mounts...)
		for _, n := range res.Devices {
			if !slices.Contains(all.Devices, n) {
				all.Devices = append(all.Devices, n)
			}
		}
	}
	return all, nil
}

// joined is a variable that several groups of devices set: a list, as with devices of one group.
func joined(a, b string) string {
	switch {
	case a == "":
		return b
	case slices.Contains(strings.Split(a, ","), b):
		return a
	}
	return a + "," + b
}

// checkReservation refuses what no driver could do.
func checkReservation(res *device.Reservation) error {
	for k := range res.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			return fmt.Errorf("%q is no name of a variable", k)
		}
	}
	for _, m := range res.Mounts {
		if m.HostPath == "" || m.TaskPath == "" {
			return errors.New("a mount without its host path or task path")
		}
	}
	for _, n := range res.Devices {
		if n.HostPath == "" || strings.Trim(n.Permissions, "rwm") != "" {
			return fmt.Errorf("device file %q with permissions %q, want some of rwm", n.HostPath, n.Permissions)
		}
	}
	return nil
}

// useDevices puts a reservation into what the driver is told.
func useDevices(tc *driver.TaskConfig, res *device.Reservation) {
	tc.DeviceEnv = res.Env
	for _, m := range res.Mounts {
		tc.Mounts = append(tc.Mounts, driver.Mount{TaskPath: m.TaskPath, HostPath: m.HostPath, Readonly: m.ReadOnly})
	}
	for _, n := range res.Devices {
		tc.Devices = append(tc.Devices, driver.Device{TaskPath: n.TaskPath, HostPath: n.HostPath, Permissions: n.Permissions})
	}
}

// releaseDevices says that the task is over. It is best effort: a plugin may not count on it.
func (r *Runner) releaseDevices(ctx context.Context) {
	alloc, task := r.spec()
	for _, d := range devicesOf(alloc, task.Name) {
		call, cancel := context.WithTimeout(ctx, releaseWait)
		if err := r.cfg.Devices.ReleaseDevices(call, d); err != nil {
			r.logger.Warn("device not released", "device", d.ID(), "error", err)
		}
		cancel()
	}
}
