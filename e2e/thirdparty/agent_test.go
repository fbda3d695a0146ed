package thirdparty

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/droverhq/drover/e2e/harness"
)

// file is the plugin's file name, by which its block names it; the driver calls itself "third".
const file = "nomad-driver-third"

const block = `
plugin "nomad-driver-third" {
  config {
    greeting = "moin"
    tags { colour = "blue" }
    pool { name = "a" }
    pool { name = "b" }
  }
}
`

// job is a batch job with one task of the driver.
func job(id, config, more string) string {
	return fmt.Sprintf(`
job %q {
  type = "batch"
  group "g" {
    reschedule {
      attempts  = 0
      unlimited = false
    }
    restart {
      attempts = 2
      delay    = "100ms"
      mode     = "fail"
    }
    task "t" {
      driver = "third"
      config {
        %s
      }
      resources {
        cpu    = 10
        memory = 16
      }
      %s
    }
  }
}`, id, config, more)
}

func shell(script string) string {
	return fmt.Sprintf("command = \"/bin/sh\"\nargs = [\"-c\", %q]", script)
}

// counts writes 1, 2, 3 ... until the file "go" appears, then ends with a code of its own.
const counts = `i=0; while [ ! -e $NOMAD_ALLOC_DIR/go ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 9`

// A plugin that was built without us serves tasks like our own.
func TestDriverInOurAgent(t *testing.T) {
	a := harness.Start(t, harness.Options{PluginDir: build(t, "./driver", file), NoRawExec: true, Config: block})

	t.Run("the node has its driver", func(t *testing.T) {
		var nodes []struct {
			ID      string
			Drivers map[string]struct {
				Detected, Healthy bool
				HealthDescription string
				Version           string
			}
		}
		var node struct{ Attributes map[string]string }
		a.Eventually(limit, "driver third is healthy", func() error {
			if err := a.Get("/v1/nodes", &nodes); err != nil {
				return err
			}
			if len(nodes) != 1 || !nodes[0].Drivers["third"].Healthy {
				return fmt.Errorf("%s", harness.Pretty(nodes))
			}
			return a.Get("/v1/node/"+nodes[0].ID, &node)
		})
		for key, want := range map[string]string{"driver.third": "1", "driver.third.greeting": "moin", "driver.third.tagged": "blue",
			"driver.third.pools": "2", "driver.third.buffer": "64MiB"} {
			if got := node.Attributes[key]; got != want {
				t.Errorf("attribute %s is %q, want %q", key, got, want)
			}
		}
	})
	t.Run("start, log, exit", func(t *testing.T) {
		a.RunJob(job("runs", shell("echo $THIRD_GREETING from $NOMAD_TASK_NAME; echo $FROM_JOB >&2; exit 5")+`
        labels { a = "x" }
        limits { open = 100 }
        pair { left = "l" }`, `
      env { FROM_JOB = "${node.datacenter}" }`), "-detach")
		al := a.WaitAllocs("runs", 1, "failed", limit)[0]
		if lines := a.LogLines(al.ID, "t", "stdout"); len(lines) == 0 || lines[0] != "moin from t" {
			t.Errorf("stdout %q", lines)
		}
		if lines := a.LogLines(al.ID, "t", "stderr"); len(lines) == 0 || lines[0] != "dc1" {
			t.Errorf("stderr %q", lines)
		}
		st := al.TaskStates["t"]
		if st.Restarts != 2 || !hasEvent(st, "Terminated", "Exit Code: 5") {
			t.Errorf("task: %s", harness.Pretty(st))
		}
		if !hasEvent(st, "Driver", "the third driver started pid") {
			t.Errorf("the driver's own event is missing: %s", harness.Pretty(st.Events))
		}
	})
	t.Run("misspelt config is refused at submit", func(t *testing.T) {
		out, errs, code := a.CLIInput(job("bad", `comand = "/bin/true"`, ""), "job", "run", "-detach", "-")
		if code == 0 || !strings.Contains(errs, "comand") {
			t.Errorf("exit %d\n%s%s", code, out, errs)
		}
	})
	for name, tc := range map[string]struct {
		config, status, event string
		restarts              int
	}{
		"recoverable, then well":   {"fail = \"recoverable\"\nfail_times = 2", "complete", "start number 2 fails as asked", 2},
		"recoverable for too long": {`fail = "recoverable"`, "failed", "start number 3 fails as asked", 2},
		"not recoverable":          {`fail = "fatal"`, "failed", "start number 1 fails as asked", 0},
		"an error of no kind":      {`fail = "plain"`, "failed", "start number 1 fails as asked", 0},
	} {
		t.Run("start failure, "+name, func(t *testing.T) {
			id := strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			a.RunJob(job(id, `command = "/bin/true"`+"\n"+tc.config, ""), "-detach")
			st := a.WaitAllocs(id, 1, tc.status, limit)[0].TaskStates["t"]
			if st.Restarts != tc.restarts || !hasEvent(st, "Driver Failure", tc.event) {
				t.Errorf("%d restarts, want %d: %s", st.Restarts, tc.restarts, harness.Pretty(st))
			}
		})
	}
	t.Run("signal, exec, stats", func(t *testing.T) {
		a.RunJob(job("talks", shell("trap 'echo hup' HUP; echo ready; while true; do sleep 0.05; done"), ""), "-detach")
		al := a.WaitAllocs("talks", 1, "running", limit)[0]
		line := func(n int, want string) {
			t.Helper()
			a.Eventually(limit, "line "+want, func() error {
				if l := a.LogLines(al.ID, "t", "stdout"); len(l) < n || l[n-1] != want {
					return fmt.Errorf("log %q", l)
				}
				return nil
			})
		}
		line(1, "ready")
		a.MustCLI("alloc", "signal", "-s", "SIGHUP", al.ID)
		line(2, "hup")
		out, _, code := a.CLIInput("to cat\n", "alloc", "exec", "-i=true", "-t=false", "-task", "t", al.ID, "/bin/sh", "-c", "cat; exit 4")
		if out != "to cat\n" || code != 4 {
			t.Errorf("exec: %q, exit %d", out, code)
		}
		a.Eventually(limit, "stats", func() error {
			var s struct {
				Tasks map[string]struct {
					ResourceUsage struct{ MemoryStats struct{ RSS, Usage uint64 } }
				}
			}
			if err := a.Get("/v1/client/allocation/"+al.ID+"/stats", &s); err != nil {
				return err
			}
			if m := s.Tasks["t"].ResourceUsage.MemoryStats; m.RSS+m.Usage == 0 {
				return fmt.Errorf("%s", harness.Pretty(s))
			}
			return nil
		})
		a.MustCLI("job", "stop", "-detach", "talks")
		a.WaitAllocs("talks", 1, "complete", limit)
	})
	if left := executors(a); len(left) > 0 {
		t.Errorf("executors are left: %v", left)
	}
}

// Neither the death of the plugin nor that of the agent, nor both, takes a task, an exit code or a line.
func TestKills(t *testing.T) {
	a := harness.Start(t, harness.Options{PluginDir: build(t, "./driver", file), NoRawExec: true, Config: block})
	for _, tc := range []struct {
		name       string
		kill       func(t *testing.T)
		samePlugin bool
	}{
		{"plugin", func(t *testing.T) { kill(t, a, pluginPID(t, a)) }, false},
		{"agent", func(t *testing.T) { a.Kill9(); a.Run(); a.WaitReady() }, true},
		{"agent, then plugin", func(t *testing.T) {
			p := pluginPID(t, a)
			a.Kill9()
			kill(t, a, p)
			a.Run()
			a.WaitReady()
		}, false},
		{"agent in good order", func(t *testing.T) { a.Stop(); a.Run(); a.WaitReady() }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := "kill-" + strings.ReplaceAll(strings.ReplaceAll(tc.name, ",", ""), " ", "-")
			a.RunJob(job(id, shell(counts), ""), "-detach")
			al := a.WaitAllocs(id, 1, "running", limit)[0]
			pid := shells(a, al.ID)
			before := pluginPID(t, a)
			n := grows(t, a, al.ID, 0)
			tc.kill(t)
			n = grows(t, a, al.ID, n)
			a.Eventually(limit, "a plugin runs", func() error {
				now := plugins(a)
				if len(now) != 1 || !tc.samePlugin && now[0] == before && tc.name != "agent in good order" {
					return fmt.Errorf("plugin processes %v, before %d", now, before)
				}
				return nil
			})
			if now := pluginPID(t, a); tc.samePlugin && now != before {
				t.Errorf("plugin %d, want the old one, %d", now, before)
			}
			al = a.WaitAllocs(id, 1, "running", limit)[0]
			if now := shells(a, al.ID); !reflect.DeepEqual(now, pid) {
				t.Errorf("task's process %v, was %v", now, pid)
			}
			grows(t, a, al.ID, n)
			// It ends after the recovery: its exit code takes the new way.
			if err := os.WriteFile(a.AllocDir(al.ID)+"/alloc/go", nil, 0o666); err != nil {
				t.Fatal(err)
			}
			a.Eventually(limit, "the exit code", func() error {
				var now []harness.Alloc
				if err := a.Get("/v1/job/"+id+"/allocations", &now); err != nil {
					return err
				}
				if st := now[0].TaskStates["t"]; !hasEvent(st, "Terminated", "Exit Code: 9") {
					return fmt.Errorf("%s", harness.Pretty(st))
				}
				return nil
			})
			a.MustCLI("job", "stop", "-purge", "-detach", id)
			a.Eventually(limit, "its processes end", func() error {
				if left := append(shells(a, al.ID), executors(a)...); len(left) > 0 {
					return fmt.Errorf("pids %v", left)
				}
				return nil
			})
		})
	}
}

func hasEvent(st harness.TaskState, kind, words string) bool {
	for _, e := range st.Events {
		if e.Type == kind && strings.Contains(e.DisplayMessage+fmt.Sprint(e.Details), words) {
			return true
		}
	}
	return false
}

// plugins are the pids of the driver's processes, without the executors that it starts from the same file.
func plugins(a *harness.Agent) (out []int) {
	for _, p := range a.Processes() {
		if strings.Contains(p.Cmd, file) && !strings.Contains(p.Cmd, " executor ") && p.Alloc == "" {
			out = append(out, p.PID)
		}
	}
	return out
}

func pluginPID(t *testing.T, a *harness.Agent) int {
	t.Helper()
	p := plugins(a)
	if len(p) != 1 {
		t.Fatalf("want one plugin process, have %v", p)
	}
	return p[0]
}

func executors(a *harness.Agent) (out []int) { return a.Find(file + " executor ") }

// shells are the pids of the task's shell; its children look like it for the moment before they become something else.
func shells(a *harness.Agent, alloc string) (out []int) {
	for _, p := range a.Processes() {
		if p.Alloc == alloc && strings.HasPrefix(p.Cmd, "/bin/sh") && !childOfShell(p.PID) {
			out = append(out, p.PID)
		}
	}
	return out
}

func childOfShell(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 2 {
		return false
	}
	parent, _ := os.ReadFile("/proc/" + fields[1] + "/cmdline")
	return strings.HasPrefix(string(parent), "/bin/sh")
}

func kill(t *testing.T, a *harness.Agent, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.Eventually(limit, "the process is gone", func() error {
		for _, p := range plugins(a) {
			if p == pid {
				return fmt.Errorf("%d is still there", pid)
			}
		}
		return nil
	})
}

func grows(t *testing.T, a *harness.Agent, alloc string, before int) (now int) {
	t.Helper()
	a.Eventually(limit, "the log grows", func() error {
		n, err := harness.Sequence(a.LogLines(alloc, "t", "stdout"))
		if err != nil {
			t.Fatal(err)
		}
		if n <= before+2 {
			return fmt.Errorf("%d lines, were %d", n, before)
		}
		now = n
		return nil
	})
	return now
}

// A device plugin that was built without us: the node lists its devices, tasks get them, and its death takes nothing.
func TestDevicePluginInOurAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the exec driver isolates")
	}
	dir := build(t, "./device", "nomad-device-files")
	for _, name := range []string{"drover-driver-raw-exec", "drover-driver-exec"} {
		b, err := os.ReadFile(filepath.Join(harness.Bin(t), "plugins", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a := harness.Start(t, harness.Options{PluginDir: dir, Config: `
plugin "nomad-device-files" {
  config { broken = "/dev/full" }
}
`})
	listed := func(t *testing.T) {
		t.Helper()
		a.Eventually(limit, "the node lists the devices", func() error {
			var nodes []struct{ ID string }
			if err := a.Get("/v1/nodes", &nodes); err != nil || len(nodes) != 1 {
				return fmt.Errorf("nodes %v: %v", nodes, err)
			}
			var node struct{ NodeResources struct{ Devices any } }
			if err := a.Get("/v1/node/"+nodes[0].ID, &node); err != nil {
				return err
			}
			text := harness.Pretty(node.NodeResources.Devices)
			for _, want := range []string{"posix", "sink", "source", "/dev/null", "/dev/full", "broken by configuration", "/dev/zero", "character", "KiB"} {
				if !strings.Contains(text, want) {
					return fmt.Errorf("no %q in %s", want, text)
				}
			}
			return nil
		})
	}
	listed(t)
	const asks = `
        device "posix/file/sink" {
          constraint {
            attribute = "${device.attr.buffer}"
            operator  = ">="
            value     = "2 KiB"
          }
        }`
	withDevice := func(id, driver, script string) string {
		j := strings.Replace(job(id, shell(script), ""), `"third"`, fmt.Sprintf("%q", driver), 1)
		return strings.Replace(j, "memory = 16", "memory = 16"+asks, 1)
	}
	t.Run("environment", func(t *testing.T) {
		a.RunJob(withDevice("env", "raw_exec", "echo given $FILE_0"), "-detach")
		al := a.WaitAllocs("env", 1, "complete", limit)[0]
		if lines := a.LogLines(al.ID, "t", "stdout"); len(lines) != 1 || lines[0] != "given /dev/null" {
			t.Errorf("output %q", lines)
		}
	})
	t.Run("device file and mount", func(t *testing.T) {
		a.RunJob(withDevice("inside", "exec", "test -c /dev/file0 && echo x >/dev/file0 && echo written; test -e /files/passwd && echo mounted; touch /files/x 2>/dev/null || echo read only"), "-detach")
		al := a.WaitAllocs("inside", 1, "complete", limit)[0]
		if lines := a.LogLines(al.ID, "t", "stdout"); !reflect.DeepEqual(lines, []string{"written", "mounted", "read only"}) {
			t.Errorf("output %q, errors %q", lines, a.LogLines(al.ID, "t", "stderr"))
		}
	})
	t.Run("kill of the plugin", func(t *testing.T) {
		a.RunJob(withDevice("held", "raw_exec", counts), "-detach")
		al := a.WaitAllocs("held", 1, "running", limit)[0]
		task := shells(a, al.ID)
		before := a.Find("nomad-device-files")
		if len(before) != 1 {
			t.Fatalf("processes of the plugin: %v", before)
		}
		if err := syscall.Kill(before[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		a.Eventually(limit, "another process of the plugin", func() error {
			if now := a.Find("nomad-device-files"); len(now) != 1 || now[0] == before[0] {
				return fmt.Errorf("%v, was %v", now, before)
			}
			return nil
		})
		listed(t)
		// The only healthy one is taken; the broken one is given to nobody.
		_, _, _ = a.CLIInput(withDevice("waits", "raw_exec", "echo $FILE_0"), "job", "run", "-detach", "-")
		grows(t, a, al.ID, 0)
		if now := shells(a, al.ID); !reflect.DeepEqual(now, task) {
			t.Errorf("task's process %v, was %v", now, task)
		}
		if waiting := a.Allocs("waits"); len(waiting) != 0 {
			t.Errorf("it runs without a device: %s", harness.Pretty(waiting))
		}
		a.MustCLI("job", "stop", "-detach", "held")
		a.WaitAllocs("waits", 1, "complete", limit)
	})
}
