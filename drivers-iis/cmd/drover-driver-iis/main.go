// Command drover-driver-iis is the iis task driver. An agent starts it as a plugin; an operator whose agent is gone can
// have it remove from IIS what the agent's node made ("cleanup"). A copy named drover-driver-win-iis serves jobs of that
// driver.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/droverhq/drover/drivers-iis/iis"
	"github.com/droverhq/drover/sdk/plugin"
)

// version is set by the linker.
var version = "0.1.0"

// Variables by which an agent says whose sites these are.
const (
	nodeVariable    = "DROVER_NODE_ID"
	clusterVariable = "DROVER_CLUSTER_ID"
)

func main() {
	name := iis.NameFor(os.Args[0])
	owner := iis.Owner{Cluster: os.Getenv(clusterVariable), Node: os.Getenv(nodeVariable)}
	if len(os.Args) > 1 && os.Args[1] == "cleanup" {
		os.Exit(cleanup(name, owner, os.Args[2:]))
	}
	plugin.Serve(iis.Plugin(iis.New(name, version, owner, plugin.NewLogger(name))))
}

func cleanup(name string, owner iis.Owner, args []string) int {
	flags := flag.NewFlagSet("cleanup", flag.ContinueOnError)
	flags.StringVar(&owner.Node, "node", owner.Node, "id of the node whose sites and pools are removed")
	flags.StringVar(&owner.Cluster, "cluster", owner.Cluster, "id of its cluster")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := iis.New(name, version, owner, plugin.NewLogger(name)).Cleanup(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cleanup:", err)
		return 1
	}
	return 0
}
