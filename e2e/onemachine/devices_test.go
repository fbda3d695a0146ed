package onemachine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// deviceAgent is an agent with the exec drivers and drover-device-host, which offers the files of dir as
// linux/test/exclusive and /dev/fuse, for up to three tasks, as linux/fuse/fuse.
func deviceAgent(t *testing.T, dir string) *harness.Agent {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: device files are made, and the exec driver isolates")
	}
	bin := harness.Bin(t)
	plugins := t.TempDir()
	for _, file := range []string{"plugins/drover-driver-raw-exec", "plugins/drover-driver-exec", "devices/drover-device-host"} {
		if out, err := exec.Command("cp", filepath.Join(bin, file), plugins).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return harness.New(t, harness.Options{PluginDir: plugins, Config: fmt.Sprintf(`
plugin "drover-device-host" {
  config {
    interval = "100ms"
    device {
      type  = "test"
      name  = "exclusive"
      files = ["%s/node*"]
    }
    device {
      type   = "fuse"
      name   = "fuse"
      files  = ["/dev/fuse"]
      shared = 3
    }
  }
}
`, dir)})
}

// makeNode makes a device file that is the same as /dev/full: a write to it fails with ENOSPC, to /dev/null it does not.
func makeNode(t *testing.T, path string) {
	t.Helper()
	const full = 1<<8 | 7 // major and minor number
	if err := syscall.Mknod(path, syscall.S_IFCHR|0o666, full); err != nil {
		t.Skipf("device files cannot be made here: %v", err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
}

type nodeDevices struct {
	NodeResources struct {
		Devices []struct {
			Vendor, Type, Name string
			Instances          []struct {
				ID      string
				Healthy bool
			}
			Attributes map[string]struct {
				Int    *int64
				String *string
			}
		}
	}
}

// listed are the instances of the node as "name:id".
func listed(a *harness.Agent) ([]string, error) {
	var nodes []struct{ ID string }
	if err := a.Get("/v1/nodes", &nodes); err != nil || len(nodes) == 0 {
		return nil, fmt.Errorf("nodes %v: %v", nodes, err)
	}
	var n nodeDevices
	if err := a.Get("/v1/node/"+nodes[0].ID, &n); err != nil {
		return nil, err
	}
	var all []string
	for _, d := range n.NodeResources.Devices {
		for _, i := range d.Instances {
			mark := ""
			if !i.Healthy {
				mark = " unhealthy"
			}
			all = append(all, d.Name+":"+filepath.Base(i.ID)+mark)
		}
	}
	return all, nil
}

func waitListed(a *harness.Agent, want ...string) {
	a.Eventually(30*time.Second, fmt.Sprintf("devices %v", want), func() error {
		got, err := listed(a)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("have %v", got)
		}
		return err
	})
}

func deviceJob(id, device string, count int, script string) string {
	return fmt.Sprintf(`
job %q {
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
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", %q]
      }
      resources {
        cpu    = 10
        memory = 20
        %s
      }
    }
  }
}
`, id, count, script, device)
}

// waitOutput waits for a line of an allocation's stdout.
func waitOutput(a *harness.Agent, alloc, want string) {
	a.Eventually(30*time.Second, "output "+want, func() error {
		b, _ := os.ReadFile(filepath.Join(a.AllocDir(alloc), "alloc", "logs", "t.stdout.0"))
		if !strings.Contains(string(b), want) {
			return fmt.Errorf("printed %q", b)
		}
		return nil
	})
}

// A task opens exactly the device it was given; a second task does not get the same one, and says why it waits.
func TestDevicesAreExclusive(t *testing.T) {
	dir := t.TempDir()
	makeNode(t, filepath.Join(dir, "node0"))
	a := deviceAgent(t, dir)
	a.Run()
	a.WaitReady()
	waitListed(a, "fuse:fuse", "fuse:fuse#1", "fuse:fuse#2", "exclusive:node0")

	const script = `echo given $HOST_DEVICES; test -c $HOST_DEVICES && { echo x 2>/dev/null >$HOST_DEVICES || echo it is full; }
for f in fuse loop0 kmsg; do test -e /dev/$f && echo also $f; done; echo looked; while :; do sleep 1; done`
	a.RunJob(deviceJob("first", `device "linux/test/exclusive" {}`, 1, script))
	first := a.WaitAllocs("first", 1, "running", 60*time.Second)[0]
	waitOutput(a, first.ID, "looked")
	for want, is := range map[string]bool{"given " + dir + "/node0": true, "it is full": true, "also": false} {
		if out := strings.Join(a.LogLines(first.ID, "t", "stdout"), "\n"); strings.Contains(out, want) != is {
			t.Errorf("%q in the output: want %t; output:\n%s", want, is, out)
		}
	}

	_, errs, code := a.CLIInput(deviceJob("second", `device "test" {}`, 1, "sleep 1000"), "job", "run", "-detach", "-")
	if code != 0 {
		t.Fatalf("job run: %s", errs)
	}
	whyBlocked(a, "second", "devices: no devices match request")
	_, _, _ = a.CLIInput(deviceJob("unknown", `device "acme/warpdrive" {}`, 1, "sleep 1000"), "job", "run", "-detach", "-")
	whyBlocked(a, "unknown", "missing devices")

	// /dev/fuse is shared by three.
	a.RunJob(deviceJob("fuse", `device "fuse" {
          constraint {
            attribute = "${device.attr.kind}"
            value     = "char"
          }
        }`, 3, `exec 3<>/dev/fuse && echo opened; while :; do sleep 1; done`))
	for _, al := range a.WaitAllocs("fuse", 3, "running", 60*time.Second) {
		waitOutput(a, al.ID, "opened")
	}

	a.MustCLI("job", "stop", "first")
	a.WaitAllocs("second", 1, "running", 60*time.Second)
	for _, job := range []string{"second", "unknown", "fuse"} {
		a.MustCLI("job", "stop", job)
	}
}

// whyBlocked waits until a job's last evaluation says why nothing could be placed.
func whyBlocked(a *harness.Agent, job, want string) {
	a.Eventually(30*time.Second, job+" is blocked by "+want, func() error {
		var evals []struct{ FailedTGAllocs map[string]any }
		if err := a.Get("/v1/job/"+job+"/evaluations", &evals); err != nil {
			return err
		}
		for _, e := range evals {
			if strings.Contains(harness.Pretty(e.FailedTGAllocs), want) {
				return nil
			}
		}
		return fmt.Errorf("evaluations %s", harness.Pretty(evals))
	})
}

// The plugin is killed, the device vanishes and comes back, the agent is killed: the task runs on and is told.
func TestTroubleWithDevices(t *testing.T) {
	dir := t.TempDir()
	node := filepath.Join(dir, "node0")
	makeNode(t, node)
	a := deviceAgent(t, dir)
	a.Run()
	a.WaitReady()
	all := []string{"fuse:fuse", "fuse:fuse#1", "fuse:fuse#2", "exclusive:node0"}
	waitListed(a, all...)
	a.RunJob(deviceJob("job", `device "linux/test/exclusive" {}`, 1, "while :; do sleep 1; done"))
	al := a.WaitAllocs("job", 1, "running", 60*time.Second)[0]
	started := al.TaskStates["t"].StartedAt

	before := hostPlugin(a)
	syscall.Kill(before, syscall.SIGKILL)
	waitOtherPlugin(a, before)
	waitListed(a, all...)

	if err := os.Remove(node); err != nil {
		t.Fatal(err)
	}
	waitListed(a, all[:3]...)
	told(a, "job", "exclusive "+node+" is gone")
	makeNode(t, node)
	waitListed(a, all...)

	before = hostPlugin(a)
	a.Kill9()
	a.Run()
	a.WaitReady()
	waitOtherPlugin(a, before) // the devices are listed as they were, until it says something else
	waitListed(a, all...)
	if n := storedProcesses(a, "drover-device-host"); n != 1 {
		t.Errorf("%d processes of the device plugin, want 1", n)
	}
	if al = a.WaitAllocs("job", 1, "running", 30*time.Second)[0]; al.TaskStates["t"].Restarts != 0 || !al.TaskStates["t"].StartedAt.Equal(started) {
		t.Errorf("the task was restarted: %+v", al.TaskStates["t"])
	}

	// The device is gone when the task has to start again: it says so, and does not run without.
	if err := os.Remove(node); err != nil {
		t.Fatal(err)
	}
	waitListed(a, all[:3]...)
	_, _, _ = a.CLI("alloc", "restart", al.ID)
	a.WaitAllocs("job", 1, "failed", 60*time.Second)
	told(a, "job", "device is not available")
	a.MustCLI("job", "stop", "job")
}

func told(a *harness.Agent, job, text string) {
	a.Eventually(30*time.Second, "an event that says "+text, func() error {
		allocs := a.Allocs(job)
		for _, e := range allocs[len(allocs)-1].TaskStates["t"].Events {
			if strings.Contains(e.DisplayMessage, text) {
				return nil
			}
		}
		return fmt.Errorf("events %s", harness.Pretty(allocs[len(allocs)-1].TaskStates["t"].Events))
	})
}

// waitOtherPlugin waits until the device plugin runs in another process.
func waitOtherPlugin(a *harness.Agent, before int) {
	a.Eventually(30*time.Second, "another process of the plugin", func() error {
		if now := hostPlugin(a); now == 0 || now == before {
			return fmt.Errorf("pid %d", now)
		}
		return nil
	})
}

// hostPlugin is the pid of the device plugin; 0 while there is none.
func hostPlugin(a *harness.Agent) int {
	var plugins []struct {
		File string
		PID  int
	}
	if err := a.Get("/v1/client/plugins", &plugins); err != nil {
		return 0
	}
	for _, p := range plugins {
		if p.File == "drover-device-host" {
			return p.PID
		}
	}
	return 0
}

// storedProcesses counts the processes of an agent's plugin.
func storedProcesses(a *harness.Agent, file string) (n int) {
	all, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range all {
		exe, _ := os.Readlink(link)
		if strings.HasPrefix(exe, a.DataDir+"/") && filepath.Base(exe) == file {
			n++
		}
	}
	return n
}

// TestVerifyDeviceHost: the plugin passes the conformance suite, as an author would run it.
func TestVerifyDeviceHost(t *testing.T) {
	bin := harness.Bin(t)
	verify := exec.Command(filepath.Join(bin, "drover"), "plugin", "verify", filepath.Join(bin, "devices", "drover-device-host"))
	if out, err := verify.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// A task with cores of its own runs on those alone, and the others keep off them for as long as it runs.
func TestReservedCores(t *testing.T) {
	if os.Geteuid() != 0 || runtime.NumCPU() < 2 {
		t.Skip("needs root and two processors")
	}
	parent := fmt.Sprintf("cores-%d", os.Getpid()) // other tests' tasks come and go
	t.Cleanup(func() {
		for _, below := range []string{"share", "reserve", ""} {
			os.Remove(filepath.Join("/sys/fs/cgroup/cpuset", parent, below))
			os.Remove(filepath.Join("/sys/fs/cgroup", parent, below+".slice"))
		}
	})
	a := harness.New(t, harness.Options{Config: fmt.Sprintf("client {\n cgroup_parent = %q\n}\n", parent)})
	a.Run()
	a.WaitReady()
	const script = `while :; do echo given "$NOMAD_CPU_CORES" may $(grep Cpus_allowed_list /proc/self/status); sleep 0.2; done`
	cores := func(id, resources string) string {
		return strings.Replace(deviceJob(id, resources, 1, script), "cpu    = 10\n", "", 1)
	}
	a.RunJob(deviceJob("plain", "", 1, script))
	plain := a.WaitAllocs("plain", 1, "running", 60*time.Second)[0]
	all := lastWords(a, plain.ID, "")

	a.RunJob(cores("own", "cores = 1"))
	own := a.WaitAllocs("own", 1, "running", 60*time.Second)[0]
	core := strings.Fields(lastWords(a, own.ID, ""))[1] // given N may Cpus_allowed_list: N
	if got := lastWords(a, own.ID, ""); got != "given "+core+" may Cpus_allowed_list: "+core {
		t.Errorf("the task with a core of its own says %q", got)
	}
	rest := lastWords(a, plain.ID, all) // changes while the task runs
	if f := strings.Fields(rest); slices.Contains(strings.Split(f[len(f)-1], ","), core) {
		t.Errorf("the task without cores says %q, and core %s is taken", rest, core)
	}
	_, _, _ = a.CLIInput(cores("many", fmt.Sprintf("cores = %d", runtime.NumCPU())), "job", "run", "-detach", "-")
	whyBlocked(a, "many", "cores")
	if out := a.MustCLI("alloc", "status", own.ID); !strings.Contains(out, "Cores") {
		t.Errorf("alloc status does not show the core:\n%s", out)
	}
	a.MustCLI("job", "stop", "many")
	a.MustCLI("job", "stop", "own")
	if got := lastWords(a, plain.ID, rest); got != all {
		t.Errorf("when the core is free again, the other task says %q, before %q", got, all)
	}
	a.MustCLI("job", "stop", "plain")
	a.WaitAllocs("plain", 1, "complete", 60*time.Second)
}

// lastWords is the last whole line that a task printed, once that is another one than before.
func lastWords(a *harness.Agent, alloc, before string) (line string) {
	a.Eventually(30*time.Second, "a line other than "+before, func() error {
		b, _ := os.ReadFile(filepath.Join(a.AllocDir(alloc), "alloc", "logs", "t.stdout.0"))
		lines := strings.Split(string(b), "\n")
		if len(lines) < 2 || lines[len(lines)-2] == before {
			return fmt.Errorf("printed %q", b[max(0, len(b)-100):])
		}
		line = lines[len(lines)-2]
		return nil
	})
	return line
}
