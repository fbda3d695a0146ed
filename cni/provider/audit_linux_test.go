package provider

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/droverhq/drover/cni/record"
	"github.com/droverhq/drover/sdk/network"
)

func TestFamilyRules(t *testing.T) {
	any4and6 := network.Port{HostPort: 80, Port: 80}
	only4 := network.Port{HostIP: "192.0.2.1", HostPort: 80, Port: 80}
	only6 := network.Port{HostIP: "2001:db8::1", HostPort: 80, Port: 80}
	other := network.Port{HostPort: 80, Port: 80, Mode: "cni/other"}
	mine := network.Port{HostPort: 80, Port: 80, Mode: "cni/lab"}
	for name, tc := range map[string]struct {
		ports        []network.Port
		snat         bool
		want4, want6 int
	}{
		"no ports":            {nil, true, 0, 0},
		"every address":       {[]network.Port{any4and6}, true, 4, 3},
		"without snat":        {[]network.Port{any4and6}, false, 2, 2},
		"one of IPv4":         {[]network.Port{only4}, true, 4, 1},
		"one of IPv6":         {[]network.Port{only6}, true, 2, 3},
		"of another network":  {[]network.Port{other}, true, 0, 0},
		"of this and another": {[]network.Port{other, mine}, true, 4, 3},
		"two":                 {[]network.Port{any4and6, only4}, true, 6, 3},
	} {
		if got := familyRules(tc.ports, "cni/lab", false, tc.snat); got != tc.want4 {
			t.Errorf("%s: %d rules of IPv4, want %d", name, got, tc.want4)
		}
		if got := familyRules(tc.ports, "cni/lab", true, tc.snat); got != tc.want6 {
			t.Errorf("%s: %d rules of IPv6, want %d", name, got, tc.want6)
		}
	}
}

// TestOutside: what an allocation has lost outside of its namespace is noticed on every network.
func TestOutside(t *testing.T) {
	const id = "drover-node-a"
	conf := `{"name": "lab", "plugins": [{"type": "bridge", "ipMasq": true, "ipMasqBackend": "nftables", "ipam": {"type": "host-local", "dataDir": "/leases"}},
		{"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}]}`
	long := strings.Replace(conf, `"lab"`, `"`+strings.Repeat("l", 90)+`"`, 1)
	address := netip.MustParseAddr("10.1.2.3")
	whole := func() sight {
		return sight{map[string]int{"cni_hostport " + id: 4, "cni_plugins_masquerade " + id: 1},
			map[string]map[netip.Addr]string{"/leases/lab": {address: id}, "/leases/" + strings.Repeat("l", 90): {address: id}}}
	}
	for name, tc := range map[string]struct {
		conf  string
		spoil func(sight)
		want  string
	}{
		"whole":                {conf, func(sight) {}, ""},
		"lease":                {conf, func(s sight) { delete(s.leased["/leases/lab"], address) }, "the lease of 10.1.2.3 is gone"},
		"lease of another":     {conf, func(s sight) { s.leased["/leases/lab"][address] = "drover-node-b" }, "the lease of 10.1.2.3 is gone"},
		"port rules":           {conf, func(s sight) { s.rules["cni_hostport "+id] = 1 }, "3 of 4 rules of its ports are gone"},
		"masquerading":         {conf, func(s sight) { delete(s.rules, "cni_plugins_masquerade "+id) }, "its masquerading rules are gone"},
		"cannot be told whose": {long, func(s sight) { delete(s.rules, "cni_plugins_masquerade "+id) }, ""},
		"not counted":          {`{"name": "lab", "plugins": [{"type": "macvlan", "ipam": {"type": "dhcp"}}]}`, func(s sight) { clear(s.rules); clear(s.leased) }, ""},
	} {
		r := &record.Record{ContainerID: id, Alloc: network.Allocation{Ports: []network.Port{{HostPort: 80, Port: 80}}},
			Networks: []*record.Network{{Mode: "cni/lab", Interface: "eth0", Conf: []byte(tc.conf), Status: network.Interface{Addresses: []string{"10.1.2.3/24"}}}}}
		seen := whole()
		tc.spoil(seen)
		if got := outside(r, seen); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
