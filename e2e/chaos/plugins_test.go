// Package chaos swaps the binary of a driver under its tasks, over and over. `make chaos-plugins` runs it.
package chaos

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// repetitions is how often to do something: SWAPS, or by the tier 1,000 in soak and 50 in CI.
func repetitions(t *testing.T) int {
	if text := os.Getenv("SWAPS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("SWAPS=%q is no number of swaps", text)
		}
		return n
	}
	switch os.Getenv("DROVER_TIER") {
	case "soak":
		return 1000
	case "ci":
		return 50
	}
	return 8
}

const tasks = 50

// writers write numbered lines; the first line of stderr is the pid, so that a second start would show.
const writers = `
job "writers" {
  group "g" {
    count = 50
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo $$ >&2; i=0; while :; do i=$((i+1)); echo $i; sleep 0.5; done"]
      }
      resources {
        cpu    = 5
        memory = 10
      }
    }
  }
}`

// pulse starts a task again and again, so that every swap meets starts and ends.
const pulse = `
job "pulse" {
  group "g" {
    restart {
      attempts = 100000
      interval = "24h"
      delay    = "250ms"
      mode     = "delay"
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
      resources {
        cpu    = 5
        memory = 10
      }
    }
  }
}`

// stage is an agent with tasks whose driver is swapped.
type stage struct {
	t *testing.T
	*harness.Agent
	dir    string // plugin_dir
	node   string
	allocs []harness.Alloc
	pids   map[string]string // by allocation
	pauses []time.Duration   // in which no task could start, one per swap
}

func newStage(t *testing.T, first build) *stage {
	t.Helper()
	dir, err := os.MkdirTemp("", "drp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	install(t, first, dir, false)
	s := &stage{t: t, dir: dir, pids: map[string]string{}}
	s.Agent = harness.Start(t, harness.Options{PluginDir: dir, Config: "enable_debug = true\n" +
		"client {\n enabled = true\n cpu_total_compute = 10000\n memory_total_mb = 8192\n}\n"})
	t.Cleanup(func() {
		for _, job := range []string{"writers", "pulse"} {
			s.CLI("job", "stop", "-purge", job)
		}
	})
	s.RunJob(writers, "-detach")
	s.RunJob(pulse, "-detach")
	s.allocs = s.WaitAllocs("writers", tasks, "running", 2*time.Minute)
	s.node = s.allocs[0].NodeID
	for _, al := range s.allocs {
		s.Eventually(time.Minute, "a task has begun", func() error {
			lines := s.LogLines(al.ID, "t", "stderr")
			if len(lines) != 1 {
				return fmt.Errorf("stderr has %d lines", len(lines))
			}
			s.pids[al.ID] = lines[0]
			return nil
		})
	}
	return s
}

// generation is one line of the node's plugins.
type generation struct {
	State, Reason, Version string
	Generation             uint64
	Healthy                bool
	PID, TaskCount         int
}

func (s *stage) generations() (list []generation, err error) {
	return list, s.Get("/v1/client/plugins", &list)
}

// swap installs a release and waits until it has the tasks, or until it was refused and the one before has them.
func (s *stage) swap(b build, byHand bool) {
	s.t.Helper()
	before, err := s.generations()
	if err != nil {
		s.t.Fatal(err)
	}
	var last uint64
	for _, g := range before {
		last = max(last, g.Generation)
	}
	install(s.t, b, s.dir, byHand)
	s.Eventually(time.Minute, "swap to "+b.version, func() error {
		list, err := s.generations()
		if err != nil {
			return err
		}
		for _, g := range list {
			switch {
			case g.Generation <= last || g.Version != b.version:
			case b.bad && g.State == "failed":
				return s.measure(g.Generation)
			case !b.bad && g.State == "ready" && g.TaskCount >= tasks && len(list) == 1:
				return s.measure(g.Generation)
			}
		}
		return fmt.Errorf("plugins are %+v", list)
	})
	s.healthy()
}

// duringACommand runs f while a command inside a task waits for input, which it must still get afterwards.
func (s *stage) duringACommand(f func()) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(harness.Bin(s.t), "drover"), "alloc", "exec", "-task", "t", s.allocs[0].ID, "/bin/cat")
	cmd.Env = append(os.Environ(), "DROVER_ADDR="+s.Addr)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	echo := func(text string) {
		fmt.Fprintln(stdin, text)
		if got, err := lines.ReadString('\n'); err != nil || got != text+"\n" {
			s.t.Errorf("the command answers %q to %q: %v", got, text, err)
		}
	}
	echo("before the swap")
	f()
	echo("after the swap")
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		s.t.Errorf("the command ended with %v", err)
	}
}

// measure notes how long starts waited, from the event that tells of the hand-over to a generation.
func (s *stage) measure(to uint64) error {
	var node struct {
		Events []struct {
			Message string
			Details map[string]string
		}
	}
	if err := s.Get("/v1/node/"+s.node, &node); err != nil {
		return err
	}
	for _, e := range slices.Backward(node.Events) {
		if e.Details["to"] == strconv.FormatUint(to, 10) {
			ms, err := strconv.Atoi(e.Details["pause_ms"])
			if err != nil {
				return err
			}
			s.pauses = append(s.pauses, time.Duration(ms)*time.Millisecond)
			return nil
		}
	}
	return fmt.Errorf("no event tells of a hand-over: %s", harness.Pretty(node.Events))
}

// healthy: what the cluster sees of the driver never changes for the worse.
func (s *stage) healthy() {
	s.t.Helper()
	var node struct {
		Drivers map[string]struct{ Detected, Healthy bool }
	}
	if err := s.Get("/v1/node/"+s.node, &node); err != nil {
		s.t.Fatal(err)
	}
	if d := node.Drivers["raw_exec"]; !d.Healthy || !d.Detected {
		s.t.Errorf("driver is shown as %+v", d)
	}
}

// verify checks every task: the same process, never restarted, every line once.
func (s *stage) verify() (lines int) {
	s.t.Helper()
	now := s.WaitAllocs("writers", tasks, "running", 30*time.Second)
	for _, al := range now {
		st := al.TaskStates["t"]
		if st.State != "running" || st.Restarts != 0 {
			s.t.Errorf("task of %s: %+v", al.ID, st)
		}
		for _, e := range st.Events {
			if e.Type == "Terminated" || e.Type == "Failed Restoring Task" || e.Type == "Plugin became unhealthy" {
				s.t.Errorf("task of %s: %s: %s", al.ID, e.Type, e.DisplayMessage)
			}
		}
		if begun := s.LogLines(al.ID, "t", "stderr"); len(begun) != 1 || begun[0] != s.pids[al.ID] {
			s.t.Errorf("task of %s began as process %s, then %v", al.ID, s.pids[al.ID], begun)
		}
		if _, err := os.Stat(filepath.Join("/proc", s.pids[al.ID])); err != nil {
			s.t.Errorf("task of %s: %v", al.ID, err)
		}
		n, err := harness.Sequence(s.LogLines(al.ID, "t", "stdout"))
		if err != nil {
			s.t.Errorf("output of %s: %v", al.ID, err)
		}
		lines += n
	}
	return lines
}

func (s *stage) report(what string, took time.Duration) {
	slices.Sort(s.pauses)
	at := func(share float64) time.Duration { return s.pauses[int(share*float64(len(s.pauses)-1))] }
	s.t.Logf("%s in %s; starts waited p50 %s, p99 %s, at most %s", what, took.Round(time.Second), at(0.5), at(0.99), at(1))
	// On a machine that is busy with other things a single swap may take longer; it is in the figures.
	if at(0.99) > time.Second || at(1) > 5*time.Second {
		s.t.Errorf("starts waited for %s in 1 of 100 swaps, for %s at most; want 1 s", at(0.99), at(1))
	}
}

// TestSwaps: builds that differ in bytes, version and state version replace each other under tasks that write numbered
// lines; one in twenty recovers nothing and has to be undone.
func TestSwaps(t *testing.T) {
	swaps := repetitions(t)
	releases := builds(t, min(8, max(3, swaps/4)))
	good, bad := releases[:len(releases)-1], releases[len(releases)-1]
	s := newStage(t, good[0])
	const warmUp = 3
	var before footprint
	began, undone, current := time.Now(), 0, 0
	for i := range swaps {
		if i == min(warmUp, swaps-1) {
			before = footprintOf(t, s.Agent)
		}
		// The first of every twenty fails, so that small counts have one too.
		switch next := (current + 1) % len(good); {
		case i%20 == 1:
			s.swap(bad, i%3 == 0)
			undone++
		case i == warmUp-1:
			s.duringACommand(func() { s.swap(good[next], false) })
			current = next
		default:
			s.swap(good[next], i%3 == 0)
			current = next
		}
		if t.Failed() {
			t.Fatalf("after %d swaps", i+1)
		}
		if (i+1)%50 == 0 {
			t.Logf("%d swaps, %d lines, %s", i+1, s.verify(), footprintOf(t, s.Agent))
		}
	}
	took := time.Since(began)
	lines := s.verify()
	after := footprintOf(t, s.Agent)
	flat(t, before, after)
	t.Logf("before: %s; after: %s", before, after)
	s.report(fmt.Sprintf("%d swaps, %d of them undone, %d tasks: 0 ended, %d lines, 0 lost or doubled", swaps, undone, tasks, lines), took)
}
