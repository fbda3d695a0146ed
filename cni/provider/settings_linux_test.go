package provider

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/droverhq/drover/cni/conflist"
	"github.com/droverhq/drover/sdk/network"
)

func TestResolve(t *testing.T) {
	on, off := true, false
	for name, tc := range map[string]struct {
		own  Config
		node map[string]string
		want settings
	}{
		"defaults": {Config{}, nil, settings{Path: filepath.SplitList(defaultPath), ConfigDir: defaultConfigDir,
			Bridge: conflist.Bridge{Name: "drover", Subnet: "172.26.64.0/20", LeaseDir: "/state/leases"}}},
		"the node's": {Config{}, map[string]string{"cni_path": "/a:/b", "cni_config_dir": "/c", "bridge_network_name": "br", "bridge_network_subnet": "10.0.0.0/24",
			"bridge_network_subnet_ipv6": "fd00::/64", "bridge_network_hairpin_mode": "true"},
			settings{Path: []string{"/a", "/b"}, ConfigDir: "/c", Bridge: conflist.Bridge{Name: "br", Subnet: "10.0.0.0/24", SubnetV6: "fd00::/64", Hairpin: true, LeaseDir: "/state/leases"}}},
		"the block's own goes first": {Config{CNIPath: "/x", BridgeName: "own", Hairpin: &off}, map[string]string{"cni_path": "/a", "bridge_network_name": "br", "bridge_network_hairpin_mode": "true"},
			settings{Path: []string{"/x"}, ConfigDir: defaultConfigDir, Bridge: conflist.Bridge{Name: "own", Subnet: "172.26.64.0/20", LeaseDir: "/state/leases"}}},
		"hairpin of the block": {Config{Hairpin: &on}, nil, settings{Path: filepath.SplitList(defaultPath), ConfigDir: defaultConfigDir,
			Bridge: conflist.Bridge{Name: "drover", Subnet: "172.26.64.0/20", Hairpin: true, LeaseDir: "/state/leases"}}},
	} {
		if got := resolve(tc.own, &network.Node{StateDir: "/state", Settings: tc.node}); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
}

// TestConfigSchema: the block can be written as it is documented.
func TestConfigSchema(t *testing.T) {
	if _, err := New(nil).Config().Schema(); err != nil {
		t.Error(err)
	}
}
