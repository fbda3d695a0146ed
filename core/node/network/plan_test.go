package network

import (
	"reflect"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/network"
)

func TestStatusOf(t *testing.T) {
	eth0 := network.Interface{Name: "eth0", Mode: "bridge", Addresses: []string{"fd00::5/64", "172.26.64.5/20", "172.26.64.6/20"}}
	eth1 := network.Interface{Name: "eth1", Mode: "cni/lab", Addresses: []string{"fd00:1::7/64"}}
	silent := network.Interface{Name: "eth2", Mode: "cni/tap"}
	for name, c := range map[string]struct {
		in   network.Status
		want model.AllocNetworkStatus
	}{
		"none":           {network.Status{}, model.AllocNetworkStatus{}},
		"one":            {network.Status{Interfaces: []network.Interface{silent, eth0}}, model.AllocNetworkStatus{InterfaceName: "eth0", Address: "172.26.64.5", AddressIPv6: "fd00::5"}},
		"IPv6 only":      {network.Status{Interfaces: []network.Interface{eth1}}, model.AllocNetworkStatus{InterfaceName: "eth1", Address: "fd00:1::7", AddressIPv6: "fd00:1::7"}},
		"no address yet": {network.Status{Interfaces: []network.Interface{silent}}, model.AllocNetworkStatus{}},
		"several": {network.Status{Interfaces: []network.Interface{eth0, silent, eth1}}, model.AllocNetworkStatus{
			InterfaceName: "eth0", Address: "172.26.64.5", AddressIPv6: "fd00::5", Interfaces: []*model.AllocInterface{
				{Name: "eth0", Mode: "bridge", Address: "172.26.64.5", AddressIPv6: "fd00::5"},
				{Name: "eth1", Mode: "cni/lab", Address: "fd00:1::7", AddressIPv6: "fd00:1::7"},
			}}},
		"name servers": {network.Status{DNS: network.DNS{Servers: []string{"10.0.0.53"}}}, model.AllocNetworkStatus{DNS: &model.DNSConfig{Servers: []string{"10.0.0.53"}}}},
	} {
		if got := statusOf(&c.in); !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, *got, c.want)
		}
	}
}
