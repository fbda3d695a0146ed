//go:build !linux

package docker

import "github.com/droverhq/drover/sdk/driver"

// platformCapabilities leaves out network namespaces, which exist on Linux only.
func platformCapabilities(c driver.Capabilities) driver.Capabilities {
	c.MustCreateNetwork = false
	c.NetworkModes = []driver.NetworkMode{driver.NetworkHost, driver.NetworkTask}
	return c
}

func cpusetUnmanaged() bool                 { return false }
func sharedCores(*driver.TaskConfig) string { return "" }
func killInContainer(int, string)           {}
