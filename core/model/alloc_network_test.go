package model

import "testing"

// TestOfPort: a port has the address of its own network or none.
func TestOfPort(t *testing.T) {
	g := &TaskGroup{Networks: []*Network{
		{Mode: "bridge", DynamicPorts: []Port{{Label: "http"}}},
		{Mode: "cni/lab", ReservedPorts: []Port{{Label: "admin"}}},
		{Mode: "cni/tap", DynamicPorts: []Port{{Label: "raw"}}},
	}}
	eth0 := AllocInterface{Name: "eth0", Mode: "bridge", Address: "172.26.64.5"}
	eth1 := AllocInterface{Name: "eth1", Mode: "cni/lab", Address: "10.30.0.7"}
	several := &AllocNetworkStatus{InterfaceName: "eth0", Address: "172.26.64.5", Interfaces: []*AllocInterface{&eth0, &eth1}}
	single := &AllocNetworkStatus{InterfaceName: "eth0", Address: "172.26.64.5"}
	first := AllocInterface{Name: "eth0", Address: "172.26.64.5"}
	for name, tc := range map[string]struct {
		status *AllocNetworkStatus
		group  *TaskGroup
		label  string
		want   AllocInterface
	}{
		"no network":           {nil, g, "http", AllocInterface{}},
		"the first":            {several, g, "http", eth0},
		"another":              {several, g, "admin", eth1},
		"without an address":   {several, g, "raw", AllocInterface{}},
		"nobody asks for it":   {several, g, "other", first},
		"a group that is gone": {several, nil, "admin", first},
		"there is only one":    {single, g, "http", first},
	} {
		if got := tc.status.OfPort(tc.group, tc.label); got != tc.want {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}
