package runtimes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// load is a job of n short tasks, half of them isolated.
func load(id string, n int) string {
	group := func(driver string) string {
		return fmt.Sprintf(`
  group %q {
    count = %d
    ephemeral_disk { size = 11 }
    task "t" {
      driver = %q
      config {
        command = "/bin/sh"
        args    = ["-c", "echo done"]
      }
      resources {
        cpu    = 1
        memory = 10
      }
      logs {
        max_files     = 1
        max_file_size = 1
      }
    }
  }`, driver, n/2, driver)
	}
	return fmt.Sprintf("job %q {\n  type = \"batch\"\n%s%s\n}", id, group("exec"), group("raw_exec"))
}

// footprint is what an agent and its helpers hold of the machine.
type footprint struct {
	files, memory, cgroups, mounts, processes int
}

// measure looks at an agent; cgroups are those of allocations.
func measure(a *harness.Agent, allocs map[string]bool) footprint {
	var f footprint
	for _, p := range a.Processes() {
		if p.Alloc != "" {
			continue
		}
		f.processes++
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
		f.files += len(fds)
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
		for _, line := range strings.Split(string(text), "\n") {
			var kb int
			if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kb); n == 1 {
				f.memory += kb
			}
		}
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			for id := range allocs {
				if strings.Contains(filepath.Base(path), id) {
					f.cgroups++
				}
			}
		}
		return nil
	})
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	f.mounts = strings.Count(string(mounts), a.DataDir)
	return f
}

// A thousand starts and stops (ten thousand when soaking) leave nothing behind: files, control groups and mounts are as
// before, memory as after the first of them.
func TestManyStartsAndStops(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	total, batch := 1000, 100
	switch os.Getenv("DROVER_TIER") {
	case "ci":
		total, batch = 300, 50
	case "soak":
		total = 10_000
	}
	a := harness.Start(t, harness.Options{})
	waitHealthy(a, "exec")
	allocs := map[string]bool{}
	round := func(i int) {
		t.Helper()
		id := fmt.Sprintf("load-%d", i)
		a.RunJob(load(id, batch), "-detach")
		for _, al := range a.WaitAllocs(id, batch, "complete", 2*time.Minute) {
			allocs[al.ID] = true
		}
		a.MustCLI("job", "stop", "-purge", "-detach", id)
		a.Eventually(time.Minute, "all allocations are collected", func() error {
			_ = a.Call("PUT", "/v1/system/gc", nil, nil)
			left, err := os.ReadDir(filepath.Join(a.DataDir, "alloc"))
			dirs := 0
			for _, d := range left {
				if d.IsDir() {
					dirs++
				}
			}
			if err == nil && dirs > 0 {
				err = fmt.Errorf("%d allocation directories", dirs)
			}
			return err
		})
	}
	for i := range 2 {
		round(i)
	}
	before := measure(a, allocs)
	for i := 2; i < total/batch; i++ {
		round(i)
	}
	var after footprint
	a.Eventually(time.Minute, "resources are as before", func() error {
		after = measure(a, allocs)
		switch {
		case after.cgroups > 0, after.mounts > before.mounts, after.processes > before.processes, after.files > before.files+20:
		case after.memory > before.memory*3/2+20<<10:
		default:
			return nil
		}
		return fmt.Errorf("%+v, were %+v", after, before)
	})
	t.Logf("%d starts: %+v, after the first %d %+v (memory in KiB)", total, after, 2*batch, before)
}
