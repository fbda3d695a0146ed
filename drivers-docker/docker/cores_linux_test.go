package docker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A container that has no cores of its own leaves those that the host reserves, also one that an earlier process started.
func TestSharedCores(t *testing.T) {
	r := newRig(t, nil).launch()
	share := filepath.Join(r.dir, "share")
	if err := os.Mkdir(share, 0o755); err != nil {
		t.Fatal(err)
	}
	give := func(cores string) {
		if err := os.WriteFile(filepath.Join(share, "cpuset.cpus"), []byte(cores+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	all, err := os.ReadFile("/sys/fs/cgroup/cpuset/cpuset.cpus")
	if os.IsNotExist(err) {
		all, err = os.ReadFile("/sys/fs/cgroup/cpuset.cpus.effective")
	}
	if err != nil {
		t.Fatal(err)
	}
	every := strings.TrimSpace(string(all))
	give(every)
	shares, own := r.task("sleep 1000", nil), r.task("sleep 1000", nil)
	shares.Resources.Linux.CpusetCgroup, own.Resources.Linux.CpusetCgroup = share, share
	own.Resources.Linux.CpusetCpus = "0"
	started := r.start(shares)
	reserved := r.start(own)
	has := func(cores string) func() bool {
		return func() bool { return r.inspect(shares).HostConfig.CpusetCpus == cores }
	}
	r.until("all cores", has(every))
	give("0")
	r.until("the rest of the cores", has("0"))
	r.kill(r.process)
	give(every)
	r.launch()
	r.recoverTask(started)
	r.recoverTask(reserved)
	r.until("all cores again", has(every))
	if got := r.inspect(own).HostConfig.CpusetCpus; got != "0" {
		t.Errorf("the task with a core of its own has %q", got)
	}
}
