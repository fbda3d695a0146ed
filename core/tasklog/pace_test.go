package tasklog

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	start := time.Unix(1000, 0)
	type round struct {
		at    time.Duration
		moved int64
		naps  bool
	}
	for name, rounds := range map[string][]round{
		"a line now and then": {{0, 100, true}, {time.Second, 100, true}, {2 * time.Second, 100, true}},
		"many lines":          {{0, 100, true}, {napLength, 9000, true}, {2 * napLength, 9000, true}},
		"a full pipe after the nap": {
			{0, 100, true}, {napLength, 64 << 10, false}, {napLength + 20*time.Microsecond, 4096, false}, {2 * napLength, 4096, false},
		},
		"a flood ends": {
			{0, 100, true}, {napLength, 64 << 10, false}, {time.Second, 100, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := pace{since: start.Add(-time.Hour)}
			for i, r := range rounds {
				if got := p.nap(start.Add(r.at), r.moved); (got > 0) != r.naps {
					t.Errorf("round %d: nap %s, want one: %v", i, got, r.naps)
				}
			}
		})
	}
}
