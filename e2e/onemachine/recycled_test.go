package onemachine

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// lastPID is where the kernel takes the next pid from.
const lastPID = "/proc/sys/kernel/ns_last_pid"

// Everything that knew a task is killed, the task too, and its pid comes to be another process'. That one is never
// touched, and the task is reported lost with the reason.
func TestRecycledPID(t *testing.T) {
	for _, driver := range []string{"raw_exec", "exec"} {
		t.Run(driver+"/the agent was down", func(t *testing.T) {
			recycle(t, driver, func(a *harness.Agent) { a.Kill9() }, func(a *harness.Agent) { a.Run(); a.WaitReady() })
		})
		t.Run(driver+"/the agent was up", func(t *testing.T) {
			recycle(t, driver,
				func(a *harness.Agent) { signalled(t, a.PID(), syscall.SIGSTOP) }, // so that nobody is quicker than we
				func(a *harness.Agent) { signalled(t, a.PID(), syscall.SIGCONT) })
		})
	}
}

func recycle(t *testing.T, driver string, before, after func(*harness.Agent)) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to choose a pid")
	}
	if err := os.WriteFile(lastPID, readFile(t, lastPID), 0); err != nil {
		t.Skipf("this kernel does not let a test choose a pid: %v", err)
	}
	adoptOrphans(t)
	a := harness.Start(t, harness.Options{})
	a.RunJob(fmt.Sprintf(`
job "lost" {
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
      driver = %q
      config {
        command = "/bin/sleep"
        args    = ["1000"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`, driver), "-detach")
	al := a.WaitAllocs("lost", 1, "running", 30*time.Second)[0]
	task := processOf(t, a, al.ID)

	before(a)
	name := "drover-driver-" + strings.ReplaceAll(driver, "_", "-")
	for _, pid := range a.Find(name) { // the plugin and its keeper, so that nobody sees how the task ends
		signalled(t, pid, syscall.SIGKILL)
		harness.Eventually(t, 10*time.Second, "the kill", func() error {
			if alive(pid) {
				return fmt.Errorf("process %d still runs", pid)
			}
			return nil
		})
	}
	signalled(t, task, syscall.SIGKILL)
	reap(task)
	impostor := withPID(t, task)
	after(a)

	a.WaitAllocs("lost", 1, "failed", 60*time.Second)
	al = a.Allocs("lost")[0]
	if reason := why(al); !strings.Contains(reason, strconv.Itoa(task)) || !strings.Contains(reason, "another process") {
		t.Errorf("the task is lost without the reason, that process %d is another one now: %s", task, harness.Pretty(al.TaskStates["t"]))
	}
	if !alive(impostor) {
		t.Errorf("process %d was ended, which has nothing to do with the task", task)
	}
}

// why is all that an allocation's task says about itself.
func why(al harness.Alloc) string {
	var words []string
	for _, e := range al.TaskStates["t"].Events {
		words = append(words, e.DisplayMessage)
		for _, v := range e.Details {
			words = append(words, v)
		}
	}
	return strings.Join(words, "\n")
}

// processOf is the allocation's only process.
func processOf(t *testing.T, a *harness.Agent, alloc string) (pid int) {
	t.Helper()
	harness.Eventually(t, 10*time.Second, "the task is one process", func() error {
		var found []harness.Process
		for _, p := range a.Processes() {
			if p.Alloc == alloc && strings.HasPrefix(p.Cmd, "/bin/sleep") {
				found = append(found, p)
			}
		}
		if len(found) != 1 {
			return fmt.Errorf("found %v", found)
		}
		pid = found[0].PID
		return nil
	})
	return pid
}

// withPID starts a process that has this pid and nothing to do with the agent. It returns the pid.
func withPID(t *testing.T, pid int) int {
	t.Helper()
	for range 1000 { // whoever else starts a process meanwhile may get the pid, or move the counter
		if err := os.WriteFile(lastPID, []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.Env = []string{} // names no agent
		cmd.Dir = "/"
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if cmd.Process.Pid == pid {
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
			return pid
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Skipf("pid %d could not be had: the machine is too busy", pid)
	return 0
}

// alive reports whether a process runs: a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// adoptOrphans makes this process the parent of those whose parent is killed, until the test ends: whether another
// reaps them is not known, and a zombie keeps its pid.
func adoptOrphans(t *testing.T) {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER
	set := func(on uintptr) {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, on, 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	set(1)
	t.Cleanup(func() { set(0) })
}

// reap takes the end of a killed process, if it is ours to take, and returns when its pid is free.
func reap(pid int) {
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		var status syscall.WaitStatus
		if got, _ := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); got == pid {
			return
		}
		if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil {
			return
		}
	}
}

func signalled(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("%s to %d: %v", sig, pid, err)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skip(err)
	}
	return b
}
