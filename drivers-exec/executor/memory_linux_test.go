package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
)

// put replaces a file in one step, as the kernel's are read in one.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	tmp := filepath.Join(dir, ".new")
	if err := os.WriteFile(tmp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

type kill struct {
	killed int
	limit  bool
}

// watch watches a group's memory as that of a running process.
func watch(t *testing.T, m *memoryEvents, g cgroup.Group) <-chan kill {
	t.Helper()
	p := newProcess(&link{memory: m}, State{Group: g})
	told := make(chan kill, 4)
	if err := p.WatchMemory(func(killed int, limit bool) { told <- kill{killed, limit} }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(p.done) })
	return told
}

func expect(t *testing.T, told <-chan kill, want kill) {
	t.Helper()
	began := time.Now()
	select {
	case got := <-told:
		if got != want {
			t.Errorf("told %+v, want %+v", got, want)
		}
		// The second that users are promised, and more for a busy machine.
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("told after %s", took)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nobody was told")
	}
}

// When the machine's memory is used up, version 1 tells the group of a killed process nothing: its kills are counted. A
// test that uses up the machine's memory would end others' processes, so the kernel's files are made by hand.
func TestMachineOutOfMemory(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
	put(t, dir, "memory.limit_in_bytes", "20971520\n")
	put(t, dir, "memory.max_usage_in_bytes", "10485760\n")
	put(t, dir, "vmstat", "nr_free_pages 7\noom_kill 3\n")
	m := &memoryEvents{kills: filepath.Join(dir, "vmstat")}
	defer m.close()
	told := watch(t, m, cgroup.Group{V1: map[string]string{"memory": dir}})
	put(t, dir, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
	put(t, dir, "vmstat", "nr_free_pages 1\noom_kill 4\n")
	expect(t, told, kill{1, false})
}

// Version 2 tells a group of each kill, whoever's memory it was. Here the controllers are often in version 1, and a version 2 group
// has no memory.events; another file of the group's that the kernel announces changes of stands in for it.
func TestVersion2TellsOfKills(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	host, err := cgroup.Detect()
	if err != nil {
		t.Fatal(err)
	}
	if host.Unified == "" {
		t.Skip("version 2 is not mounted")
	}
	for name, limit := range map[string]bool{"its own limit": true, "the machine's memory": false} {
		t.Run(name, func(t *testing.T) {
			group, err := os.MkdirTemp(host.Unified, "drover-test")
			if err != nil {
				t.Fatal(err)
			}
			defer os.Remove(group)
			dir := t.TempDir()
			if err := os.Symlink(filepath.Join(group, "cgroup.events"), filepath.Join(dir, "memory.events")); err != nil {
				t.Fatal(err)
			}
			m := new(memoryEvents)
			defer m.close()
			told := watch(t, m, cgroup.Group{Tree: dir})
			own := 0
			if limit {
				own = 2
			}
			put(t, dir, "memory.events", fmt.Sprintf("low 0\nhigh 0\nmax %d\noom %d\noom_kill 2\n", own, own))
			if err := os.WriteFile(filepath.Join(group, "cgroup.freeze"), []byte("1"), 0); err != nil { // changes cgroup.events
				t.Fatal(err)
			}
			expect(t, told, kill{2, limit})
		})
	}
}
