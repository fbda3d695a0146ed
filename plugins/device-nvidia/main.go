//go:build linux

// Drover-device-nvidia offers NVIDIA GPUs and MIG slices to tasks, each to one task at a time.
package main

import (
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
)

// version is set by the build.
var version = "0.1.0"

func main() { plugin.Serve(newPlugin(newLibrary(), "/dev")) }

func newPlugin(l library, dev string) plugin.Plugin {
	return device.New(device.Info{Name: "nvidia-gpu", Version: version}, newNVIDIA(l, dev))
}
