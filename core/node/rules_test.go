package node

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

// hasEvent tells whether the last report of a task has an event of that type whose text contains text.
func (r *rig) hasEvent(id, task, kind, text string) bool {
	a := r.ctl.report(id)
	return a != nil && slices.ContainsFunc(a.TaskStates[task].Events, func(e *model.TaskEvent) bool {
		return e.Type == kind && strings.Contains(e.DisplayMessage, text)
	})
}

func TestShutdownDelays(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "service", task("web", func(t *model.Task) { t.ShutdownDelay = 40 * time.Millisecond }))
	a.Job.TaskGroups[0].ShutdownDelay = 40 * time.Millisecond
	r.ctl.run(a)
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	begin := time.Now()
	r.ctl.stop("a1")
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
	if took := time.Since(begin); took < 80*time.Millisecond {
		t.Errorf("stopped after %v, both delays are 80ms", took)
	}
	if !r.hasEvent("a1", "web", model.EventWaitingShutdown, "40ms") {
		t.Error("the delay is not explained")
	}

	b := alloc("a2", "service", task("web", func(t *model.Task) { t.ShutdownDelay = time.Hour }))
	b.Job.TaskGroups[0].ShutdownDelay = time.Hour
	r.ctl.run(b)
	r.ctl.awaitStatus("a2", model.AllocClientRunning)
	yes := true
	r.ctl.change("a2", func(a *model.Allocation) {
		a.DesiredStatus = model.AllocDesiredStop
		a.DesiredTransition.NoShutdownDelay = &yes
	})
	r.ctl.awaitStatus("a2", model.AllocClientComplete)
	if !r.hasEvent("a2", "web", model.EventSkippingShutdown, "") {
		t.Error("skipping is not explained")
	}
}

func TestMaxRunDuration(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "batch", task("job"), task("post", func(t *model.Task) { t.Lifecycle = &model.Lifecycle{Hook: "poststop"} }))
	a.Job.TaskGroups[0].MaxRunDuration = time.Second // the machine may be slow to start it
	r.ctl.run(a)
	got := r.ctl.awaitStatus("a1", model.AllocClientFailed)
	if !strings.Contains(got.ClientDescription, "max_run_duration") || r.world.starts() != 1 {
		t.Errorf("%q, %d starts: poststop must not run", got.ClientDescription, r.world.starts())
	}
}

// An allocation waits for the one it replaces, and takes over its sticky disk.
func TestAwaitsPrevious(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("old", "service", task("web")))
	r.ctl.awaitStatus("old", model.AllocClientRunning)
	old := r.world.task("web")
	if err := os.WriteFile(filepath.Join(r.allocs, "old/alloc/data/f"), []byte("kept"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.world.set(func(*world) { old.stubborn = true })
	next := alloc("new", "service", task("web"))
	next.PreviousAllocation = "old"
	next.Job.TaskGroups[0].EphemeralDisk = &model.EphemeralDisk{Sticky: true}
	r.ctl.run(next)
	r.ctl.stop("old")
	eventually(t, "the old one is asked to stop", func() bool {
		ok := false
		r.world.set(func(w *world) { ok = len(w.stops) == 1 })
		return ok
	})
	if r.world.starts() != 1 {
		t.Fatal("the new one did not wait")
	}
	old.exit(0)
	r.ctl.awaitStatus("new", model.AllocClientRunning)
	if b, err := os.ReadFile(filepath.Join(r.allocs, "new/alloc/data/f")); string(b) != "kept" {
		t.Errorf("disk not taken over: %q %v", b, err)
	}
}

// No plugin process can be had for a while: the task runs on and is supervised again later.
func TestPluginAway(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "batch", task("job")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.world.set(func(w *world) { w.down = true })
	r.world.killPlugin()
	job := r.world.task("job")
	eventually(t, "a new process is asked for in vain", func() bool {
		n := 0
		r.world.set(func(w *world) { n = w.refused })
		return n > 0
	})
	r.world.set(func(w *world) { w.down = false })
	job.exit(0)
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
}

// A stop that the driver refuses is repeated.
func TestStopIsRepeated(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "service", task("web")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.world.set(func(w *world) { w.stopErrs = 3 })
	r.ctl.stop("a1")
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
	if len(r.world.stops) != 4 {
		t.Errorf("%d stops", len(r.world.stops))
	}

	r.ctl.run(alloc("a2", "service", task("web")))
	r.ctl.awaitStatus("a2", model.AllocClientRunning)
	r.world.set(func(w *world) { w.stopErrs = 100 }) // never: it is destroyed
	r.ctl.stop("a2")
	r.ctl.awaitStatus("a2", model.AllocClientComplete)
}

func TestDriverEvents(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "service", task("web")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.world.say("a1", "web", "pulled 7 of 9 layers")
	eventually(t, "the event is reported", func() bool { return r.hasEvent("a1", "web", model.EventDriver, "7 of 9") })
}

func TestDispatchPayload(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "batch", task("job", func(t *model.Task) { t.DispatchPayload = &model.DispatchPayload{File: "in/data.txt"} }))
	a.Job.Payload = []byte("hello")
	r.ctl.run(a)
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	if b, err := os.ReadFile(filepath.Join(r.allocs, "a1/job/local/in/data.txt")); string(b) != "hello" {
		t.Errorf("%q %v", b, err)
	}
	bad := alloc("a2", "batch", task("job", func(t *model.Task) { t.DispatchPayload = &model.DispatchPayload{File: "../../out"} }))
	bad.Job.Payload = a.Job.Payload
	r.ctl.run(bad)
	r.ctl.awaitStatus("a2", model.AllocClientFailed)
	if !r.hasEvent("a2", "job", model.EventSetupFailure, "payload") {
		t.Error("an escaping path is not explained")
	}
}

// The directory of an allocation vanished while the agent was down: its task is ended, the allocation fails and says why.
func TestMissingDirectory(t *testing.T) {
	r := newRig(t)
	r.ctl.run(alloc("a1", "service", task("web")))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.stop()
	if err := os.Rename(filepath.Join(r.allocs, "a1"), filepath.Join(r.dir, "moved")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // it holds the mounts
		os.Rename(filepath.Join(r.dir, "moved"), filepath.Join(r.allocs, "a1"))
		(&Node{cfg: Config{AllocDir: r.allocs}, allocs: nil, logger: testLogger(t)}).sweep()
	})
	r.boot()
	got := r.ctl.awaitStatus("a1", model.AllocClientFailed)
	if !strings.Contains(got.ClientDescription, "missing") || len(r.world.running()) != 0 {
		t.Errorf("%q, %d tasks left", got.ClientDescription, len(r.world.running()))
	}
}

// Health waits for checks, and a check that keeps failing has its task restarted by the policy.
func TestChecks(t *testing.T) {
	r := newRig(t)
	var ok atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !ok.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	n, _ := strconv.Atoi(port)
	a := alloc("a1", "service", task("web", func(t *model.Task) {
		t.Services = []*model.Service{{Name: "web", PortLabel: "http", Checks: []*model.ServiceCheck{{
			Name: "alive", Type: "http", Path: "/", Interval: 5 * time.Millisecond, Timeout: time.Second,
			CheckRestart: &model.CheckRestart{Limit: 3},
		}}}}
	}))
	a.DeploymentID = "d1"
	a.Job.TaskGroups[0].Update = &model.Update{HealthCheck: "checks", MinHealthyTime: 20 * time.Millisecond, HealthyDeadline: time.Minute}
	a.Job.TaskGroups[0].RestartPolicy.Attempts = 1000
	a.AllocatedResources.Shared.Ports = []model.AllocatedPort{{Label: "http", Value: n, HostIP: "127.0.0.1"}}
	r.ctl.run(a)
	eventually(t, "it is restarted by the check", func() bool { return r.world.starts() >= 2 })
	eventually(t, "the reason is shown", func() bool { return r.hasEvent("a1", "web", model.EventRestartSignaled, `check "alive" unhealthy`) })
	if h := r.ctl.report("a1").DeploymentStatus; h != nil && h.Healthy != nil {
		t.Fatalf("judged %v while the check fails", *h.Healthy)
	}
	ok.Store(true)
	eventually(t, "healthy", func() bool {
		h := r.ctl.report("a1").DeploymentStatus
		return h != nil && h.Healthy != nil && *h.Healthy
	})
}

// An in-place update: services follow, the task does not notice.
func TestInPlaceUpdate(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "service", task("web", func(t *model.Task) { t.Services = []*model.Service{{Name: "old", PortLabel: "80"}} }))
	a.Job.TaskGroups[0].Services = []*model.Service{{Name: "group-old", PortLabel: "80"}}
	r.ctl.run(a)
	names := func() string {
		r.ctl.mu.Lock()
		defer r.ctl.mu.Unlock()
		var out []string
		for _, s := range r.ctl.services {
			out = append(out, s.ServiceName)
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	eventually(t, "services of the first version", func() bool { return names() == "group-old old" })
	r.ctl.change("a1", func(a *model.Allocation) {
		j := *a.Job
		g := *j.TaskGroups[0]
		w := *g.Tasks[0]
		w.Services = []*model.Service{{Name: "new", PortLabel: "80"}}
		g.Tasks, g.Services = []*model.Task{&w}, []*model.Service{{Name: "group-new", PortLabel: "80"}}
		j.TaskGroups, j.Version = []*model.TaskGroup{&g}, 1
		a.Job, a.JobVersion = &j, 1
	})
	eventually(t, "services of the second", func() bool { return names() == "group-new new" })
	if r.world.starts() != 1 {
		t.Error("the task was started again")
	}
}

func TestStopOnClientAfter(t *testing.T) {
	r := newRig(t)
	a := alloc("a1", "service", task("web"))
	a.Job.TaskGroups[0].Disconnect = &model.Disconnect{StopOnClientAfter: 100 * time.Millisecond}
	r.ctl.run(a)
	eventually(t, "it runs", func() bool { return r.world.task("web") != nil })
	web := r.world.task("web")
	r.ctl.vanish()
	select {
	case <-web.done:
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
}

// Ended allocations beyond the limit are removed, oldest first, once the servers know how they ended.
func TestKeepsOnlySoMany(t *testing.T) {
	r := &rig{t: t, dir: t.TempDir(), world: newWorld(), logs: newLogs(), ctl: newControl(t), gc: GC{MaxAllocs: 1}}
	r.allocs = r.dir + "/alloc"
	r.boot()
	for _, id := range []string{"a1", "a2"} {
		r.ctl.run(alloc(id, "batch", task("job")))
		r.ctl.awaitStatus(id, model.AllocClientRunning)
		r.world.task("job").exit(0)
		r.ctl.awaitStatus(id, model.AllocClientComplete)
	}
	eventually(t, "the first is removed", func() bool { _, err := os.Stat(r.allocs + "/a1"); return os.IsNotExist(err) })
	if _, err := os.Stat(r.allocs + "/a2"); err != nil {
		t.Error(err)
	}
}

// Dynamic meta survives a restart, configured meta can be hidden.
func TestMeta(t *testing.T) {
	r := newRig(t)
	v := "7"
	if err := r.node.self.setMeta(map[string]*string{"rack": &v, "gone": nil}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is registered", func() bool {
		r.ctl.mu.Lock()
		defer r.ctl.mu.Unlock()
		return len(r.ctl.nodes) > 0 && r.ctl.nodes[len(r.ctl.nodes)-1].Meta["rack"] == "7"
	})
	id := r.node.ID()
	r.stop()
	r.boot()
	if r.node.Info().Meta["rack"] != "7" || r.node.ID() != id || r.node.Info().SecretID != "" {
		t.Errorf("%+v", r.node.Info())
	}
}

func TestSecondNodeOnTheSameState(t *testing.T) {
	r := newRig(t)
	_, err := New(Config{StateDir: r.dir + "/client", AllocDir: r.allocs, Servers: []string{"127.0.0.1:1"}, Plugins: r.world})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("error %v", err)
	}
}

func TestStatsOfTheNode(t *testing.T) {
	r := newRig(t)
	r.ctl.conn()
	eventually(t, "a heartbeat", func() bool { return r.node.Stats()["client"]["last_heartbeat"] != "never" })
	if s := r.node.Stats()["client"]; s["node_id"] != r.node.ID() || !strings.Contains(s["known_servers"], r.ctl.addr) {
		t.Errorf("%v", s)
	}
}
