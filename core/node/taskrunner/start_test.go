package taskrunner

import (
	"testing"

	"github.com/droverhq/drover/sdk/driver"
)

// Which drivers' tasks may not run as a denied user: those the operator names, or those that show tasks a root of their own.
func TestCheckedDrivers(t *testing.T) {
	chroot, none, image := driver.Capabilities{FSIsolation: driver.FSChroot}, driver.Capabilities{FSIsolation: driver.FSNone}, driver.Capabilities{FSIsolation: driver.FSImage}
	for _, test := range []struct {
		operator map[string]bool
		driver   string
		caps     driver.Capabilities
		want     bool
	}{
		{nil, "isolating", chroot, true},
		{nil, "plain", none, false},
		{nil, "containers", image, false},
		{map[string]bool{"plain": true}, "plain", none, true},
		{map[string]bool{"plain": true}, "isolating", chroot, false},
		{map[string]bool{}, "isolating", chroot, false},
	} {
		r := &Runner{cfg: Config{Node: &Node{CheckedDrivers: test.operator}}}
		if got := r.checksUser(test.driver, test.caps); got != test.want {
			t.Errorf("options %v, %s: checked %v, want %v", test.operator, test.driver, got, test.want)
		}
	}
}
