package fingerprint

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/droverhq/drover/core/model"
)

const (
	defaultAlias = "default"
	defaultSpeed = 1000 // Mbit/s
)

// lookNetwork offers the addresses that ports may be opened on: those of one interface under the alias "default" and
// those of the configured host networks under their names.
func lookNetwork(cfg *Config, r *Result) error {
	ifaces, err := readInterfaces()
	if err != nil {
		return err
	}
	name, err := chooseInterface(cfg, ifaces)
	if err != nil {
		return err
	}
	speed := cfg.NetworkSpeed
	if speed == 0 {
		speed = linkSpeed(name)
	}
	res := networkResources(ifaces, name, speed, cfg.HostNetworks, cfg.Options["fingerprint.network.disallow_link_local"] == "true")
	r.Resources.Networks, r.Resources.NodeNetworks = res.networks, res.devices
	r.set("unique.network.ip-address", res.ip)
	if res.ip == "" {
		return fmt.Errorf("interface %s has no usable address; set client.network_interface", name)
	}
	return nil
}

// iface is a network interface with its addresses.
type iface struct {
	name     string
	mac      string
	up       bool
	loopback bool
	addrs    []netip.Prefix
}

func readInterfaces() ([]iface, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var out []iface
	for _, i := range list {
		f := iface{name: i.Name, mac: i.HardwareAddr.String(), up: i.Flags&net.FlagUp != 0, loopback: i.Flags&net.FlagLoopback != 0}
		addrs, err := i.Addrs()
		if err != nil {
			continue // gone since it was listed
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				f.addrs = append(f.addrs, netip.PrefixFrom(p.Addr().Unmap().WithZone(""), p.Bits()))
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// chooseInterface: the configured one; loopback in dev mode; that of the default route; else the first that is up and
// has an address, loopback last.
func chooseInterface(cfg *Config, ifaces []iface) (string, error) {
	if want := cfg.NetworkInterface; want != "" {
		if !slices.ContainsFunc(ifaces, func(i iface) bool { return i.name == want }) {
			return "", fmt.Errorf("client.network_interface %q does not exist on this machine", want)
		}
		return want, nil
	}
	if cfg.Dev {
		if i := slices.IndexFunc(ifaces, func(i iface) bool { return i.loopback && len(i.addrs) > 0 }); i >= 0 {
			return ifaces[i].name, nil
		}
	}
	if name := defaultRoute(ifaces); name != "" {
		return name, nil
	}
	for _, loopback := range []bool{false, true} {
		for _, i := range ifaces {
			if i.up && i.loopback == loopback && len(i.addrs) > 0 {
				return i.name, nil
			}
		}
	}
	return "", errors.New("no network interface is up and has an address")
}

// offered is what the interfaces come to as node resources.
type offered struct {
	ip       string // the node's own address
	networks []*model.NodeNetwork
	devices  []*model.NodeNetworkDevice
}

func networkResources(ifaces []iface, name string, speed int, hostNetworks map[string]*model.HostNetwork, noLinkLocal bool) offered {
	var o offered
	for _, i := range ifaces {
		var addrs []model.NodeNetworkAddress
		isV4 := hasV4(i)
		for _, p := range i.addrs {
			linkLocal := p.Addr().IsLinkLocalUnicast()
			if linkLocal && (noLinkLocal || p.Addr().Is6()) {
				continue
			}
			for _, alias := range aliases(i, p, name, hostNetworks) {
				if alias.name == defaultAlias && isV4 && p.Addr().Is6() {
					continue // see hasV4
				}
				addrs = append(addrs, model.NodeNetworkAddress{Family: family(p.Addr()), Alias: alias.name, Address: p.Addr().String(), ReservedPorts: alias.reserved})
			}
			if i.name != name {
				continue
			}
			o.networks = append(o.networks, &model.NodeNetwork{
				Mode: model.NetworkModeHost, Device: i.name, IP: p.Addr().String(),
				CIDR: netip.PrefixFrom(p.Addr(), p.Addr().BitLen()).String(), MBits: speed,
			})
			if o.ip == "" || (netip.MustParseAddr(o.ip).Is6() && p.Addr().Is4()) {
				o.ip = p.Addr().String()
			}
		}
		if len(addrs) > 0 {
			d := &model.NodeNetworkDevice{Mode: model.NetworkModeHost, Device: i.name, MacAddress: i.mac, Addresses: addrs}
			if i.name == name {
				d.Speed = speed
			}
			o.devices = append(o.devices, d)
		}
	}
	return o
}

// hasV4 tells whether an interface has an IPv4 address. The default network then holds only those: with both families in
// it, a second job could be given the same static port on the other family's address, while most programs listen on
// all addresses. Name a host_network to open ports on IPv6 addresses.
func hasV4(i iface) bool {
	return slices.ContainsFunc(i.addrs, func(p netip.Prefix) bool { return p.Addr().Is4() })
}

type alias struct{ name, reserved string }

// aliases are the host networks an address belongs to.
func aliases(i iface, p netip.Prefix, chosen string, hostNetworks map[string]*model.HostNetwork) []alias {
	var out []alias
	if i.name == chosen {
		out = append(out, alias{name: defaultAlias})
	}
	names := make([]string, 0, len(hostNetworks))
	for n := range hostNetworks {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		h := hostNetworks[n]
		if h.Interface != "" && h.Interface != i.name {
			continue
		}
		if h.CIDR != "" {
			cidr, err := netip.ParsePrefix(h.CIDR)
			if err != nil || !cidr.Contains(p.Addr()) {
				continue
			}
		}
		if h.Interface == "" && h.CIDR == "" {
			continue
		}
		out = append(out, alias{n, h.ReservedPorts})
	}
	return out
}

func family(a netip.Addr) string {
	if a.Is6() {
		return "ipv6"
	}
	return "ipv4"
}
