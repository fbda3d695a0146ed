//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
)

const (
	interval = 2 * time.Second // a stick is plugged in and wanted at once
	hubClass = "09"
)

// usb offers USB devices: those that the operator includes, all but hubs if there are none.
type usb struct {
	machine sysfs.Machine
	sysfs.Selection
}

var (
	_ device.Device                  = (*usb)(nil)
	_ device.WithConfig              = (*usb)(nil)
	_ device.WithFingerprintInterval = (*usb)(nil)
)

func (u *usb) FingerprintInterval() time.Duration { return interval }

// found is one USB device.
type found struct {
	dir, vendor, product string // hexadecimal digits
	id                   string
}

// Fingerprint lists devices as <vendor id>/usb/<product id>.
func (u *usb) Fingerprint(context.Context) ([]device.Group, error) {
	groups := sysfs.NewGroups()
	for _, f := range u.scan() {
		instance := device.Instance{ID: f.id, Healthy: true, PCIBusID: sysfs.PCIAddress(f.dir)}
		if sysfs.Text(f.dir, "authorized") == "0" {
			instance.Healthy, instance.HealthDescription = false, "the kernel was told not to use it (authorized is 0)"
		}
		groups.Add(f.vendor, "usb", f.product, instance, describe(f.dir))
	}
	return groups.List(), nil
}

// scan finds the devices that are offered, in the order of the bus. A device is named by its serial number, so that it is
// the same one in another socket; if it has none, or shares it with another, by its socket.
func (u *usb) scan() []found {
	var all []found
	serials := map[string]int{}
	for _, dir := range u.machine.Devices("usb") {
		vendor, product := sysfs.Text(dir, "idVendor"), sysfs.Text(dir, "idProduct")
		id := vendor + ":" + product
		switch {
		case vendor == "" || product == "": // an interface of a device
		case sysfs.Text(dir, "bDeviceClass") == hubClass && !u.Included(id):
		case u.NamesAny() && !u.Included(id), u.Excluded(id):
		default:
			serials[id+sysfs.Text(dir, "serial")]++
			all = append(all, found{dir: dir, vendor: vendor, product: product})
		}
	}
	for i := range all {
		f := &all[i]
		serial := sysfs.Text(f.dir, "serial")
		if f.id = filepath.Base(f.dir); serial != "" && serials[f.vendor+":"+f.product+serial] == 1 {
			f.id = serial
		}
	}
	return all
}

func describe(dir string) map[string]attribute.Value {
	a := map[string]attribute.Value{}
	sysfs.SetText(a, "vendor_name", sysfs.Text(dir, "manufacturer"))
	sysfs.SetText(a, "product_name", sysfs.Text(dir, "product"))
	sysfs.SetText(a, "class", sysfs.Text(dir, "bDeviceClass"))
	sysfs.SetText(a, "usb_version", sysfs.Text(dir, "version"))
	sysfs.SetInt(a, "speed", sysfs.Text(dir, "speed"), "") // Mbit/s
	interfaces, _ := filepath.Glob(filepath.Join(dir, "*:*"))
	if len(interfaces) > 0 {
		sysfs.SetText(a, "driver", sysfs.LinkName(interfaces[0], "driver"))
	}
	return a
}

// Reserve gives the task the device's own file below /dev/bus/usb and those that drivers made of it, such as a terminal.
func (u *usb) Reserve(_ context.Context, r *device.ReserveRequest) (*device.Reservation, error) {
	all := u.scan()
	res := &device.Reservation{Env: map[string]string{"USB_DEVICES": strings.Join(r.DeviceIDs, ",")}}
	var paths []string
	for _, id := range r.DeviceIDs {
		var dirs []string
		for _, f := range all {
			if f.id == id {
				dirs = append(dirs, f.dir)
			}
		}
		if len(dirs) != 1 {
			return nil, fmt.Errorf("USB device %q: %d devices of that name are plugged in, want 1", id, len(dirs))
		}
		files := u.machine.Files(dirs[0])
		if len(files) == 0 {
			return nil, fmt.Errorf("USB device %q has no device file", id)
		}
		for _, file := range files {
			if _, err := os.Stat(file); err != nil {
				return nil, fmt.Errorf("USB device %q: %w", id, err)
			}
			res.Devices = append(res.Devices, device.Node{TaskPath: file, HostPath: file, Permissions: "rw"})
			paths = append(paths, file)
		}
	}
	res.Env["USB_DEVICE_FILES"] = strings.Join(paths, ",")
	return res, nil
}
