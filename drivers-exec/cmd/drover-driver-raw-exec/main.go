// Command drover-driver-raw-exec is the raw_exec task driver. An agent starts
// it as a plugin; it starts itself as the keeper of its tasks ("keep"), and an
// operator can have it clean up after dead tasks ("cleanup").
package main

import (
	"os"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/rawexec"
	"github.com/droverhq/drover/sdk/plugin"
)

// version is set by the linker.
var version = "0.1.0"

func main() {
	if code, ok := executor.Main(rawexec.Name, os.Args[1:]); ok {
		os.Exit(code)
	}
	d := rawexec.New(plugin.NewLogger(rawexec.Name), nil)
	plugin.Serve(served(d))
}
