// drover-network-cni is the network plugin for CNI: the networks of cni_config_dir, the built-in bridge, and none.
package main

import (
	"github.com/droverhq/drover/cni/provider"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

// version is set by the build.
var version = "0.1.0-dev"

func main() {
	plugin.Serve(network.New(network.Info{Name: "cni", Version: version}, provider.New(plugin.NewLogger("cni"))))
}
