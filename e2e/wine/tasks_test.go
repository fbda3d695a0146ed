package wine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

const rawExecEnabled = "plugin \"raw_exec\" {\n config { enabled = true }\n}\n"

// TestTasks: a Windows agent runs Windows programs.
func TestTasks(t *testing.T) {
	m := newMachine(t)
	a := m.start(m.install("drover-driver-raw-exec.exe"), rawExecEnabled)
	attributes := a.waitDriver("raw_exec")
	if attributes["kernel.name"] != "windows" {
		t.Errorf("kernel.name is %q", attributes["kernel.name"])
	}
	// Plugins listen on TCP there: the agent's key is kept and the plugin answered with its certificate.
	records, err := os.ReadFile(m.file("data", "client", "plugins.json"))
	if _, keyErr := os.Stat(m.file("data", "client", "plugin-tls.pem")); err != nil || keyErr != nil || !strings.Contains(string(records), `"Cert"`) {
		t.Errorf("plugins are talked to in plain text: %v, %v, %s", err, keyErr, records)
	}
	t.Run("output, environment and exit code", a.testOutput)
	t.Run("a stop ends the whole tree", a.testTree)
	t.Run("the log collector is killed", a.testCollectorKilled)
}

func (a *agent) testOutput(t *testing.T) {
	a.RunJob(`job "greet" {
  type = "batch"
  group "g" {
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
      env { GREETING = "hello" }
      config {
        command = "cmd.exe"
        args    = ["/c", "echo %GREETING% from %NOMAD_TASK_NAME%& echo oops 1>&2& exit 3"]
      }
    }
  }
}`)
	alloc := a.WaitAllocs("greet", 1, "failed", time.Minute)[0]
	code := -1
	for _, e := range alloc.TaskStates["t"].Events {
		if e.Type == "Terminated" {
			code = e.ExitCode
		}
	}
	if code != 3 {
		t.Errorf("exit code %d, want 3: %s", code, harness.Pretty(alloc.TaskStates["t"].Events))
	}
	if out := a.MustCLI("alloc", "logs", alloc.ID); strings.TrimSpace(out) != "hello from t" {
		t.Errorf("stdout is %q", out)
	}
	if out := a.MustCLI("alloc", "logs", "-stderr", alloc.ID); strings.TrimSpace(out) != "oops" {
		t.Errorf("stderr is %q", out)
	}
}

// testTree starts a shell whose child and grandchild write as long as they live, and stops it.
func (a *agent) testTree(t *testing.T) {
	a.RunJob(`job "tree" {
  group "g" {
    task "t" {
      driver       = "raw_exec"
      kill_timeout = "1s"
      config {
        command = "cmd.exe"
        args    = ["/c", "cmd.exe /c \"cmd.exe /c ping -n 600 127.0.0.1\""]
      }
    }
  }
}`)
	a.WaitAllocs("tree", 1, "running", time.Minute)
	harness.Eventually(t, time.Minute, "the grandchild runs", func() error {
		return expect(strings.Count(a.m.processes(), "ping"), 1)
	})
	a.MustCLI("job", "stop", "tree")
	a.WaitAllocs("tree", 1, "complete", time.Minute)
	harness.Eventually(t, time.Minute, "the whole tree is gone", func() error {
		list := a.m.processes()
		return errors.Join(expect(strings.Count(list, "ping"), 0), expect(strings.Count(list, "cmd.exe /c"), 0))
	})
}

func expect(got, want int) error {
	if got != want {
		return fmt.Errorf("%d of them, want %d", got, want)
	}
	return nil
}

// processes lists the command lines of the machine's processes as this system sees them.
func (m *machine) processes() string {
	var b strings.Builder
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !strings.Contains(string(env), "WINEPREFIX="+m.prefix+"\x00") {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		b.WriteString(strings.ReplaceAll(string(line), "\x00", " ") + "\n")
	}
	return b.String()
}

// lastLine is what testCollectorKilled's task counts to.
const lastLine = 5000

// testCollectorKilled kills the log collector while a task writes all it can, and again: the task writes on into the same
// pipe, and what is lost is at most what the collector had read and not yet stored.
func (a *agent) testCollectorKilled(t *testing.T) {
	a.RunJob(fmt.Sprintf(`job "count" {
  type = "batch"
  group "g" {
    task "t" {
      driver = "raw_exec"
      logs {
        max_files     = 2
        max_file_size = 10
      }
      config {
        command = "cmd.exe"
        args    = ["/c", "for /L %%i in (1,1,%d) do @echo %%i"]
      }
    }
  }
}`, lastLine))
	alloc := a.WaitAllocs("count", 1, "running", time.Minute)[0]
	log := a.m.file("data", "alloc", alloc.ID, "alloc", "logs", "t.stdout.0")
	lines := func() []string {
		text, _ := os.ReadFile(log)
		return strings.Fields(string(text))
	}
	for kill := range 2 {
		harness.Eventually(t, time.Minute, "the task writes", func() error {
			if n := len(lines()); n < (kill+1)*1000 {
				return fmt.Errorf("%d lines", n)
			}
			return nil
		})
		pid := a.m.pid("drover logs ")
		if pid == 0 {
			t.Fatalf("no collector among\n%s", a.m.processes())
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, time.Minute, "another collector", func() error {
			if now := a.m.pid("drover logs "); now == 0 || now == pid {
				return fmt.Errorf("pid %d, killed was %d", now, pid)
			}
			return nil
		})
	}
	a.WaitAllocs("count", 1, "complete", 2*time.Minute)
	last, lost := 0, 0
	for _, line := range lines() {
		n, err := strconv.Atoi(line)
		if err != nil || n <= last || n > lastLine {
			continue // of a line that was cut, which counts as lost
		}
		lost += n - last - 1
		last = n
	}
	lost += lastLine - last
	t.Logf("%d of %d lines are lost", lost, lastLine)
	if lost > lastLine/5 { // a read takes a few lines; without the second handles all would be lost from the first kill on
		t.Errorf("%d of %d lines are lost, the last one is %d", lost, lastLine, last)
	}
}

// pid is a process of the machine whose command line begins so, 0 if there is none.
func (m *machine) pid(command string) int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if !strings.HasPrefix(strings.ReplaceAll(string(line), "\x00", " "), command) {
			continue
		}
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if n, err := strconv.Atoi(filepath.Base(dir)); err == nil && strings.Contains(string(env), "WINEPREFIX="+m.prefix+"\x00") {
			return n
		}
	}
	return 0
}
