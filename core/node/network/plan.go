// Package network gives allocations their networks through network plugins and drivers, and keeps what exists and what
// should exist the same.
package network

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/network"
)

// Isolated tells whether the group's tasks live in a network of their own.
func Isolated(g *model.TaskGroup) bool {
	return slices.ContainsFunc(g.Networks, func(n *model.Network) bool { return n.Mode != "" && n.Mode != model.NetworkModeHost })
}

// Plan is what is wanted for an allocation; nil when it uses the node's own network. wildcard: ports of the default host
// network are opened on every address.
func Plan(a *model.Allocation, g *model.TaskGroup, env *taskenv.Env, wildcard bool) *network.Allocation {
	if !Isolated(g) {
		return nil
	}
	want := &network.Allocation{ID: a.ID}
	for i, n := range g.Networks {
		at := network.Attachment{Mode: n.Mode, Interface: fmt.Sprintf("eth%d", i), Args: standardArgs(a)}
		if n.CNI != nil {
			for k, v := range n.CNI.Args {
				at.Args[env.Replace(k)] = env.Replace(v)
			}
		}
		at.Addresses = addresses(at.Args)
		want.Networks = append(want.Networks, at)
	}
	if a.AllocatedResources == nil {
		return want
	}
	for _, p := range a.AllocatedResources.Shared.Ports {
		n, asked := g.PortNetwork(p.Label)
		if n == nil {
			continue
		}
		m := network.Port{Label: p.Label, HostIP: p.HostIP, HostPort: p.Value, Port: p.Value, Mode: n.Mode}
		if p.To > 0 {
			m.Port = p.To
		}
		if wildcard && (asked.HostNetwork == "" || asked.HostNetwork == fleet.DefaultHostNetwork) {
			m.HostIP = ""
		}
		want.Ports = append(want.Ports, m)
	}
	return want
}

// standardArgs tell a network's plugins whose allocation it is.
func standardArgs(a *model.Allocation) map[string]string {
	args := map[string]string{"NOMAD_ALLOC_ID": a.ID, "NOMAD_NAMESPACE": a.Namespace, "NOMAD_JOB_ID": a.JobID, "NOMAD_GROUP_NAME": a.TaskGroup}
	for k, v := range args {
		if v == "" || strings.ContainsAny(v, ";=") {
			delete(args, k)
		}
	}
	return args
}

// addresses are those that args ask for in the conventional way, IP=10.1.2.3,fd00::3.
func addresses(args map[string]string) []string {
	var list []string
	for _, text := range strings.Split(args["IP"], ",") {
		text = strings.TrimSpace(text)
		if _, err := netip.ParseAddr(text); err == nil {
			list = append(list, text)
		} else if _, err := netip.ParsePrefix(text); err == nil {
			list = append(list, text)
		}
	}
	return list
}

// statusOf is what an allocation shows of its network: the first interface with an address, and all of those when there are
// several interfaces, be it one with an address and one without: its ports lead to no address of the other.
func statusOf(s *network.Status) *model.AllocNetworkStatus {
	out := &model.AllocNetworkStatus{}
	var all []*model.AllocInterface
	for _, i := range s.Interfaces {
		if len(i.Addresses) > 0 {
			all = append(all, interfaceOf(i))
		}
	}
	if len(all) > 0 {
		out.InterfaceName, out.Address, out.AddressIPv6 = all[0].Name, all[0].Address, all[0].AddressIPv6
	}
	if len(s.Interfaces) > 1 {
		out.Interfaces = all
	}
	if d := s.DNS; len(d.Servers)+len(d.Searches)+len(d.Options) > 0 {
		out.DNS = &model.DNSConfig{Servers: d.Servers, Searches: d.Searches, Options: d.Options}
	}
	return out
}

// interfaceOf takes the first address of each family.
func interfaceOf(i network.Interface) *model.AllocInterface {
	out := &model.AllocInterface{Name: i.Name, Mode: i.Mode}
	for _, text := range i.Addresses {
		p, err := netip.ParsePrefix(text)
		switch {
		case err != nil:
		case p.Addr().Is4() && out.Address == "":
			out.Address = p.Addr().String()
		case p.Addr().Is6() && out.AddressIPv6 == "":
			out.AddressIPv6 = p.Addr().String()
		}
	}
	if out.Address == "" {
		out.Address = out.AddressIPv6 // of a network that has no other
	}
	return out
}

// What drivers that make the namespace themselves say about it, as the end of a label's name.
const (
	hostnameLabel  = "_sandbox_hostname"
	containerLabel = "_sandbox_container_id"
	shortContainer = 12
)

// hostsOf is the entry of the tasks' hosts file; nil when the namespace has no name.
func hostsOf(labels map[string]string, status *model.AllocNetworkStatus) *driver.HostsConfig {
	name := ""
	for key, value := range labels {
		switch {
		case strings.HasSuffix(key, hostnameLabel):
			name = value
		case strings.HasSuffix(key, containerLabel) && name == "":
			name = value[:min(shortContainer, len(value))]
		}
	}
	if name == "" || status.Address == "" {
		return nil
	}
	return &driver.HostsConfig{Hostname: name, Address: status.Address}
}
