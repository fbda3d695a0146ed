// Drover-driver-mock is a task driver without a runtime: its tasks exist only as timers. Its task config says what each
// task does and which calls fail, so that tests can bring about every course of events. A task goes on with the right
// end after the plugin was killed, because its state tells when it started.
package main

import (
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

func main() { plugin.Serve(newPlugin()) }

func newPlugin() plugin.Plugin {
	return driver.New(driver.Info{
		Name:         "mock",
		Version:      "0.1.0",
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup},
	}, newMock())
}
