package conflist

import (
	"reflect"
	"testing"
)

func TestTracesOf(t *testing.T) {
	const leases = `"ipam": {"type": "host-local", "dataDir": "/leases"}`
	for name, tc := range map[string]struct {
		raw  string
		want Traces
	}{
		"all": {`{"name": "lab", "plugins": [{"type": "bridge", "ipMasq": true, "ipMasqBackend": "nftables", ` + leases + `},
			{"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}]}`,
			Traces{Name: "lab", Leases: []string{"/leases/lab"}, Masquerade: true, Ports: true, SNAT: true}},
		"without snat": {`{"name": "lab", "plugins": [{"type": "portmap", "backend": "nftables", "snat": false, "capabilities": {"portMappings": true}}]}`,
			Traces{Name: "lab", Ports: true}},
		"the backend is the plugin's choice": {`{"name": "lab", "plugins": [{"type": "ptp", "ipMasq": true, ` + leases + `}, {"type": "portmap", "snat": false, "capabilities": {"portMappings": true}}]}`,
			Traces{Name: "lab", Leases: []string{"/leases/lab"}}},
		"it is told of no ports": {`{"name": "lab", "plugins": [{"type": "portmap", "backend": "nftables", "snat": false}]}`, Traces{Name: "lab"}},
		"another gives addresses too": {`{"name": "lab", "plugins": [{"type": "macvlan", "ipam": {"type": "static"}}, {"type": "bridge", ` + leases + `}]}`,
			Traces{Name: "lab"}},
		"no JSON": {`{`, Traces{}},
	} {
		if got := TracesOf([]byte(tc.raw)); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tc.want)
		}
	}
	b := Bridge{Name: "drover", Subnet: DefaultSubnet, LeaseDir: "/leases"}.Network()
	if got, want := TracesOf(b.Raw), (Traces{Name: "drover", Leases: []string{"/leases/drover"}, Masquerade: true, Ports: true, SNAT: true}); !reflect.DeepEqual(got, want) {
		t.Errorf("the built-in network: %+v, want %+v", got, want)
	}
}
