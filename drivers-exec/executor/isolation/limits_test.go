package isolation

import (
	"reflect"
	"testing"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/sdk/driver"
)

func TestLimits(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		memory, most int64
		want         cgroup.Limits
	}{
		"memory only":       {256, 0, cgroup.Limits{Memory: 256 * mib}},
		"memory and a most": {256, 512, cgroup.Limits{Memory: 512 * mib, Reservation: 256 * mib}},
		"no bound":          {256, -1, cgroup.Limits{Reservation: 256 * mib}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &driver.Resources{MemoryMB: c.memory, MemoryMaxMB: c.most}
			if got := Limits(r); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestIsPrivate(t *testing.T) {
	for name, c := range map[string]struct {
		mode, byDefault string
		private, ok     bool
	}{
		"private":            {Private, Host, true, true},
		"host":               {Host, Private, false, true},
		"default is private": {"", Private, true, true},
		"default is host":    {"", Host, false, true},
		"another":            {"shared", Private, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := IsPrivate("pid_mode", c.mode, c.byDefault)
			if got != c.private || (err == nil) != c.ok {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
