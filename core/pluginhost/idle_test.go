//go:build linux

package pluginhost

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverhq/drover/core/tasklog"
)

// An agent that ends leaves the plugins that hold tasks, and nothing of the others.
func TestStopEndsIdlePlugins(t *testing.T) {
	r := newRoom(t)
	collector, err := tasklog.Ensure(t.Context(), collectorConfig(r.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { collector.Close() })
	r.config.Collector = collector
	r.plugin("busy", "T_NAME=busy")
	r.plugin("idle", "T_NAME=idle")
	h := r.start()
	busy, idle := r.ready(h, "busy"), r.ready(h, "idle")
	h.Recovered()
	if _, err := busy.StartTask(t.Context(), r.task(busy, "t", nil)); err != nil {
		t.Fatal(err)
	}
	end := func(h *Host) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := h.Stop(ctx, StopOptions{EndIdle: true}); err != nil {
			t.Fatal(err)
		}
	}
	end(h)
	if pids := r.processesOf("plugin"); len(pids) != 1 || pids[0] != busy.Pid() {
		t.Errorf("left: %v, want %d only (idle was %d)", pids, busy.Pid(), idle.Pid())
	}
	// The next agent finds the one and launches the other; when the task is gone nothing stays.
	h = r.start()
	if again := r.ready(h, "busy"); again.Pid() != busy.Pid() {
		t.Error("the busy one was replaced")
	}
	r.ready(h, "idle")
	h.Recovered()
	r.until(h, "no tasks", func(s *Snapshot) bool { return info(s, "busy", 0).TaskCount == 0 })
	end(h)
	if pids := r.processesOf("plugin"); len(pids) != 0 {
		t.Errorf("left: %v", pids)
	}
	if list, err := collector.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("streams %+v, error %v", list, err)
	}
	if left, _ := os.ReadDir(filepath.Join(r.config.RunDir, "p")); len(left) != 0 {
		t.Errorf("run directories %v", left)
	}
}

// processesOf lists the room's processes that play a role.
func (r *room) processesOf(role string) []int {
	var pids []int
	for _, pid := range r.processes() {
		env, _ := os.ReadFile(filepath.Join("/proc", itoa(pid), "environ"))
		if containsEnv(env, "T_ROLE="+role) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func containsEnv(environ []byte, entry string) bool {
	for _, e := range bytes.Split(environ, []byte{0}) {
		if string(e) == entry {
			return true
		}
	}
	return false
}
