package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// withDevices gives a task of an allocation devices, one request for each list of ids.
func withDevices(a *model.Allocation, task string, ids ...string) *model.Allocation {
	for _, list := range ids {
		t := a.AllocatedResources.Tasks[task]
		t.Devices = append(t.Devices, &model.AllocatedDevice{Vendor: "acme", Type: "gpu", Name: "m1", DeviceIDs: strings.Split(list, ",")})
	}
	return a
}

// told waits until one of a task's events says that.
func (r *rig) told(id, task, text string) {
	r.t.Helper()
	eventually(r.t, id+" is told: "+text, func() bool {
		a := r.ctl.report(id)
		return a != nil && a.TaskStates[task] != nil && slices.ContainsFunc(a.TaskStates[task].Events, func(e *model.TaskEvent) bool {
			return strings.Contains(e.DisplayMessage, text)
		})
	})
}

func (w *world) calls() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.deviceCalls, "; ")
}

func TestDevicesReachTheTask(t *testing.T) {
	r := newRig(t)
	r.world.list("g0", "g1", "g2")
	eventually(t, "the devices are registered", func() bool {
		d := r.node.Info().NodeResources.Devices
		return len(d) == 1 && len(d[0].Instances) == 3
	})
	r.ctl.run(withDevices(alloc("a1", "service", task("web"), task("side")), "web", "g0", "g1"))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	web, side := r.world.task("web").config, r.world.task("side").config
	if web.Env["DEVICES"] != "g0,g1" || web.DeviceEnv["DEVICES"] != "g0,g1" || len(web.Devices) != 2 || web.Devices[0].HostPath != "/dev/g0" {
		t.Errorf("web got %v %+v", web.DeviceEnv, web.Devices)
	}
	if len(side.Devices) != 0 || side.Env["DEVICES"] != "" {
		t.Errorf("side got %v %+v", side.DeviceEnv, side.Devices)
	}
	use, err := rpc.AllocStats.Call(t.Context(), r.ctl.conn(), &rpc.AllocStatsRequest{AllocID: "a1"})
	if err != nil {
		t.Fatal(err)
	}
	if s := use.Tasks["web"].ResourceUsage.DeviceStats; len(s) != 1 || len(s[0].InstanceStats) != 2 || *s[0].InstanceStats["g1"].Summary.IntNumeratorVal != 42 {
		t.Errorf("device statistics %+v", s)
	}
	if s := use.Tasks["side"].ResourceUsage.DeviceStats; len(s) != 0 {
		t.Errorf("statistics of devices that it does not have: %+v", s)
	}
	r.ctl.stop("a1")
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
	if got := r.world.calls(); got != "reserve g0,g1; release g0,g1" {
		t.Errorf("calls: %s", got)
	}
}

// A task is told what becomes of its devices and is left alone; so it is when a plugin suddenly lists nothing.
func TestTroubleWithADevice(t *testing.T) {
	r := newRig(t)
	r.world.list("g0", "g1")
	r.ctl.run(withDevices(alloc("a1", "service", task("web")), "web", "g0"))
	r.ctl.run(withDevices(alloc("a2", "service", task("web")), "web", "g1"))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.ctl.awaitStatus("a2", model.AllocClientRunning)
	// News is the difference between what the node shows and what it is told next.
	eventually(t, "the node shows its devices", func() bool { return len(r.node.Info().NodeResources.Devices) > 0 })
	r.world.list("!g0", "g1")
	r.told("a1", "web", "device acme/gpu/m1 g0 is unhealthy: too hot")
	r.world.list("g0", "g1")
	r.told("a1", "web", "g0 is healthy again")
	if events := eventTypes(r.ctl.report("a2"), "web"); slices.Contains(events, model.EventHookMessage) {
		t.Errorf("the other task was told too: %v", events)
	}
	r.world.list()
	r.told("a1", "web", "g0 is gone")
	r.told("a2", "web", "g1 is gone")
	if n := r.world.starts(); n != 2 {
		t.Errorf("%d starts, want 2: nothing is restarted", n)
	}
}

func TestTaskWaitsForItsDeviceAndGivesUp(t *testing.T) {
	r := newRig(t)
	r.node.shared.DeviceWait = 10 * time.Second
	r.ctl.run(withDevices(alloc("late", "service", task("web")), "web", "g0"))
	r.told("late", "web", "waiting: ")
	r.world.list("g0")
	r.ctl.awaitStatus("late", model.AllocClientRunning)

	r.node.shared.DeviceWait = time.Millisecond
	r.ctl.run(withDevices(alloc("never", "service", task("web")), "web", "g7"))
	r.ctl.awaitStatus("never", model.AllocClientFailed)
	r.told("never", "web", "no g7")
	if n := r.world.starts(); n != 1 {
		t.Errorf("%d starts, want 1", n)
	}
}

// After a restart of the agent, the device plugins come later than the tasks.
func TestRestoredTaskDoesNotRunWithoutItsDevice(t *testing.T) {
	r := newRig(t)
	r.world.list("g0")
	r.ctl.run(withDevices(alloc("a1", "service", task("web")), "web", "g0"))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	r.stop()
	r.world.task("web").exit(1)
	r.world.list()
	r.boot()
	r.told("a1", "web", "waiting: ")
	if n := r.world.starts(); n != 1 {
		t.Fatalf("%d starts, want 1: it runs without its device", n)
	}
	r.world.list("g0")
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	eventually(t, "second start", func() bool { return r.world.starts() == 2 })
}

func TestDeviceNews(t *testing.T) {
	list := func(ids ...string) []*model.NodeDevice {
		w := newWorld()
		w.list(ids...)
		return w.devices
	}
	held := []*model.AllocatedDevice{{Vendor: "acme", Type: "gpu", Name: "m1", DeviceIDs: []string{"g0"}}}
	for name, test := range map[string]struct {
		before, after []string
		want          string
	}{
		"as before":            {[]string{"g0"}, []string{"g0"}, ""},
		"another one is sick":  {[]string{"g0", "g1"}, []string{"g0", "!g1"}, ""},
		"sick":                 {[]string{"g0"}, []string{"!g0"}, "is unhealthy: too hot"},
		"still sick":           {[]string{"!g0"}, []string{"!g0"}, ""},
		"sick, then gone":      {[]string{"!g0"}, []string{"g1"}, ""},
		"well again":           {[]string{"!g0"}, []string{"g0"}, "is healthy again"},
		"gone":                 {[]string{"g0"}, []string{"g1"}, "is gone"},
		"all gone":             {[]string{"g0"}, nil, "is gone"},
		"listed for the first": {[]string{"g1"}, []string{"g0"}, ""},
	} {
		got := strings.Join(deviceNews(list(test.before...), list(test.after...), held), "; ")
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
