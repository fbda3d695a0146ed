package onemachine

import (
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// numbered writes 1, 2, 3 ... until it is stopped.
const numbered = `
job "numbered" {
  type = "service"
  group "g" {
    count = %d
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
        args    = ["-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.05; done"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
      logs {
        max_files     = 3
        max_file_size = 1
      }
    }
    ephemeral_disk { size = 20 }
  }
}`

// shells reduces the processes to the tasks' own: each shell forks for every sleep, and until it has become the sleep
// the child looks like the shell.
func shells(a *harness.Agent) map[string]int {
	procs := a.Processes()
	alloc := map[int]string{}
	for _, p := range procs {
		alloc[p.PID] = p.Alloc
	}
	out := map[string]int{}
	for _, p := range procs {
		if p.Alloc != "" && strings.HasPrefix(p.Cmd, "/bin/sh") && alloc[p.PPID] != p.Alloc {
			out[p.Alloc] = p.PID
		}
	}
	return out
}

// growing waits until every log has more lines than before.
func growing(t *testing.T, a *harness.Agent, allocs []harness.Alloc, before map[string]int) map[string]int {
	t.Helper()
	after := map[string]int{}
	for _, al := range allocs {
		harness.Eventually(t, 20*time.Second, "log of "+al.Name+" grows", func() error {
			n, err := harness.Sequence(a.LogLines(al.ID, "t", "stdout"))
			if err != nil {
				t.Fatalf("%s: %v", al.Name, err)
			}
			if n <= before[al.ID] {
				return fmt.Errorf("still %d lines", n)
			}
			after[al.ID] = n
			return nil
		})
	}
	return after
}

// Whatever is killed, the tasks keep their processes and every line they write is in their log exactly once.
func TestNothingThatRestartsTakesATaskWithIt(t *testing.T) {
	const count = 50
	a := harness.Start(t, harness.Options{})
	a.RunJob(fmt.Sprintf(numbered, count), "-detach")
	allocs := a.WaitAllocs("numbered", count, "running", 60*time.Second)
	pids := shells(a)
	if len(pids) != count {
		t.Fatalf("%d shells run, want %d", len(pids), count)
	}
	lines := growing(t, a, allocs, map[string]int{})

	same := func(t *testing.T) {
		t.Helper()
		if now := shells(a); !reflect.DeepEqual(now, pids) {
			t.Fatalf("the tasks' processes changed:\nbefore %v\nnow    %v", pids, now)
		}
	}
	t.Run("agent", func(t *testing.T) {
		a.Kill9()
		lines = growing(t, a, allocs, lines) // nobody needs the agent to write
		a.Run()
		a.WaitReady()
		a.WaitAllocs("numbered", count, "running", 30*time.Second)
		lines = growing(t, a, allocs, lines)
		same(t)
	})
	for name, mark := range map[string]string{"driver": "drover-driver-raw-exec", "collector": "drover logs"} {
		t.Run(name, func(t *testing.T) {
			var victims []int
			for _, pid := range a.Find(mark) {
				if mark == "drover-driver-raw-exec" && isKeeper(a, pid) {
					continue
				}
				victims = append(victims, pid)
			}
			if len(victims) != 1 {
				t.Fatalf("want one process %q, have %v", mark, victims)
			}
			syscall.Kill(victims[0], syscall.SIGKILL)
			harness.Eventually(t, 10*time.Second, name+" relaunched", func() error {
				for _, pid := range a.Find(mark) {
					if pid != victims[0] && !isKeeper(a, pid) {
						return nil
					}
				}
				return fmt.Errorf("not yet")
			})
			lines = growing(t, a, allocs, lines)
			same(t)
			a.WaitAllocs("numbered", count, "running", 5*time.Second)
		})
	}
	t.Run("stop", func(t *testing.T) {
		a.MustCLI("job", "stop", "-detach", "numbered")
		a.WaitAllocs("numbered", count, "complete", 60*time.Second)
		if left := shells(a); len(left) > 0 {
			t.Fatalf("shells still run: %v", left)
		}
		for _, al := range allocs {
			if _, err := harness.Sequence(a.LogLines(al.ID, "t", "stdout")); err != nil {
				t.Errorf("%s: %v", al.Name, err)
			}
		}
	})
}

func isKeeper(a *harness.Agent, pid int) bool {
	for _, p := range a.Processes() {
		if p.PID == pid {
			return strings.Contains(p.Cmd, " keep")
		}
	}
	return false
}

// A task that ends while the agent is down is reported with its true exit code and time.
func TestExitWhileTheAgentIsDown(t *testing.T) {
	a := harness.Start(t, harness.Options{})
	a.RunJob(`
job "ends" {
  type = "batch"
  group "g" {
    restart { attempts = 0 }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "while [ ! -e $NOMAD_ALLOC_DIR/go ]; do sleep 0.02; done; echo last words; exit 7"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`, "-detach")
	al := a.WaitAllocs("ends", 1, "running", 30*time.Second)[0]
	pid := shells(a)[al.ID]
	a.Kill9()
	touch(t, a.AllocDir(al.ID)+"/alloc/go")
	harness.Eventually(t, 10*time.Second, "the task ends", func() error {
		if syscall.Kill(pid, 0) == nil && shells(a)[al.ID] == pid {
			return fmt.Errorf("process %d still runs", pid)
		}
		return nil
	})
	ended := time.Now()
	a.Run()
	a.WaitReady()
	al = a.WaitAllocs("ends", 1, "failed", 30*time.Second)[0]
	st := al.TaskStates["t"]
	if d := ended.Sub(st.FinishedAt); d < -2*time.Second || d > 5*time.Second {
		t.Errorf("finished at %v, the task ended at %v", st.FinishedAt, ended)
	}
	code := -1
	for _, e := range st.Events {
		if e.Type == "Terminated" {
			code = e.ExitCode
		}
	}
	if code != 7 {
		t.Errorf("reported exit code %d, want 7: %s", code, harness.Pretty(st))
	}
	if lines := a.LogLines(al.ID, "t", "stdout"); len(lines) != 1 || lines[0] != "last words" {
		t.Errorf("log has %q", lines)
	}
}

// An agent that ends in good order leaves its tasks running; -dev leaves nothing at all.
func TestStop(t *testing.T) {
	t.Run("tasks run on", func(t *testing.T) {
		a := harness.Start(t, harness.Options{})
		a.RunJob(fmt.Sprintf(numbered, 2), "-detach")
		allocs := a.WaitAllocs("numbered", 2, "running", 30*time.Second)
		pids := shells(a)
		a.Stop()
		lines := growing(t, a, allocs, map[string]int{})
		a.Run()
		a.WaitReady()
		growing(t, a, allocs, lines)
		if now := shells(a); !reflect.DeepEqual(now, pids) {
			t.Errorf("processes changed: %v, were %v", now, pids)
		}
	})
	t.Run("dev leaves nothing", func(t *testing.T) {
		a := harness.Start(t, harness.Options{Dev: true, DataDir: t.TempDir()})
		a.RunJob(fmt.Sprintf(numbered, 3), "-detach")
		a.WaitAllocs("numbered", 3, "running", 30*time.Second)
		a.Stop()
		a.AssertNothingLeft(t)
	})
}
