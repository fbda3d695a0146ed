//go:build linux

// Drover-device-usb offers the USB devices of the machine to tasks, each to one task at a time, with all the device
// files that the kernel made for it.
package main

import (
	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
)

// version is set by the build.
var version = "0.1.0"

func main() { plugin.Serve(newPlugin(sysfs.Local())) }

func newPlugin(m sysfs.Machine) plugin.Plugin {
	return device.New(device.Info{Name: "usb", Version: version}, &usb{machine: m})
}
