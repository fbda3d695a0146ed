//go:build linux

// Drover-device-host offers device files of the machine to tasks: those that the operator names by pattern, grouped
// under vendor/type/name, each for one task at a time or shared by several.
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
	return device.New(device.Info{Name: "host", Version: version}, &host{machine: m})
}
