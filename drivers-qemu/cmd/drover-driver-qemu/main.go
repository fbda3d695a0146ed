// Command drover-driver-qemu is the qemu task driver. An agent starts it as a
// plugin; it starts itself as the keeper of its tasks ("keep"), and an operator
// can have it clean up after dead tasks ("cleanup").
package main

import (
	"os"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-qemu/qemu"
	"github.com/droverhq/drover/sdk/plugin"
)

// version is set by the linker.
var version = "0.1.0"

func main() {
	if code, ok := executor.Main(qemu.Name, os.Args[1:]); ok {
		os.Exit(code)
	}
	d := qemu.New(plugin.NewLogger(qemu.Name), nil)
	plugin.Serve(qemu.Plugin(d, version))
}
