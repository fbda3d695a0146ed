//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/plugins/sysfs/sysfstest"
	"github.com/droverhq/drover/sdk/conformance"
	"github.com/droverhq/drover/sdk/device"
)

const port = "pci0000:00/0000:00:14.0/usb1"

// stick plugs in a serial adapter; its device file is on the bus and as a terminal.
func stick(t *testing.T, m sysfs.Machine, socket, serial string, n int) {
	dir := port + "/" + socket
	sysfstest.Add(t, m, "usb", dir, map[string]string{
		"idVendor": "0403", "idProduct": "6001", "serial": serial, "manufacturer": "FTDI", "product": "UART", "bDeviceClass": "00",
		"speed": "12", "authorized": "1", "uevent": fmt.Sprintf("MAJOR=189\nDEVNAME=bus/usb/001/%03d", n),
	}, nil)
	sysfstest.Add(t, m, "usb", dir+"/"+socket+":1.0", map[string]string{
		"bInterfaceClass": "ff", fmt.Sprintf("ttyUSB%d/tty/ttyUSB%d/uevent", n, n): fmt.Sprintf("DEVNAME=ttyUSB%d", n),
	}, map[string]string{"driver": "../../drivers/ftdi_sio"})
	sysfstest.File(t, m, fmt.Sprintf("bus/usb/001/%03d", n))
	sysfstest.File(t, m, fmt.Sprintf("ttyUSB%d", n))
}

func shown(groups []device.Group) string {
	var out []string
	for _, g := range groups {
		line := g.Vendor + "/" + g.Type + "/" + g.Name
		for _, d := range g.Devices {
			line += " " + d.ID
			if !d.Healthy {
				line += "!"
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

func TestUSB(t *testing.T) {
	m := sysfstest.New(t)
	u := &usb{machine: m}
	list := func() string {
		t.Helper()
		groups, err := u.Fingerprint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return shown(groups)
	}
	if got := list(); got != "" {
		t.Errorf("a machine without USB has %q", got)
	}
	sysfstest.Add(t, m, "usb", port, map[string]string{"idVendor": "1d6b", "idProduct": "0002", "bDeviceClass": "09"}, nil)
	stick(t, m, "1-1", "A1", 1)
	stick(t, m, "1-2", "", 2)
	stick(t, m, "1-3", "B", 3)
	stick(t, m, "1-4", "B", 4)
	sysfstest.Add(t, m, "usb", port+"/1-5", map[string]string{"idVendor": "abcd", "idProduct": "0001", "authorized": "0"}, nil)
	if got := list(); got != "0403/usb/6001 A1 1-2 1-3 1-4; abcd/usb/0001 1-5!" {
		t.Errorf("found %q", got)
	}
	groups, _ := u.Fingerprint(t.Context())
	for key, want := range map[string]string{"vendor_name": "FTDI", "product_name": "UART", "speed": "12", "driver": "ftdi_sio"} {
		if got := groups[0].Attributes[key].Format(); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := groups[0].Devices[0].PCIBusID; got != "0000:00:14.0" {
		t.Errorf("PCI address %q", got)
	}
	r, err := u.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{"A1"}})
	if err != nil || len(r.Devices) != 2 || r.Devices[0].HostPath != filepath.Join(m.Dev, "bus/usb/001/001") || r.Devices[1].TaskPath != filepath.Join(m.Dev, "ttyUSB1") {
		t.Errorf("%+v, %v", r, err)
	}
	for _, id := range []string{"B", "C", "1d6b", "1-5"} {
		if r, err := u.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{id}}); err == nil {
			t.Errorf("%s was reserved: %+v", id, r)
		}
	}
	os.Remove(filepath.Join(m.Dev, "ttyUSB1"))
	if _, err := u.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{"A1"}}); err == nil {
		t.Error("a device without its file was reserved")
	}

	for want, c := range map[string]sysfs.IDs{
		"abcd/usb/0001 1-5!":           {Exclude: []string{"0403:*"}},
		"1d6b/usb/0002 usb1":           {Include: []string{"1d6b:0002"}},
		"0403/usb/6001 A1 1-2 1-3 1-4": {Include: []string{"*:6001"}},
		"":                             {Include: []string{"*:6001"}, Exclude: []string{"*:*"}},
	} {
		u.Choose(c)
		if got := list(); got != want {
			t.Errorf("%+v finds %q, want %q", c, got, want)
		}
	}
}

func TestConformance(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "drover-device-usb")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conformance.Run(t, conformance.Config{Path: binary})
}
