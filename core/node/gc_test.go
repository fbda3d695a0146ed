package node

import (
	"strings"
	"testing"
	"time"
)

func TestCollectable(t *testing.T) {
	over := []ended{{id: "c", at: time.Unix(3, 0)}, {id: "a", at: time.Unix(1, 0)}, {id: "b", at: time.Unix(2, 0)}, {id: "b2", at: time.Unix(2, 0)}}
	names := func(list []ended) string {
		var out []string
		for _, e := range list {
			out = append(out, e.id)
		}
		return strings.Join(out, " ")
	}
	for name, c := range map[string]struct {
		keep      int
		p         pressure
		now, full string
	}{
		"room for all":   {4, pressure{50, 10}, "", ""},
		"two too many":   {2, pressure{50, 10}, "a b", ""},
		"disk too full":  {4, pressure{81, 10}, "", "a b b2 c"},
		"no inodes left": {3, pressure{10, 71}, "a", "b b2 c"},
	} {
		t.Run(name, func(t *testing.T) {
			now, full := collectable(over, GC{MaxAllocs: c.keep, DiskUsagePercent: 80, InodeUsagePercent: 70}, c.p)
			if names(now) != c.now || names(full) != c.full {
				t.Errorf("got %q and %q, want %q and %q", names(now), names(full), c.now, c.full)
			}
		})
	}
}
