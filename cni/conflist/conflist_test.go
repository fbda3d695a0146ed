package conflist

import (
	"reflect"
	"testing"
)

func TestLeaseDirs(t *testing.T) {
	for raw, want := range map[string][]string{
		`{"name": "lab", "plugins": [{"type": "bridge", "ipam": {"type": "host-local", "dataDir": "/leases"}}, {"type": "portmap"}]}`: {"/leases/lab"},
		`{"name": "lab", "plugins": [{"type": "bridge", "ipam": {"type": "host-local"}}]}`:                                            {"/var/lib/cni/networks/lab"},
		`{"name": "lab", "plugins": [{"type": "bridge", "ipam": {"type": "static"}}, {"type": "tuning"}]}`:                            nil,
		`{"plugins": [{"ipam": {"type": "host-local"}}]}`:                                                                             nil,
		`{`: nil,
	} {
		if got := LeaseDirs([]byte(raw)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", raw, got, want)
		}
	}
}
