package network

import (
	"maps"
	"reflect"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskenv"
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
		"none": {network.Status{}, model.AllocNetworkStatus{}},
		"one":  {network.Status{Interfaces: []network.Interface{eth0}}, model.AllocNetworkStatus{InterfaceName: "eth0", Address: "172.26.64.5", AddressIPv6: "fd00::5"}},
		"one of two": {network.Status{Interfaces: []network.Interface{silent, eth0}}, model.AllocNetworkStatus{
			InterfaceName: "eth0", Address: "172.26.64.5", AddressIPv6: "fd00::5", Interfaces: []*model.AllocInterface{
				{Name: "eth0", Mode: "bridge", Address: "172.26.64.5", AddressIPv6: "fd00::5"},
			}}},
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

func TestPlan(t *testing.T) {
	job := &model.Job{ID: "web", TaskGroups: []*model.TaskGroup{{Name: "g"}}, Meta: map[string]string{"owner": "me"}}
	alloc := &model.Allocation{ID: "a", JobID: "web", TaskGroup: "g", Namespace: "team;x", Job: job, AllocatedResources: &model.AllocatedResources{
		Shared: model.AllocatedSharedResources{Ports: []model.AllocatedPort{
			{Label: "http", Value: 25000, To: 8080, HostIP: "192.0.2.1"}, {Label: "admin", Value: 9000, HostIP: "192.0.2.2"}, {Label: "stale", Value: 1},
		}}}}
	env := taskenv.Build(taskenv.Input{Node: &model.Node{}, Alloc: alloc, Job: job, Task: &model.Task{Name: "t"}})
	bridge := &model.Network{Mode: "bridge", DynamicPorts: []model.Port{{Label: "http", To: 8080}}}
	lab := &model.Network{Mode: "cni/lab", ReservedPorts: []model.Port{{Label: "admin", Value: 9000, HostNetwork: "internal"}},
		CNI: &model.CNIConfig{Args: map[string]string{"IP": "10.0.0.7, fd00::7/64,nonsense", "OWNER": "${NOMAD_META_owner}"}}}
	standard := func(more map[string]string) map[string]string { // the namespace cannot be said in CNI's arguments
		args := map[string]string{"NOMAD_ALLOC_ID": "a", "NOMAD_JOB_ID": "web", "NOMAD_GROUP_NAME": "g"}
		maps.Copy(args, more)
		return args
	}
	http := network.Port{Label: "http", HostIP: "192.0.2.1", HostPort: 25000, Port: 8080, Mode: "bridge"}
	everywhere := http
	everywhere.HostIP = ""
	admin := network.Port{Label: "admin", HostIP: "192.0.2.2", HostPort: 9000, Port: 9000, Mode: "cni/lab"}
	onBridge := network.Attachment{Mode: "bridge", Interface: "eth0", Args: standard(nil)}
	inLab := network.Attachment{Mode: "cni/lab", Interface: "eth1", Addresses: []string{"10.0.0.7", "fd00::7/64"},
		Args: standard(map[string]string{"IP": "10.0.0.7, fd00::7/64,nonsense", "OWNER": "me"})}
	for name, tc := range map[string]struct {
		networks []*model.Network
		wildcard bool
		want     *network.Allocation
	}{
		"none":                 {nil, true, nil},
		"the node's":           {[]*model.Network{{Mode: "host"}}, true, nil},
		"the node's, unsaid":   {[]*model.Network{{}}, true, nil},
		"bridge":               {[]*model.Network{bridge}, false, &network.Allocation{ID: "a", Networks: []network.Attachment{onBridge}, Ports: []network.Port{http}}},
		"on every address":     {[]*model.Network{bridge}, true, &network.Allocation{ID: "a", Networks: []network.Attachment{onBridge}, Ports: []network.Port{everywhere}}},
		"host network and CNI": {[]*model.Network{bridge, lab}, true, &network.Allocation{ID: "a", Networks: []network.Attachment{onBridge, inLab}, Ports: []network.Port{everywhere, admin}}},
	} {
		if got := Plan(alloc, &model.TaskGroup{Name: "g", Networks: tc.networks}, env, tc.wildcard); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}
