package feasible

import (
	"math/rand/v2"
	"strconv"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// randomPortTries is how often a dynamic port is guessed before the range is searched.
const randomPortTries = 20

// portPicker gives one instance its ports on one node. used is changed as ports are given.
type portPicker struct {
	node *model.Node
	used *fleet.Exact
	rng  *rand.Rand
}

// pick returns the ports that were asked for, static ones first, or the reason why not.
func (p portPicker) pick(static, dynamic []model.Port) ([]model.AllocatedPort, string) {
	out := make([]model.AllocatedPort, 0, len(static)+len(dynamic))
	for _, want := range static {
		address, why := p.static(want)
		if why != "" {
			return nil, why
		}
		out = append(out, p.give(want, address, want.Value))
	}
	for _, want := range dynamic {
		address, port, why := p.dynamic(want)
		if why != "" {
			return nil, why
		}
		out = append(out, p.give(want, address, port))
	}
	return out, ""
}

func (p portPicker) give(want model.Port, address string, port int) model.AllocatedPort {
	p.used.AddPort(address, port)
	to := want.To
	if to == -1 {
		to = port
	}
	return model.AllocatedPort{
		Label: want.Label, Value: port, To: to, HostIP: address, IgnoreCollision: want.IgnoreCollision,
	}
}

// static finds an address of the port's host network on which it is free.
func (p portPicker) static(want model.Port) (address, why string) {
	alias, any, found := p.alias(want), false, false
	fleet.Addresses(p.node, alias, func(a *model.NodeNetworkAddress) bool {
		any = true
		if want.IgnoreCollision || !p.taken(a, want.Value) {
			address, found = a.Address, true
		}
		return !found
	})
	switch {
	case !any:
		return "", "network: no addresses available for " + alias + " network"
	case !found:
		return "", "network: reserved port collision " + want.Label + "=" + strconv.Itoa(want.Value)
	}
	return address, ""
}

// dynamic finds an address of the port's host network with a free dynamic port.
func (p portPicker) dynamic(want model.Port) (address string, port int, why string) {
	alias, any := p.alias(want), false
	lo, hi := fleet.DynamicRange(p.node)
	fleet.Addresses(p.node, alias, func(a *model.NodeNetworkAddress) bool {
		any = true
		if port = p.free(a, lo, hi); port == 0 {
			return true
		}
		address = a.Address
		return false
	})
	switch {
	case !any:
		return "", 0, "network: no addresses available for " + alias + " network"
	case port == 0:
		return "", 0, reasonPorts
	}
	return address, port, ""
}

// free returns a free port of lo..hi on the address, 0 when there is none. Guessing first keeps a port from being used
// again at once, and keeps schedulers that work at the same time apart.
func (p portPicker) free(a *model.NodeNetworkAddress, lo, hi int) int {
	if hi < lo {
		return 0
	}
	inUse, reserved := p.used.Ports(a.Address), fleet.ReservedPorts(p.node, a)
	taken := func(port int) bool { return inUse.Has(port) || reserved.Has(port) }
	size := hi - lo + 1
	var port int
	for range randomPortTries {
		if port = lo + p.rng.IntN(size); !taken(port) {
			return port
		}
	}
	for i := range size {
		if next := lo + (port-lo+i)%size; !taken(next) {
			return next
		}
	}
	return 0
}

func (p portPicker) taken(a *model.NodeNetworkAddress, port int) bool {
	return p.used.Ports(a.Address).Has(port) || fleet.Reserved(p.node, a, port)
}

// alias is the host network a port asks for, on this node.
func (p portPicker) alias(want model.Port) string {
	alias, ok := expand(hostNetwork(want), p.node)
	if !ok {
		return want.HostNetwork
	}
	return alias
}
