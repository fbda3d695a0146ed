// Drover-driver-docker runs tasks as containers of a Docker engine.
package main

import (
	"github.com/droverhq/drover/drivers-docker/docker"
	"github.com/droverhq/drover/sdk/plugin"
)

// version is set by the linker.
var version = "0.1.0"

func main() { plugin.Serve(docker.Plugin(docker.New(plugin.NewLogger("docker")), version)) }
