package fleet

import "github.com/droverhq/drover/core/model"

// DefaultHostNetwork is the alias of the addresses that ports without host_network are opened on.
const DefaultHostNetwork = "default"

// Dynamic port range of a node that does not say its own.
const (
	DefaultMinDynamicPort = 20000
	DefaultMaxDynamicPort = 32000
)

// DynamicRange returns the node's range of dynamic ports, both ends included.
func DynamicRange(n *model.Node) (lo, hi int) {
	lo, hi = DefaultMinDynamicPort, DefaultMaxDynamicPort
	if r := n.NodeResources; r != nil && r.MaxDynamicPort > 0 {
		lo, hi = r.MinDynamicPort, r.MaxDynamicPort
	}
	return lo, hi
}

// Addresses calls each for every address of the named host network, in the node's order, until it returns false.
func Addresses(n *model.Node, alias string, each func(*model.NodeNetworkAddress) bool) {
	if n.NodeResources == nil {
		return
	}
	for _, dev := range n.NodeResources.NodeNetworks {
		for i := range dev.Addresses {
			a := &dev.Addresses[i]
			if a.Alias == alias && !each(a) {
				return
			}
		}
	}
}

// ReservedPorts returns the ports of an address that the node keeps for itself.
func ReservedPorts(n *model.Node, a *model.NodeNetworkAddress) *Ports {
	set := &Ports{}
	reservedRanges(n, a, func(lo, hi int) {
		for port := lo; port <= hi; port++ {
			if !set.Has(port) {
				set.Add(port)
			}
		}
	})
	return set
}

// Reserved tells whether the node keeps the port of an address for itself.
func Reserved(n *model.Node, a *model.NodeNetworkAddress, port int) bool {
	found := false
	reservedRanges(n, a, func(lo, hi int) { found = found || lo <= port && port <= hi })
	return found
}

func reservedRanges(n *model.Node, a *model.NodeNetworkAddress, each func(lo, hi int)) {
	if n.ReservedResources != nil {
		PortRanges(n.ReservedResources.Networks.ReservedHostPorts, each)
	}
	PortRanges(a.ReservedPorts, each)
}

// soleAddress returns the node's address when it has exactly one and that is in the default host network.
func soleAddress(n *model.Node) *model.NodeNetworkAddress {
	if n.NodeResources == nil {
		return nil
	}
	var sole *model.NodeNetworkAddress
	for _, dev := range n.NodeResources.NodeNetworks {
		for i := range dev.Addresses {
			if sole != nil {
				return nil
			}
			sole = &dev.Addresses[i]
		}
	}
	if sole == nil || sole.Alias != DefaultHostNetwork {
		return nil
	}
	return sole
}
