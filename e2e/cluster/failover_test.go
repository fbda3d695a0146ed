package cluster

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// How long nothing can be written after the leader is killed: FAILOVERS times with DROVER_TIER=bench. A writer that does
// not stop asks a server that is left, as a user would.
func TestFailoverTime(t *testing.T) {
	if os.Getenv("DROVER_TIER") != "bench" {
		t.Skip("a benchmark: DROVER_TIER=bench")
	}
	times := 50
	if text := os.Getenv("FAILOVERS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("FAILOVERS is %q, not a number of at least 1", text)
		}
		times = n
	}
	g := newGroup(t, 3)
	lead := g.mustLeader(0)
	var took []time.Duration
	for i := range times {
		asked := g.other(lead)
		g.servers[lead].Kill9()
		began := time.Now()
		name := fmt.Sprintf("after-%d", i)
		for write(g.servers[asked], name) != nil {
			if time.Since(began) > time.Minute {
				t.Fatal("no write within a minute")
			}
		}
		took = append(took, time.Since(began))
		back := g.servers[lead]
		back.Run()
		back.Eventually(time.Minute, "the server that was killed has what it missed", func() error { return back.Get("/v1/namespace/"+name+"?stale", nil) })
		back.Eventually(time.Minute, "all servers are healthy", func() error { return g.servers[asked].Get("/v1/operator/autopilot/health", nil) })
		harness.Eventually(t, time.Minute, "a leader", func() (err error) {
			lead, err = g.leader(asked)
			return err
		})
	}
	slices.Sort(took)
	at := func(p float64) time.Duration {
		return took[min(len(took)-1, int(p*float64(len(took))))].Round(time.Millisecond)
	}
	fmt.Printf("failover: %d times the leader was killed; a write succeeds again after median %v, p99 %v, most %v\n", times, at(0.5), at(0.99), took[len(took)-1].Round(time.Millisecond))
	if at(0.99) > 2*time.Second {
		t.Errorf("p99 is %v, the aim is 2s", at(0.99))
	}
}
