// Drover-network-mock is a network plugin without networks: what it sets up are records with addresses, and tasks stay in
// the network of the machine. Its config says what it offers, and the args in a job's network block which calls fail, so
// that tests can bring about every course of events.
package main

import (
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

func main() { plugin.Serve(newPlugin()) }

func newPlugin() plugin.Plugin {
	return network.New(network.Info{Name: "mock-network", Version: "0.1.0"}, &mock{})
}
