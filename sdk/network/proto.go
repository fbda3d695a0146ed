package network

import (
	networkv1 "github.com/droverhq/drover/sdk/proto/network/v1"
)

// Proto returns the wire form.
func (a *Allocation) Proto() *networkv1.Allocation {
	p := &networkv1.Allocation{Id: a.ID, NamespacePath: a.NamespacePath}
	for _, n := range a.Networks {
		p.Networks = append(p.Networks, &networkv1.Attachment{Mode: n.Mode, Interface: n.Interface, Args: n.Args, Addresses: n.Addresses})
	}
	for _, m := range a.Ports {
		p.Ports = append(p.Ports, &networkv1.Port{Label: m.Label, HostIp: m.HostIP, HostPort: uint32(m.HostPort), Port: uint32(m.Port), Mode: m.Mode})
	}
	return p
}

// AllocationFromProto reads the wire form; nil is an empty one.
func AllocationFromProto(p *networkv1.Allocation) *Allocation {
	a := &Allocation{ID: p.GetId(), NamespacePath: p.GetNamespacePath()}
	for _, n := range p.GetNetworks() {
		a.Networks = append(a.Networks, Attachment{Mode: n.GetMode(), Interface: n.GetInterface(), Args: n.GetArgs(), Addresses: n.GetAddresses()})
	}
	for _, m := range p.GetPorts() {
		a.Ports = append(a.Ports, Port{Label: m.GetLabel(), HostIP: m.GetHostIp(), HostPort: int(m.GetHostPort()), Port: int(m.GetPort()), Mode: m.GetMode()})
	}
	return a
}

// Proto returns the wire form.
func (s *Status) Proto() *networkv1.Status {
	p := &networkv1.Status{AllocationId: s.AllocID, NamespacePath: s.NamespacePath, Healthy: s.Healthy, Description: s.Description}
	for _, i := range s.Interfaces {
		p.Interfaces = append(p.Interfaces, &networkv1.Interface{Name: i.Name, Mode: i.Mode, Mac: i.MAC, Addresses: i.Addresses, Gateways: i.Gateways})
	}
	if len(s.DNS.Servers)+len(s.DNS.Searches)+len(s.DNS.Options) > 0 {
		p.Dns = &networkv1.DNS{Servers: s.DNS.Servers, Searches: s.DNS.Searches, Options: s.DNS.Options}
	}
	return p
}

// StatusFromProto reads the wire form; nil is an empty one.
func StatusFromProto(p *networkv1.Status) *Status {
	s := &Status{AllocID: p.GetAllocationId(), NamespacePath: p.GetNamespacePath(), Healthy: p.GetHealthy(), Description: p.GetDescription()}
	for _, i := range p.GetInterfaces() {
		s.Interfaces = append(s.Interfaces, Interface{Name: i.GetName(), Mode: i.GetMode(), MAC: i.GetMac(), Addresses: i.GetAddresses(), Gateways: i.GetGateways()})
	}
	s.DNS = DNS{Servers: p.GetDns().GetServers(), Searches: p.GetDns().GetSearches(), Options: p.GetDns().GetOptions()}
	return s
}

// Proto returns the wire form.
func (o *Offers) Proto() *networkv1.OffersResponse {
	p := &networkv1.OffersResponse{Attributes: o.Attributes}
	for _, m := range o.Modes {
		p.Modes = append(p.Modes, &networkv1.Mode{Name: m.Name, Healthy: m.Healthy, Description: m.Description})
	}
	return p
}

// OffersFromProto reads the wire form.
func OffersFromProto(p *networkv1.OffersResponse) *Offers {
	o := &Offers{Attributes: p.GetAttributes()}
	for _, m := range p.GetModes() {
		o.Modes = append(o.Modes, Mode{Name: m.GetName(), Healthy: m.GetHealthy(), Description: m.GetDescription()})
	}
	return o
}
