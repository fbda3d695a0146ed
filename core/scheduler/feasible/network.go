package feasible

import (
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// networkCheck tells whether a node offers the group's network mode and the host networks of its ports.
type networkCheck struct {
	mode  string
	ports []model.Port
}

func newNetworkCheck(g *model.TaskGroup) networkCheck {
	c := networkCheck{mode: model.NetworkModeHost}
	if len(g.Networks) > 0 {
		n := g.Networks[0]
		if n.Mode != "" {
			c.mode = n.Mode
		}
		c.ports = append(append(c.ports, n.ReservedPorts...), n.DynamicPorts...)
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
	if !offersMode(n, c.mode) {
		return reasonNetwork
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

// offersMode tells whether a node offers a network mode. Host and none need nothing of the node.
func offersMode(n *model.Node, mode string) bool {
	if mode == model.NetworkModeHost || mode == model.NetworkModeNone {
		return true
	}
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
