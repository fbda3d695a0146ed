// Drover-driver-windows-service is a task driver that runs each task as a service of Windows: the service manager starts it,
// holds it and keeps how it ended. The program must be a service, that is, answer the service manager.
package main

import (
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

func main() {
	plugin.Serve(driver.New(driver.Info{Name: "windows-service", Version: "0.1.0", NoMounts: true, DisableLogCollection: true,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost}}, newServices()))
}
