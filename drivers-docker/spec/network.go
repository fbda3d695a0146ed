package spec

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client/pkg/versions"

	"github.com/droverhq/drover/sdk/driver"
)

// networking decides whose namespace the container lives in, what it publishes and how it resolves names.
func networking(in Input, r *Request, c *container.Config, h *container.HostConfig) (*network.NetworkingConfig, error) {
	mode := in.Config.NetworkMode
	if mode == "" && in.SharedNetwork != "" {
		mode = "container:" + in.SharedNetwork
	}
	h.NetworkMode = container.NetworkMode(mode)
	joins := h.NetworkMode.IsContainer()
	if err := publish(in, r, c, h, joins); err != nil {
		return nil, err
	}
	if joins {
		// The engine refuses all of these for a container that lives in another one's namespace.
		return nil, nil
	}
	c.Hostname = in.Config.Hostname
	for _, entry := range in.Config.ExtraHosts {
		if name, _, ok := strings.Cut(entry, ":"); !ok || !oneWord(name) || !oneWord(entry) {
			return nil, fmt.Errorf("extra_hosts: %q is not name:address", entry)
		}
	}
	h.ExtraHosts = in.Config.ExtraHosts
	if in.Task.DNS == nil {
		if err := words("dns_search_domains", in.Config.DNSSearchDomains); err != nil {
			return nil, err
		}
		if err := words("dns_options", in.Config.DNSOptions); err != nil {
			return nil, err
		}
		for _, text := range in.Config.DNSServers {
			server, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("dns_servers: %q is not an IP address", text)
			}
			h.DNS = append(h.DNS, server)
		}
		h.DNSSearch, h.DNSOptions = in.Config.DNSSearchDomains, in.Config.DNSOptions
	}
	return endpoint(in, h.NetworkMode)
}

// publish decides about ports. In a shared namespace there is nothing to publish: the ports are the namespace's.
func publish(in Input, r *Request, c *container.Config, h *container.HostConfig, joins bool) error {
	r.Ports = map[string]int{}
	c.ExposedPorts, h.PortBindings = network.PortSet{}, network.PortMap{}
	add := func(hostIP string, hostPort, inside int) error {
		var ip netip.Addr
		if hostIP != "" {
			var err error
			if ip, err = netip.ParseAddr(hostIP); err != nil {
				return fmt.Errorf("port %d: %q is not an IP address", hostPort, hostIP)
			}
		}
		for _, protocol := range []network.IPProtocol{network.TCP, network.UDP} {
			port, ok := network.PortFrom(uint16(inside), protocol)
			if !ok || inside < 1 || inside > 65535 {
				return fmt.Errorf("port %d inside the container is not between 1 and 65535", inside)
			}
			c.ExposedPorts[port] = struct{}{}
			h.PortBindings[port] = append(h.PortBindings[port], network.PortBinding{HostIP: ip, HostPort: strconv.Itoa(hostPort)})
		}
		return nil
	}
	if len(in.Config.PortMap) > 0 && (len(in.Config.Ports) > 0 || len(in.Task.Resources.Ports) > 0) {
		return errors.New("port_map does not work with ports of the group's network; list their labels in ports and set their to")
	}
	for _, label := range in.Config.Ports {
		p, err := groupPort(in.Task.Resources.Ports, label)
		if err != nil {
			return err
		}
		inside := p.To
		if inside <= 0 {
			inside = p.Value
		}
		if joins {
			continue
		}
		r.Ports[label] = inside
		if err := add(p.HostIP, p.Value, inside); err != nil {
			return err
		}
	}
	if len(in.Task.Resources.Networks) == 0 {
		if len(in.Config.PortMap) > 0 {
			return errors.New("port_map is set, but the task has no network of its own; use ports with the group's network")
		}
		return nil
	}
	return publishTask(in, r, add)
}

// publishTask is the older way: a network of the task, and port_map saying which port is behind which label.
func publishTask(in Input, r *Request, add func(hostIP string, hostPort, inside int) error) error {
	known := map[string]bool{}
	for _, n := range in.Task.Resources.Networks {
		for _, p := range append(append([]driver.NetworkPort(nil), n.ReservedPorts...), n.DynamicPorts...) {
			known[p.Label] = true
			inside, mapped := in.Config.PortMap[p.Label]
			if !mapped {
				inside = p.Value
			}
			r.Ports[p.Label] = inside
			if err := add(n.IP, p.Value, inside); err != nil {
				return err
			}
		}
	}
	for label := range in.Config.PortMap {
		if !known[label] {
			return fmt.Errorf("port_map: the task's network has no port %q", label)
		}
	}
	return nil
}

func groupPort(ports []driver.Port, label string) (driver.Port, error) {
	var known []string
	for _, p := range ports {
		if p.Label == label {
			return p, nil
		}
		known = append(known, p.Label)
	}
	if known == nil {
		return driver.Port{}, fmt.Errorf("ports: %q: the group's network has no ports", label)
	}
	return driver.Port{}, fmt.Errorf("ports: the group's network has no port %q, only %s", label, strings.Join(known, ", "))
}

// macAddressAPI is the first version of the engine's API that takes hardware addresses where networks are joined.
const macAddressAPI = "1.44"

// endpoint is about the container's place in a network the user made; others have no such settings.
func endpoint(in Input, mode container.NetworkMode) (*network.NetworkingConfig, error) {
	c := in.Config
	if len(c.NetworkAliases) == 0 && c.IPv4Address == "" && c.IPv6Address == "" && c.MacAddress == "" {
		return nil, nil
	}
	settings := &network.EndpointSettings{}
	userDefined := mode != "" && mode != "default" && mode != "bridge" && mode != "host" && mode != "none" && mode != "nat"
	if !userDefined && (len(c.NetworkAliases) > 0 || c.IPv4Address != "" || c.IPv6Address != "") {
		return nil, fmt.Errorf("network_aliases, ipv4_address and ipv6_address need network_mode to name a network that the user made, it is %q", string(mode))
	}
	settings.Aliases = c.NetworkAliases
	if c.IPv4Address != "" || c.IPv6Address != "" {
		settings.IPAMConfig = &network.EndpointIPAMConfig{}
	}
	for _, a := range []struct {
		option, text string
		into         func(netip.Addr)
		fits         func(netip.Addr) bool
	}{
		{"ipv4_address", c.IPv4Address, func(ip netip.Addr) { settings.IPAMConfig.IPv4Address = ip }, netip.Addr.Is4},
		{"ipv6_address", c.IPv6Address, func(ip netip.Addr) { settings.IPAMConfig.IPv6Address = ip }, netip.Addr.Is6},
	} {
		if a.text == "" {
			continue
		}
		ip, err := netip.ParseAddr(a.text)
		if err != nil || !a.fits(ip) {
			return nil, fmt.Errorf("%s: %q is not such an address", a.option, a.text)
		}
		a.into(ip)
	}
	if c.MacAddress != "" {
		if in.Node.API != "" && versions.LessThan(in.Node.API, macAddressAPI) {
			return nil, fmt.Errorf("mac_address needs a Docker engine of API %s or newer, this node's has %s and would ignore it", macAddressAPI, in.Node.API)
		}
		mac, err := net.ParseMAC(c.MacAddress)
		if err != nil {
			return nil, fmt.Errorf("mac_address: %q is not a hardware address", c.MacAddress)
		}
		settings.MacAddress = network.HardwareAddr(mac)
	}
	name := string(mode)
	if name == "" {
		name = "default"
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{name: settings}}, nil
}

// Override is what the host should know about where the task listens. addr and name are those of the container's network.
func Override(ports map[string]int, addr, name string) *driver.NetworkOverride {
	if addr == "" && len(ports) == 0 {
		return nil
	}
	return &driver.NetworkOverride{PortMap: ports, Addr: addr, AutoAdvertise: name != "" && name != "bridge" && name != "nat" && name != "default"}
}

// HostsFile is what a container that shares a namespace sees as /etc/hosts: the engine makes none for it.
func HostsFile(hosts *driver.HostsConfig, extra []string) ([]byte, error) {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\nfe00::0 ip6-localnet\nff00::0 ip6-mcastprefix\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n")
	if hosts != nil && hosts.Address != "" && hosts.Hostname != "" {
		if net.ParseIP(hosts.Address) == nil || !oneWord(hosts.Hostname) {
			return nil, fmt.Errorf("the network's address %q and name %q do not fit into a hosts file", hosts.Address, hosts.Hostname)
		}
		fmt.Fprintf(&b, "%s %s\n", hosts.Address, hosts.Hostname)
	}
	for _, entry := range extra {
		name, address, ok := strings.Cut(entry, ":")
		if !ok || !oneWord(name) || net.ParseIP(strings.Trim(address, "[]")) == nil {
			return nil, fmt.Errorf("extra_hosts: %q is not name:address", entry)
		}
		fmt.Fprintf(&b, "%s %s\n", strings.Trim(address, "[]"), name)
	}
	return []byte(b.String()), nil
}

// ResolvFile is the resolver configuration a group's dns block asks for.
func ResolvFile(dns *driver.DNS) ([]byte, error) {
	for _, server := range dns.Servers {
		if _, err := netip.ParseAddr(server); err != nil || !oneWord(server) {
			return nil, fmt.Errorf("dns: servers: %q is not an IP address", server)
		}
	}
	if err := words("dns: searches", dns.Searches); err != nil {
		return nil, err
	}
	if err := words("dns: options", dns.Options); err != nil {
		return nil, err
	}
	var b strings.Builder
	if len(dns.Searches) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(dns.Searches, " "))
	}
	for _, server := range dns.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	if len(dns.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(dns.Options, " "))
	}
	return []byte(b.String()), nil
}

// words refuses values that would become more than one word of a line.
func words(option string, values []string) error {
	for _, v := range values {
		if !oneWord(v) {
			return fmt.Errorf("%s: %q is not one word without spaces and control characters", option, v)
		}
	}
	return nil
}

// oneWord reports whether a text stays one word of one line in the files of a resolver.
func oneWord(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
}
