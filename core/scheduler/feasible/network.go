package feasible

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// networkCheck tells whether a node offers the group's network mode and the host networks of its ports, and whether its
// drivers can join.
type networkCheck struct {
	modes   []string // none: the node's own network
	drivers []string // of the tasks, if they are to join a network
	ports   []model.Port
}

func newNetworkCheck(g *model.TaskGroup) networkCheck {
	var c networkCheck
	for _, n := range g.Networks {
		if n.Mode != "" && n.Mode != model.NetworkModeHost {
			c.modes = append(c.modes, n.Mode)
		}
		c.ports = append(append(c.ports, n.ReservedPorts...), n.DynamicPorts...)
	}
	if len(c.modes) > 0 {
		for _, t := range g.Tasks {
			c.drivers = append(c.drivers, t.Driver)
		}
	}
	return c
}

// unique tells whether the answer depends on a unique property of the node.
func (c networkCheck) unique() bool {
	for _, p := range c.ports {
		if strings.Contains(p.HostNetwork, ".unique.") {
			return true
		}
	}
	return false
}

// refuses returns the reason against the node, "" for none.
func (c networkCheck) refuses(n *model.Node) string {
	for _, mode := range c.modes {
		switch {
		case offersMode(n, mode):
		case hasMode(n, mode):
			return `network "` + mode + `" is unhealthy`
		default:
			return reasonNetwork + ` "` + mode + `"`
		}
	}
	for _, name := range c.drivers {
		if !n.Drivers[name].Joins() {
			return `driver "` + name + `" cannot join network "` + c.modes[0] + `"`
		}
	}
	for _, p := range c.ports {
		if p.HostNetwork == "" || p.HostNetwork == fleet.DefaultHostNetwork {
			continue
		}
		alias, ok := expand(p.HostNetwork, n)
		if ok {
			ok = false
			fleet.Addresses(n, alias, func(*model.NodeNetworkAddress) bool { ok = true; return false })
		}
		if !ok {
			return `missing host network "` + p.HostNetwork + `" for port "` + p.Label + `"`
		}
	}
	return ""
}

// hasMode tells whether a plugin of the node offers a mode that does not work at present.
func hasMode(n *model.Node, mode string) bool {
	return slices.ContainsFunc(n.NetworkModes, func(m *model.NodeNetworkMode) bool { return m.Mode == mode })
}

// offersMode tells whether a node offers a network mode, and it works.
func offersMode(n *model.Node, mode string) bool {
	if n.NodeResources == nil {
		return false
	}
	for _, nw := range n.NodeResources.Networks {
		if nw.Mode == mode {
			return true
		}
	}
	for _, dev := range n.NodeResources.NodeNetworks {
		if dev.Mode == mode {
			return true
		}
	}
	return false
}
