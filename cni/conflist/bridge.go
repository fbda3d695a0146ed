package conflist

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
)

// BridgeMode is the mode of the built-in network.
const BridgeMode = "bridge"

// Bridge are the settings of the built-in network.
type Bridge struct {
	Name     string // of the link and the network
	Subnet   string
	SubnetV6 string // "" = IPv4 only
	Hairpin  bool
	LeaseDir string // where host-local keeps its leases
	Firewall bool   // iptables is there: its FORWARD chain may drop, so it is told about the bridge's addresses
}

// Defaults of the bridge.
const (
	DefaultBridge = "drover"
	DefaultSubnet = "172.26.64.0/20"
)

// linkName is what the kernel takes for an interface.
var linkName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,15}$`)

// Network is the built-in network as a configuration of the same kind as those of cni_config_dir.
func (b Bridge) Network() *Network {
	n := &Network{Mode: BridgeMode}
	n.Raw, n.Err = b.conflist()
	return n
}

func (b Bridge) conflist() ([]byte, error) {
	if !linkName.MatchString(b.Name) || b.Name == "." || b.Name == ".." {
		return nil, fmt.Errorf("bridge_network_name %.40q is no interface name: at most 15 letters, digits, and _ . -", b.Name)
	}
	subnets, err := b.Subnets()
	if err != nil {
		return nil, err
	}
	type object = map[string]any
	var ranges [][]object
	routes := []object{}
	for _, p := range subnets {
		ranges = append(ranges, []object{{"subnet": p.String()}})
		dst := "0.0.0.0/0"
		if p.Addr().Is6() {
			dst = "::/0"
		}
		routes = append(routes, object{"dst": dst})
	}
	plugins := []object{{
		"type": "bridge", "bridge": b.Name, "isGateway": true, "forceAddress": true, "hairpinMode": b.Hairpin,
		"ipMasq": true, "ipMasqBackend": "nftables", "capabilities": object{"ips": true},
		"ipam": object{"type": "host-local", "ranges": ranges, "routes": routes, "dataDir": b.LeaseDir},
	}}
	if b.Firewall {
		plugins = append(plugins, object{"type": "firewall", "backend": "iptables", "iptablesAdminChainName": "DROVER-ADMIN"})
	}
	plugins = append(plugins, object{"type": "portmap", "backend": "nftables", "snat": true, "capabilities": object{"portMappings": true}})
	return json.Marshal(object{"cniVersion": "1.0.0", "name": b.Name, "plugins": plugins})
}

// Subnets are the networks that addresses come from.
func (b Bridge) Subnets() ([]netip.Prefix, error) {
	v4, err := subnet("bridge_network_subnet", b.Subnet, netip.Addr.Is4)
	if err != nil {
		return nil, err
	}
	if b.SubnetV6 == "" {
		return []netip.Prefix{v4}, nil
	}
	v6, err := subnet("bridge_network_subnet_ipv6", b.SubnetV6, netip.Addr.Is6)
	return []netip.Prefix{v4, v6}, err
}

func subnet(key, text string, fits func(netip.Addr) bool) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil || !fits(p.Addr()) || p.Bits() > p.Addr().BitLen()-2 {
		return p, fmt.Errorf("%s %.60q is not such a network, as in 172.26.64.0/20 or fd00:26::/64", key, text)
	}
	return p.Masked(), nil
}
