package runtimes

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// counter prints 1, 2, 3 ... in Java.
const counter = `public class Counter {
  public static void main(String[] args) throws Exception {
    for (int i = 1; ; i++) { System.out.println(i); Thread.sleep(20); }
  }
}
`

// service is a job of one long task that must not be restarted.
func service(id, driver, config string, memory int) string {
	return fmt.Sprintf(`
job %q {
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
      driver = %q
      config {
        %s
      }
      resources {
        cpu    = 20
        memory = %d
      }
    }
  }
}`, id, driver, config, memory)
}

// machinery is what the test of all drivers runs on.
type machinery struct {
	plugins string // a plugin_dir of the test's own
	share   string // visible to Java tasks; holds counter.jar and disk.raw
}

func newMachinery(t *testing.T) machinery {
	t.Helper()
	m := machinery{plugins: filepath.Join(t.TempDir(), "plugins"), share: t.TempDir()}
	// Below directories that nobody else can write, as plugins must be.
	for dir := m.plugins; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"docker", "exec", "java", "qemu", "raw-exec"} {
		m.install(t, "drover-driver-"+name, nil)
	}
	archive(t, m.share, "Counter", counter, "counter.jar")
	// A machine without anything to boot waits for a disk that has; it runs.
	if err := os.WriteFile(filepath.Join(m.share, "disk.raw"), make([]byte, 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	return m
}

// archive compiles a class into a jar in a directory that everybody may read.
func archive(t *testing.T, dir, class, source, jar string) {
	t.Helper()
	file := filepath.Join(dir, class+".java")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][]string{
		{"javac", "-d", dir, file},
		{"jar", "cfe", filepath.Join(dir, jar), class, "-C", dir, class + ".class"},
		{"chmod", "755", dir},
	} {
		if out, err := exec.Command(c[0], c[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", c, err, out)
		}
	}
}

// install puts a built plugin into plugin_dir in one step. tail makes another version of it.
func (m machinery) install(t *testing.T, name string, tail []byte) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(harness.Bin(t), "plugins", name))
	if err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(m.plugins, ".new")
	if err := os.WriteFile(tmp, append(b, tail...), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(m.plugins, name)); err != nil {
		t.Fatal(err)
	}
}

func (m machinery) config(d *harness.Dockerd) string {
	return fmt.Sprintf(`
plugin "docker" {
  config {
    endpoint = %q
    gc { image = false }
  }
}
plugin "java" {
  config {
    chroot_env = {
      "/bin" = "/bin", "/etc" = "/etc", "/lib" = "/lib", "/lib64" = "/lib64", "/usr" = "/usr", %q = "/share"
    }
  }
}
plugin "qemu" {
  config { image_paths = [%q] }
}
`, d.Endpoint(), m.share, m.share)
}

// jobs by driver.
func (m machinery) jobs() map[string]string {
	const loop = `command = "/bin/sh"
        args    = ["-c", "trap 'exit 7' INT TERM; i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done"]`
	return map[string]string{
		"raw_exec": service("raw_exec", "raw_exec", loop, 20),
		"exec":     service("exec", "exec", loop, 20),
		"docker":   service("docker", "docker", "image = \"busybox:1\"\n"+loop, 20),
		"java":     service("java", "java", `jar_path = "/share/counter.jar"`, 128),
		"qemu":     service("qemu", "qemu", fmt.Sprintf("image_path = %q", filepath.Join(m.share, "disk.raw")), 128),
	}
}

// roots maps each allocation to its first process; children that a task makes and loses do not count.
func roots(a *harness.Agent) map[string]int {
	procs := a.Processes()
	alloc := map[int]string{}
	for _, p := range procs {
		alloc[p.PID] = p.Alloc
	}
	out := map[string]int{}
	for _, p := range procs {
		if p.Alloc != "" && alloc[p.PPID] != p.Alloc {
			out[p.Alloc] = p.PID
		}
	}
	return out
}

// plugins are the pids of the agent's plugins and, by themselves, keepers.
func plugins(a *harness.Agent) (plugins, keepers []int) {
	for _, p := range a.Processes() {
		switch {
		case p.Alloc != "" || !strings.Contains(p.Cmd, "drover-driver-"):
		case strings.Contains(p.Cmd, " keep"):
			keepers = append(keepers, p.PID)
		default:
			plugins = append(plugins, p.PID)
		}
	}
	slices.Sort(keepers)
	return plugins, keepers
}

// Tasks of every driver run while everything that looks after them is killed or replaced. None ends, each line is logged
// exactly once, and at the end nothing is left.
func TestEveryDriverSurvives(t *testing.T) {
	d := docker(t)
	m := newMachinery(t)
	a := harness.Start(t, harness.Options{PluginDir: m.plugins, Config: m.config(d)})
	jobs := m.jobs()
	names := slices.Sorted(maps.Keys(jobs))
	for _, name := range names {
		a.RunJob(jobs[name], "-detach")
	}
	allocs := map[string]harness.Alloc{}
	var logged []harness.Alloc
	for _, name := range names {
		allocs[name] = a.WaitAllocs(name, 1, "running", 60*time.Second)[0]
		if name != "qemu" { // its console says nothing before a boot
			logged = append(logged, allocs[name])
		}
	}
	growing(t, a, logged, "t")
	before, containers := roots(a), d.Containers(t)
	if len(before) != 5 {
		t.Fatalf("processes of tasks: %v", before)
	}
	_, keepers := plugins(a)
	same := func(t *testing.T) {
		t.Helper()
		growing(t, a, logged, "t")
		if now := roots(a); !reflect.DeepEqual(now, before) {
			t.Fatalf("the tasks' processes changed: %v, were %v", now, before)
		}
		if now := d.Containers(t); !slices.Equal(now, containers) {
			t.Fatalf("containers changed: %v, were %v", now, containers)
		}
		for _, name := range names {
			al := a.WaitAllocs(name, 1, "running", 30*time.Second)[0]
			if s := al.TaskStates["t"]; s.Restarts != 0 || s.State != "running" {
				t.Fatalf("%s: %s", name, harness.Pretty(s))
			}
		}
	}
	kill := func(pids []int) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	t.Run("plugins", func(t *testing.T) {
		victims, _ := plugins(a)
		kill(victims)
		a.Eventually(30*time.Second, "all plugins again", func() error {
			now, _ := plugins(a)
			if len(now) != len(victims) || slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(victims, pid) }) {
				return fmt.Errorf("plugins %v, were %v", now, victims)
			}
			return nil
		})
		same(t)
	})
	t.Run("plugins and collector and agent", func(t *testing.T) {
		a.Kill9()
		victims, _ := plugins(a)
		kill(append(victims, a.Find("drover logs")...))
		a.Run()
		a.WaitReady()
		same(t)
	})
	t.Run("plugin files are replaced", func(t *testing.T) {
		for _, name := range []string{"docker", "exec", "java", "qemu", "raw-exec"} {
			m.install(t, "drover-driver-"+name, []byte("another version"))
		}
		a.Eventually(60*time.Second, "new plugins run, and no old one", func() error {
			now, _ := plugins(a)
			fresh := 0
			for _, pid := range now {
				if runs(pid, "another version") {
					fresh++
				}
			}
			if fresh != 5 || len(now) != 5 {
				return fmt.Errorf("of %d plugins %d are new, want 5 of 5", len(now), fresh)
			}
			return nil
		})
		same(t)
		if _, now := plugins(a); !slices.Equal(now, keepers) {
			t.Errorf("keepers %v, were %v", now, keepers)
		}
		// Each is the same process, with the tasks as its children, and another program.
		a.Eventually(60*time.Second, "keepers run the new program", func() error {
			upgraded := 0
			for _, p := range a.Processes() {
				switch {
				case !slices.Contains(keepers, p.PID):
				case !runs(p.PID, "another version"):
					return fmt.Errorf("keeper %d runs its old program: %s", p.PID, p.Cmd)
				default:
					upgraded++
				}
			}
			if upgraded != 4 {
				return fmt.Errorf("%d of 4 keepers are upgraded", upgraded)
			}
			return nil
		})
		same(t)
	})
	for _, name := range names {
		a.MustCLI("job", "stop", "-detach", name)
	}
	for _, name := range names {
		al := a.WaitAllocs(name, 1, "complete", 60*time.Second)[0]
		// As the program ended, told by keepers and an engine that have met two versions of the plugins.
		want := map[string]string{"raw_exec": "7", "exec": "7", "docker": "7", "java": "130", "qemu": "0"}[name]
		if log := events(al, "t"); !strings.Contains(log, "exit_code:"+want+" ") || strings.Contains(log, "exit code unknown") {
			t.Errorf("%s did not end with %s:\n%s", name, want, log)
		}
	}
	for _, al := range logged {
		if _, err := harness.Sequence(a.LogLines(al.ID, "t", "stdout")); err != nil {
			t.Errorf("%s: %v", al.JobID, err)
		}
	}
	if left := roots(a); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	stopAll(t, a, d)
	a.Stop()
	a.AssertNothingLeft(t)
}

// runs reports whether a process's program is the version of [machinery.install] with this tail.
func runs(pid int, tail string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && strings.HasSuffix(string(b), tail)
}
