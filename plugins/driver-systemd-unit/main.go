//go:build linux

// Drover-driver-systemd-unit is a task driver that runs each task as a transient unit of systemd: the service manager
// starts it, holds it, and keeps how it ended. The driver only talks to the manager, over D-Bus.
package main

import (
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

func main() { plugin.Serve(newPlugin()) }

func newPlugin() plugin.Plugin {
	return driver.New(driver.Info{Name: "systemd-unit", Version: "0.1.0", NoMounts: true, NetworkModes: []driver.NetworkMode{driver.NetworkHost}}, newUnits())
}
