package model

import (
	"fmt"
	"regexp"
	"strings"
)

// hostName is a DNS name as a container's host name may be.
var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)

// checkNetworks checks the group's networks and those of its tasks, whose port labels share one space.
func (c *checker) checkNetworks(w where, g *TaskGroup) {
	c.checkModes(w, g)
	ports := portSpace{labels: map[string]bool{}, static: map[string]string{}}
	args := map[string]bool{}
	for _, n := range g.Networks {
		nw := w.in("network")
		c.checkNetwork(nw, n, ports)
		if n.CNI == nil {
			continue
		}
		for _, k := range sortedKeys(n.CNI.Args) {
			if strings.Contains(k, ";") || strings.Contains(n.CNI.Args[k], ";") {
				c.fail(nw.in("cni"), "args: %q must hold no semicolon", k)
			}
			if args[k] {
				c.fail(nw.in("cni"), "args: %q is set in another network block too", k)
			}
			args[k] = true
		}
	}
	for _, t := range g.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, n := range t.Resources.Networks {
			nw := w.in("task", t.Name).in("resources").in("network")
			c.warn(nw, "networks of tasks are deprecated; use the group's network block")
			c.checkNetwork(nw, n, ports)
		}
	}
}

// checkModes checks that the group's networks can be had together, and by its tasks.
func (c *checker) checkModes(w where, g *TaskGroup) {
	seen := map[string]bool{}
	for _, n := range g.Networks {
		mode := n.Mode
		if mode == "" {
			mode = NetworkModeHost
		}
		if seen[mode] {
			c.fail(w, "two network blocks have mode %q; put the ports into one", mode)
		}
		seen[mode] = true
		if len(g.Networks) > 1 && (mode == NetworkModeHost || mode == NetworkModeNone) {
			c.fail(w, "network mode %q cannot be combined with other networks", mode)
		}
		if mode == NetworkModeNone && len(n.ReservedPorts)+len(n.DynamicPorts) > 0 {
			c.fail(w.in("network"), "mode \"none\" has no way in: it can have no ports")
		}
		if mode == NetworkModeHost && n.Hostname != "" {
			c.fail(w.in("network"), "hostname needs a network of the group's own, as mode \"bridge\" makes one")
		}
	}
}

// portSpace is where the ports of a group must not meet.
type portSpace struct {
	labels map[string]bool
	static map[string]string // "host network:port" -> label
}

func (c *checker) checkNetwork(w where, n *Network, ports portSpace) {
	if n.MBits != 0 {
		c.warn(w, "mbits is deprecated and has no effect")
	}
	if n.Hostname != "" && !strings.Contains(n.Hostname, "${") && (len(n.Hostname) > 253 || !hostName.MatchString(n.Hostname)) {
		c.fail(w, "hostname %q is no valid DNS name", n.Hostname)
	}
	if strings.HasPrefix(n.Mode, "cni/") && strings.TrimPrefix(n.Mode, "cni/") == "" {
		c.fail(w, "mode %q names no network", n.Mode)
	}
	for _, p := range n.ReservedPorts {
		c.checkPort(w.in("port", p.Label), n, p, ports)
		if p.Value < 1 || p.Value > 65535 {
			c.fail(w.in("port", p.Label), "static must be within 1..65535, got %d", p.Value)
			continue
		}
		key := fmt.Sprintf("%s:%d", p.HostNetwork, p.Value)
		if other, taken := ports.static[key]; taken && !p.IgnoreCollision {
			c.fail(w.in("port", p.Label), "static port %d is taken by port %q", p.Value, other)
		}
		if !p.IgnoreCollision {
			ports.static[key] = p.Label
		}
	}
	for _, p := range n.DynamicPorts {
		c.checkPort(w.in("port", p.Label), n, p, ports)
		if p.Value < 0 {
			c.fail(w.in("port", p.Label), "static must be within 1..65535, got %d", p.Value)
		}
	}
}

func (c *checker) checkPort(w where, n *Network, p Port, ports portSpace) {
	if p.Label == "" {
		c.fail(w, "the port has no label")
	} else if ports.labels[p.Label] {
		c.fail(w, "there is another port of that label in the group")
	}
	ports.labels[p.Label] = true
	if p.To < -1 || p.To > 65535 {
		c.fail(w, "to must be within -1..65535, got %d", p.To)
	}
	if p.IgnoreCollision && n.Mode != NetworkModeHost && n.Mode != "" {
		c.fail(w, "ignore_collision works in network mode \"host\" only, this is %q", n.Mode)
	}
}
