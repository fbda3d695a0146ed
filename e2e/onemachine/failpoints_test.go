package onemachine

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// victim waits for the file go and ends with 7; its driver is killed meanwhile. It notes each start and each signal.
const victim = `
job %q {
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
      driver       = "raw_exec"
      kill_timeout = "20s"
      config {
        command = "/bin/sh"
        args    = ["-c", <<-EOT
          cd $NOMAD_ALLOC_DIR
          echo $$ >> starts
          trap 'echo usr1 >> signals' USR1
          trap 'echo int >> signals; sleep 0.3; exit 9' INT
          echo ready
          while [ ! -e go ]; do sleep 0.02; done
          exit 7
        EOT
        ]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`

// point is where the plugin is killed, what leads there and what must be true afterwards. Every test of the matrix has
// two bystanders, which nothing of it may touch.
type point struct {
	name    string
	trigger func(m *matrix) // makes the plugin come by
	check   func(m *matrix)
}

// matrix is one agent under test.
type matrix struct {
	t *testing.T
	*harness.Agent
	dir    string // where points are armed
	point  string
	job    string
	alloc  harness.Alloc // the victim's
	killed time.Time
}

// The plugin is killed at each point of each call: before anything is done, in the middle, and when all is done but the
// answer is not sent. No task notices, none runs twice, exit codes are kept, and statistics are back within 2 s.
func TestPluginKilledAtEachPoint(t *testing.T) {
	plugins := failpointPlugins(t)
	for call, points := range map[string][]point{
		"Start": {
			{"StartTask.before", (*matrix).submit, (*matrix).endsOnceWith7},
			{"StartTask.asked", (*matrix).submit, (*matrix).endsOnceWith7},
			{"StartTask.middle", (*matrix).submit, (*matrix).endsOnceWith7},
			{"StartTask.after", (*matrix).submit, (*matrix).endsOnceWith7},
		},
		"Wait": {
			{"WaitTask.before", (*matrix).submit, (*matrix).endsOnceWith7},
			{"WaitTask.middle", (*matrix).submit, (*matrix).endsOnceWith7},
			{"WaitTask.after", (*matrix).finish, (*matrix).endsOnceWith7},
		},
		"Stop": {
			{"StopTask.before", (*matrix).stop, (*matrix).endedBySignal},
			{"StopTask.middle", (*matrix).stop, (*matrix).endedBySignal},
			{"StopTask.after", (*matrix).stop, (*matrix).endedBySignal},
		},
		"Destroy": {
			{"DestroyTask.before", (*matrix).finish, (*matrix).endsOnceWith7},
			{"DestroyTask.middle", (*matrix).finish, (*matrix).endsOnceWith7},
			{"DestroyTask.after", (*matrix).finish, (*matrix).endsOnceWith7},
		},
		"Exec": {
			{"ExecTaskStreaming.before", (*matrix).exec, (*matrix).execWorks},
			{"ExecTaskStreaming.middle", (*matrix).exec, (*matrix).execWorks},
			{"ExecTaskStreaming.after", (*matrix).exec, (*matrix).execWorks},
		},
		"Stats": {
			{"TaskStats.before", (*matrix).stats, (*matrix).endsOnceWith7},
			{"TaskStats.middle", (*matrix).stats, (*matrix).endsOnceWith7},
			{"TaskStats.after", (*matrix).stats, (*matrix).endsOnceWith7},
		},
		"Signal": {
			{"SignalTask.before", (*matrix).signal, (*matrix).signalled},
			{"SignalTask.middle", (*matrix).signal, (*matrix).signalled},
			{"SignalTask.after", (*matrix).signal, (*matrix).signalled},
		},
		"Recover": {
			{"RecoverTask.before", (*matrix).killOnce, (*matrix).endsOnceWith7},
			{"RecoverTask.middle", (*matrix).killOnce, (*matrix).endsOnceWith7},
			{"RecoverTask.after", (*matrix).killOnce, (*matrix).endsOnceWith7},
		},
		"Fingerprint": {
			{"Fingerprint.before", (*matrix).killOnce, (*matrix).endsOnceWith7},
			{"Fingerprint.middle", (*matrix).killOnce, (*matrix).endsOnceWith7},
			{"Fingerprint.after", (*matrix).killOnce, (*matrix).endsOnceWith7},
		},
	} {
		for _, p := range points {
			// Each on an agent of its own: that plugins which die often are launched less and less is another matter.
			t.Run(call+"/"+p.name, func(t *testing.T) { t.Parallel(); killAt(t, plugins, p) })
		}
	}
}

func killAt(t *testing.T, plugins string, p point) {
	dir := t.TempDir()
	m := &matrix{t: t, dir: dir, point: p.name, job: "victim",
		Agent: harness.Start(t, harness.Options{PluginDir: plugins, Env: []string{"DROVER_FAILPOINTS=" + dir}})}
	m.RunJob(fmt.Sprintf(numbered, 2), "-detach")
	bystanders := m.WaitAllocs("numbered", 2, "running", 30*time.Second)
	early := !startsTheVictim(p)
	if early {
		m.start()
	}
	pids := shells(m.Agent)
	lines := growing(t, m.Agent, bystanders, map[string]int{})
	first := m.pluginPID()

	m.arm()
	p.trigger(m)
	m.hit(first)
	recovery := m.statsAreBack(bystanders)
	t.Logf("%s: statistics are back after %s", p.name, recovery.Round(time.Millisecond))
	if recovery > 2*time.Second {
		t.Errorf("statistics came back after %s, want within 2 s", recovery)
	}
	p.check(m)

	growing(t, m.Agent, bystanders, lines)
	now := shells(m.Agent)
	for _, al := range bystanders {
		if now[al.ID] != pids[al.ID] {
			t.Errorf("%s is process %d, was %d", al.Name, now[al.ID], pids[al.ID])
		}
	}
	m.nothingLeftOfTheVictim()
}

// startsTheVictim: the call under test is one that comes with a start.
func startsTheVictim(p point) bool {
	return reflect.ValueOf(p.trigger).Pointer() == reflect.ValueOf((*matrix).submit).Pointer()
}

// failpointPlugins builds the driver as no release does, with points to be killed at.
func failpointPlugins(t *testing.T) string {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-tags", "failpoint,grpcnotrace", "-o", filepath.Join(dir, "drover-driver-raw-exec"), "./drivers-exec/cmd/drover-driver-raw-exec")
	build.Dir = root
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GOWORK=") && !strings.HasPrefix(kv, "GOFLAGS=") {
			build.Env = append(build.Env, kv)
		}
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func (m *matrix) arm() {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, m.point), nil, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// hit waits until the plugin was killed where it should be.
func (m *matrix) hit(before int) {
	m.t.Helper()
	mark := filepath.Join(m.dir, "hit."+m.point)
	m.Eventually(20*time.Second, "the plugin comes by "+m.point, func() error {
		info, err := os.Stat(mark)
		if err == nil {
			m.killed = info.ModTime()
		}
		return err
	})
	m.Eventually(20*time.Second, "another process of the plugin", func() error {
		if pid := m.pluginPID(); pid == 0 || pid == before {
			return fmt.Errorf("plugin is process %d, was %d", pid, before)
		}
		return nil
	})
}

// pluginPID is the driver's process, 0 while there is none. The keeper of its tasks is another one.
func (m *matrix) pluginPID() int {
	for _, p := range m.Processes() {
		if p.Alloc == "" && strings.Contains(p.Cmd, "drover-driver-raw-exec") && !strings.Contains(p.Cmd, " keep") {
			return p.PID
		}
	}
	return 0
}

// statsAreBack waits until every task is measured again and returns how long after the kill that was.
func (m *matrix) statsAreBack(allocs []harness.Alloc) time.Duration {
	m.t.Helper()
	for _, al := range allocs {
		m.Eventually(30*time.Second, "statistics of "+al.Name, func() error { return m.measured(al.ID) })
	}
	return time.Since(m.killed)
}

func (m *matrix) measured(alloc string) error {
	var s struct {
		Tasks map[string]struct {
			ResourceUsage struct{ MemoryStats struct{ RSS uint64 } }
		}
	}
	if err := m.Get("/v1/client/allocation/"+alloc+"/stats", &s); err != nil {
		return err
	}
	if s.Tasks["t"].ResourceUsage.MemoryStats.RSS == 0 {
		return fmt.Errorf("no sample: %+v", s)
	}
	return nil
}

func (m *matrix) submit() { m.RunJob(fmt.Sprintf(victim, m.job), "-detach") }

// start submits the victim and waits until it is ready for signals.
func (m *matrix) start() {
	m.t.Helper()
	m.submit()
	m.running()
}

// running waits until the victim's shell says so.
func (m *matrix) running() {
	m.t.Helper()
	m.alloc = m.WaitAllocs(m.job, 1, "running", 30*time.Second)[0]
	m.Eventually(20*time.Second, "the task is ready", func() error {
		if lines := m.LogLines(m.alloc.ID, "t", "stdout"); len(lines) == 0 || lines[0] != "ready" {
			return fmt.Errorf("its output is %q", lines)
		}
		return nil
	})
}

func (m *matrix) path(name string) string {
	return filepath.Join(m.AllocDir(m.alloc.ID), "alloc", name)
}

func (m *matrix) finish() { touch(m.t, m.path("go")) }

func (m *matrix) stop() { m.MustCLI("job", "stop", "-detach", m.job) }

func (m *matrix) killOnce() { syscall.Kill(m.pluginPID(), syscall.SIGKILL) }

func (m *matrix) stats() { _ = m.measured(m.alloc.ID) }

// signal fails: whether the signal was sent cannot be known.
func (m *matrix) signal() {
	if out, _, code := m.CLI("alloc", "signal", "-s", "SIGUSR1", m.alloc.ID); code == 0 {
		m.t.Errorf("the signal is said to be sent: %s", out)
	}
}

// exec fails, and says why. What it ran is gone with the plugin.
func (m *matrix) exec() {
	out, errs, code := m.CLI("alloc", "exec", "-task", "t", m.alloc.ID, "/bin/sh", "-c", "echo in; [ -z \"$1\" ] || sleep 321", "sh", map[bool]string{true: "long"}[strings.HasSuffix(m.point, ".middle")])
	if code == 0 {
		m.t.Errorf("a command whose end nobody saw has succeeded: %q", out)
	}
	if errs == "" {
		m.t.Error("the failure is not explained")
	}
}

func (m *matrix) endsOnceWith7() {
	m.t.Helper()
	if m.alloc.ID == "" {
		m.running()
	}
	m.finish()
	m.endedWith(7, "failed")
}

func (m *matrix) endedBySignal() {
	m.t.Helper()
	m.endedWith(9, "complete")
	if got := m.count("signals", "int"); got == 0 {
		m.t.Error("the task was not asked to stop")
	}
}

func (m *matrix) signalled() {
	m.t.Helper()
	want := 0
	if strings.HasSuffix(m.point, ".after") {
		want = 1
	}
	m.MustCLI("alloc", "signal", "-s", "SIGUSR1", m.alloc.ID)
	m.Eventually(10*time.Second, "signals arrive", func() error {
		if got := m.count("signals", "usr1"); got != want+1 {
			return fmt.Errorf("%d have arrived, want %d", got, want+1)
		}
		return nil
	})
	m.endsOnceWith7()
}

func (m *matrix) execWorks() {
	m.t.Helper()
	if out := m.MustCLI("alloc", "exec", "-task", "t", m.alloc.ID, "/bin/echo", "again"); out != "again\n" {
		m.t.Errorf("exec printed %q", out)
	}
	m.Eventually(10*time.Second, "the interrupted command ends", func() error {
		for _, p := range m.Processes() {
			if p.Alloc == m.alloc.ID && strings.Contains(p.Cmd, "sleep 321") {
				return fmt.Errorf("process %d: %s", p.PID, p.Cmd)
			}
		}
		return nil
	})
	m.endsOnceWith7()
}

// endedWith: the task ran once and its exit code is known.
func (m *matrix) endedWith(code int, status string) {
	m.t.Helper()
	al := m.WaitAllocs(m.job, 1, status, 60*time.Second)[0]
	var ends []int
	for _, e := range al.TaskStates["t"].Events {
		if e.Type == "Terminated" {
			ends = append(ends, e.ExitCode)
		}
	}
	if !reflect.DeepEqual(ends, []int{code}) {
		m.t.Errorf("the task ended with %v, want %d once: %s", ends, code, harness.Pretty(al.TaskStates["t"]))
	}
	if starts := m.count("starts", ""); starts != 1 {
		m.t.Errorf("the task ran %d times", starts)
	}
}

// count is how many lines of a file in the victim's directory are want; empty: all.
func (m *matrix) count(file, want string) int {
	f, err := os.Open(m.path(file))
	if err != nil {
		return 0
	}
	defer f.Close()
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if want == "" || sc.Text() == want {
			n++
		}
	}
	return n
}

// nothingLeftOfTheVictim: what an interrupted call began is cleaned up by those after it.
func (m *matrix) nothingLeftOfTheVictim() {
	m.t.Helper()
	m.Eventually(15*time.Second, "nothing is left of the task", func() error {
		var left []string
		for _, p := range m.Processes() {
			if p.Alloc == m.alloc.ID {
				left = append(left, "process "+strconv.Itoa(p.PID)+": "+p.Cmd)
			}
		}
		for _, l := range m.Left() {
			if strings.HasPrefix(l, "cgroup ") && strings.Contains(l, m.alloc.ID) {
				left = append(left, l)
			}
		}
		records, err := filepath.Glob(filepath.Join(m.RunDir(), "raw_exec", "tasks", m.alloc.ID+"*"))
		if err != nil {
			return err
		}
		left = append(left, records...)
		sort.Strings(left)
		if len(left) > 0 {
			return fmt.Errorf("left: %s", strings.Join(left, "\n"))
		}
		return nil
	})
}
