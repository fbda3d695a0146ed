package main

import (
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	runs, failed := sighting{}, sighting{stopped: true, failed: true, recovers: true}
	disarmed, good := sighting{stopped: true, failed: true}, sighting{stopped: true, recovers: true}
	type step struct {
		at   time.Duration
		seen sighting
		want bool
	}
	for name, test := range map[string]struct {
		recovery *recovery
		steps    []step
	}{
		"without recovery a failure is the end": {nil, []step{{0, runs, false}, {1, failed, true}}},
		"removed":                               {&recovery{Delay: time.Second}, []step{{0, runs, false}, {1, sighting{gone: true}, true}}},
		"ended well":                            {&recovery{Delay: time.Second}, []step{{0, runs, false}, {1, good, true}}},
		"stopped by the driver":                 {&recovery{Delay: time.Second}, []step{{0, runs, false}, {1, disarmed, true}}},
		"failed and started again": {&recovery{Delay: time.Second}, []step{
			{0, runs, false}, {time.Second, failed, false}, {3 * time.Second, failed, false}, {4 * time.Second, runs, false},
			{9 * time.Second, failed, false}, {14 * time.Second, failed, false}, {16 * time.Second, runs, false},
		}},
		"given up": {&recovery{Delay: time.Second}, []step{
			{0, runs, false}, {time.Second, failed, false}, {time.Second + time.Second + grace - 1, failed, false}, {time.Second + time.Second + grace, failed, true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, start := watch{recovery: test.recovery}, time.Unix(1000, 0)
			for i, s := range test.steps {
				if got := w.ended(s.seen, start.Add(s.at)); got != s.want {
					t.Fatalf("step %d at %s: ended is %t", i, s.at, got)
				}
			}
		})
	}
}

func TestRecoveryLimits(t *testing.T) {
	for name, test := range map[string]struct {
		r  *recovery
		ok bool
	}{
		"none":      {nil, true},
		"usual":     {&recovery{Attempts: 3, Delay: 5 * time.Second, Reset: time.Hour}, true},
		"attempts":  {&recovery{Attempts: 0, Reset: time.Hour}, false},
		"too many":  {&recovery{Attempts: 101, Reset: time.Hour}, false},
		"delay":     {&recovery{Attempts: 1, Delay: -1, Reset: time.Hour}, false},
		"no reset":  {&recovery{Attempts: 1}, false},
		"long wait": {&recovery{Attempts: 1, Delay: 2 * time.Hour, Reset: time.Hour}, false},
	} {
		if err := test.r.validate(); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
