// Package catalog makes the registrations of the built-in service catalog: which instances of an allocation can be
// reached where.
package catalog

import (
	"fmt"
	"net"
	"strconv"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/sdk/driver"
)

// Address modes of a service.
const (
	modeHost   = "host"
	modeDriver = "driver"
	modeAlloc  = "alloc"
	modeAlloc6 = "alloc_ipv6"
)

// Owner is whose services are registered: a group, or one of its tasks that may know better where it listens.
type Owner struct {
	Task    string // "" for the group
	Network *driver.NetworkOverride
}

// Registrations lists the owner's services. Those without a usable port or address are left out and named in the error.
func Registrations(node *model.Node, alloc *model.Allocation, env *taskenv.Env, owner Owner) ([]*model.ServiceRegistration, error) {
	group := alloc.Job.Group(alloc.TaskGroup)
	services, who := group.Services, "group-"+group.Name
	if owner.Task != "" {
		services, who = group.Task(owner.Task).Services, owner.Task
	}
	var out []*model.ServiceRegistration
	var failed error
	for _, s := range services {
		addr, port, err := locate(node, alloc, s, owner.Network)
		if err != nil {
			failed = fmt.Errorf("service %s of %s: %w", s.Name, who, err)
			continue
		}
		name := env.Replace(s.Name)
		tags := s.Tags
		if d := alloc.DeploymentStatus; d != nil && d.Canary && len(s.CanaryTags) > 0 {
			tags = s.CanaryTags
		}
		out = append(out, &model.ServiceRegistration{
			ID:          fmt.Sprintf("_nomad-task-%s-%s-%s-%s", alloc.ID, who, name, s.PortLabel),
			ServiceName: name,
			Namespace:   alloc.Namespace,
			NodeID:      node.ID,
			Datacenter:  node.Datacenter,
			JobID:       alloc.JobID,
			AllocID:     alloc.ID,
			Tags:        env.ReplaceAll(tags),
			Address:     addr,
			Port:        port,
		})
	}
	return out, failed
}

// CheckTarget is where a check of a service has to ask.
func CheckTarget(node *model.Node, alloc *model.Allocation, s *model.Service, c *model.ServiceCheck, override *driver.NetworkOverride) (addr string, port int, err error) {
	asked := model.Service{PortLabel: s.PortLabel, AddressMode: c.AddressMode}
	if c.PortLabel != "" {
		asked.PortLabel = c.PortLabel
	}
	if asked.AddressMode == "" {
		asked.AddressMode = modeHost
	}
	return locate(node, alloc, &asked, override)
}

// locate finds address and port of a service by its address mode.
func locate(node *model.Node, alloc *model.Allocation, s *model.Service, override *driver.NetworkOverride) (addr string, port int, err error) {
	mode := s.AddressMode
	if mode == "" || mode == "auto" {
		mode = modeHost
		if override != nil && override.AutoAdvertise {
			mode = modeDriver
		}
	}
	given, hostPort := portOf(alloc, s.PortLabel)
	switch mode {
	case modeDriver:
		if override == nil || override.Addr == "" {
			return "", 0, fmt.Errorf("address_mode driver, but the driver gave no address")
		}
		addr = override.Addr
		if p, ok := override.PortMap[s.PortLabel]; ok {
			port = p
		} else {
			port = inside(given)
		}
	case modeAlloc, modeAlloc6:
		if alloc.NetworkStatus == nil {
			return "", 0, fmt.Errorf("address_mode %s, but the allocation has no network of its own", mode)
		}
		inner := alloc.NetworkStatus.OfPort(alloc.Job.Group(alloc.TaskGroup), s.PortLabel)
		if addr = inner.Address; mode == modeAlloc6 {
			addr = inner.AddressIPv6
		}
		if addr == "" && s.Address == "" {
			return "", 0, fmt.Errorf("address_mode %s, but the network of port %q has no such address", mode, s.PortLabel)
		}
		port = inside(given)
	default:
		addr, port = nodeAddress(node), hostPort
		if given != nil && net.ParseIP(given.HostIP) != nil && !net.ParseIP(given.HostIP).IsUnspecified() {
			addr = given.HostIP
		}
	}
	if s.Address != "" {
		addr = s.Address
	}
	if port == 0 && s.PortLabel != "" {
		if port, err = strconv.Atoi(s.PortLabel); err != nil {
			return "", 0, fmt.Errorf("port %q is not one of the allocation's", s.PortLabel)
		}
	}
	return addr, port, nil
}

func inside(p *model.AllocatedPort) int {
	if p == nil {
		return 0
	}
	if p.To > 0 {
		return p.To
	}
	return p.Value
}

// portOf finds a port by label among the group's and the tasks' ports.
func portOf(alloc *model.Allocation, label string) (*model.AllocatedPort, int) {
	if alloc.AllocatedResources == nil || label == "" {
		return nil, 0
	}
	for _, p := range alloc.AllocatedResources.Shared.Ports {
		if p.Label == label {
			return &p, p.Value
		}
	}
	for _, t := range alloc.AllocatedResources.Tasks {
		for _, n := range t.Networks {
			for _, ports := range [][]model.Port{n.ReservedPorts, n.DynamicPorts} {
				for _, p := range ports {
					if p.Label == label {
						return &model.AllocatedPort{Label: label, Value: p.Value, To: p.To, HostIP: n.IP}, p.Value
					}
				}
			}
		}
	}
	return nil, 0
}

// nodeAddress is the node's own address.
func nodeAddress(n *model.Node) string { return n.Attributes["unique.network.ip-address"] }
