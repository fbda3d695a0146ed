//go:build linux

// Drover-device-pci offers PCI functions to tasks, each to one task at a time: those that are bound to vfio-pci, which is
// how an operator sets a device aside for virtual machines and user-space drivers, and those named in its configuration.
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
	return device.New(device.Info{Name: "pci", Version: version}, &pci{machine: m})
}
