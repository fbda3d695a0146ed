//go:build linux

package pluginhost

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
)

// lists writes what device plugins find, in one step each.
func (r *room) lists(file string, content any) string {
	r.t.Helper()
	data, isText := content.(string)
	if !isText {
		b, err := json.Marshal(content)
		if err != nil {
			r.t.Fatal(err)
		}
		data = string(b)
	}
	path := filepath.Join(r.dir, file)
	if err := os.WriteFile(path+".new", []byte(data), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// gpus is a group with the given ids; those that begin with "!" are broken.
func gpus(ids ...string) []device.Group {
	g := device.Group{Vendor: "acme", Type: "gpu", Name: "m1", Attributes: map[string]attribute.Value{"memory": attribute.Int(2, "GiB")}}
	for _, id := range ids {
		i := device.Instance{ID: strings.TrimPrefix(id, "!"), Healthy: true, PCIBusID: "0000:01:00.0"}
		if strings.HasPrefix(id, "!") {
			i.Healthy, i.HealthDescription = false, "too hot"
		}
		g.Devices = append(g.Devices, i)
	}
	return []device.Group{g}
}

// shownAs writes a list of devices as "vendor/type/name id id!": a mark behind those that are not healthy.
func shownAs(list []*model.NodeDevice) string {
	var out []string
	for _, d := range list {
		line := d.ID()
		for _, i := range d.Instances {
			line += " " + i.ID
			if !i.Healthy {
				line += "!"
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

func (r *room) untilDevices(h *Host, want string) *Snapshot {
	r.t.Helper()
	return r.until(h, "devices "+want, func(s *Snapshot) bool { return shownAs(s.Devices) == want })
}

func wants(ids ...string) *model.AllocatedDevice {
	return &model.AllocatedDevice{Vendor: "acme", Type: "gpu", Name: "m1", DeviceIDs: ids}
}

func TestDevicesAreListedReservedAndReleased(t *testing.T) {
	r := newRoom(t)
	list := r.lists("list", gpus("g0", "!g1"))
	r.devices("drover-device-test", list)
	h := r.start()
	s := r.untilDevices(h, "acme/gpu/m1 g0 g1!")
	d := s.Devices[0]
	if a := d.Attributes["memory"]; a.Text() != "2GiB" || d.Instances[0].Locality.PciBusID != "0000:01:00.0" || d.Instances[1].HealthDescription != "too hot" {
		t.Errorf("shown as %+v, memory %q", d, a.Text())
	}
	if p := info(s, "drover-device-test", 0); p.Type != "device" || p.Name != "test" || len(s.Drivers) != 0 {
		t.Errorf("plugin %+v, drivers %v", p, s.Drivers)
	}
	got, err := h.ReserveDevices(t.Context(), wants("g0"))
	if err != nil || got.Env["IDS"] != "g0" {
		t.Fatalf("reserved %+v, %v", got, err)
	}
	if err := h.ReleaseDevices(t.Context(), wants("g0")); err != nil {
		t.Error(err)
	}
	if calls, _ := os.ReadFile(list + ".calls"); string(calls) != "reserve [g0]\nrelease [g0]\n" {
		t.Errorf("calls:\n%s", calls)
	}
	for what, want := range map[string]*model.AllocatedDevice{"too hot": wants("g0", "g1"), "no longer lists it": wants("g7"),
		"no plugin on this node offers it": {Vendor: "acme", Type: "gpu", Name: "m2", DeviceIDs: []string{"g0"}}} {
		if _, err := h.ReserveDevices(t.Context(), want); !errors.Is(err, ErrNoDevice) || !strings.Contains(err.Error(), what) {
			t.Errorf("want %q, got %v", what, err)
		}
	}
	r.until(h, "statistics", func(*Snapshot) bool { return len(h.DeviceStats()) == 1 })
	if v := h.DeviceStats()[0].Instances["g0"].Summary; *v.Int != 42 {
		t.Errorf("statistics %+v", v)
	}

	r.lists("list", gpus("g0", "g1", "g2"))
	r.untilDevices(h, "acme/gpu/m1 g0 g1 g2")
	r.lists("list", []device.Group{}) // suddenly nothing: the plugin is still well
	s = r.untilDevices(h, "")
	if p := info(s, "drover-device-test", 0); !p.Healthy {
		t.Errorf("plugin %+v", p)
	}
}

func TestDevicePluginThatIsKilled(t *testing.T) {
	r := newRoom(t)
	r.devices("drover-device-test", r.lists("list", gpus("g0")))
	h := r.start()
	s := r.untilDevices(h, "acme/gpu/m1 g0")
	before := info(s, "drover-device-test", 0).PID
	syscall.Kill(before, syscall.SIGKILL)
	s = r.until(h, "another process", func(s *Snapshot) bool {
		if shownAs(s.Devices) != "acme/gpu/m1 g0" {
			t.Errorf("meanwhile the devices are shown as %q", shownAs(s.Devices))
		}
		p := info(s, "drover-device-test", 0)
		return p.PID != 0 && p.PID != before && p.State == "ready"
	})
	if _, err := h.ReserveDevices(t.Context(), wants("g0")); err != nil {
		t.Error(err)
	}
}

// A device plugin that outlived its agent is ended by the next one, which launches it anew.
func TestDevicePluginIsNotReattached(t *testing.T) {
	r := newRoom(t)
	r.devices("drover-device-test", r.lists("list", gpus("g0")))
	h := r.start()
	first := info(r.untilDevices(h, "acme/gpu/m1 g0"), "drover-device-test", 0).PID
	records, err := FileRecords(filepath.Join(r.config.DataDir, "client", "plugins.json")).Load()
	if err != nil || len(records) != 1 {
		t.Fatalf("records %v, %v", records, err)
	}
	h.endLeftover(records["drover-device-test#1"]) // as if the first agent had been killed
	r.stop(h, false)
	if syscall.Kill(first, 0) == nil {
		t.Error("the first process lives")
	}
	h = r.start()
	if p := info(r.untilDevices(h, "acme/gpu/m1 g0"), "drover-device-test", 0); p.PID == first || p.Generation != 1 {
		t.Errorf("after the restart: %+v", p)
	}
	r.stop(h, false)
	if left := r.processes(); len(left) > 0 {
		t.Errorf("left when the agent ended: %v", left)
	}
}

func TestReplacedDevicePluginLeavesNoGap(t *testing.T) {
	r := newRoom(t)
	list := r.lists("list", gpus("g0"))
	r.devices("drover-device-test", list)
	h := r.start()
	r.untilDevices(h, "acme/gpu/m1 g0")
	r.devices("drover-device-test", list, "T_SECOND=1")
	r.until(h, "only the second generation", func(s *Snapshot) bool {
		if shownAs(s.Devices) != "acme/gpu/m1 g0" {
			t.Errorf("meanwhile the devices are shown as %q", shownAs(s.Devices))
		}
		return info(s, "drover-device-test", 2).State == "ready" && info(s, "drover-device-test", 1).PID == 0
	})
	os.Remove(filepath.Join(r.config.PluginDir, "drover-device-test"))
	r.untilDevices(h, "")
	r.until(h, "the file is forgotten", func(s *Snapshot) bool { return len(s.Plugins) == 0 })
	if left, _ := os.ReadDir(filepath.Join(r.config.RunDir, "p")); len(left) > 0 {
		t.Errorf("run directories left: %v", left)
	}
}

func TestDeviceListsThatCannotBeUsed(t *testing.T) {
	many := gpus("g")[0]
	for i := range maxInstances {
		many.Devices = append(many.Devices, device.Instance{ID: fmt.Sprint("more", i)})
	}
	for what, test := range map[string]struct {
		list any
		want string
	}{
		"disabled":         {"disabled", "device is not enabled"},
		"error":            {"error", "the bus is on fire"},
		"an id twice":      {gpus("g0", "g0"), "twice"},
		"a group twice":    {append(gpus("g0"), gpus("g1")...), "twice"},
		"no devices in it": {gpus(), "no devices"},
		"too many":         {[]device.Group{many}, "more than 4096 devices"},
		"slash in vendor":  {[]device.Group{{Vendor: "a/b", Type: "c", Name: "d", Devices: many.Devices[:1]}}, "slash"},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRoom(t)
			r.config.Limits.Lifecycle.FirstFingerprint = 1
			r.devices("drover-device-test", r.lists("list", test.list))
			h := r.start()
			s := r.until(h, "unhealthy", func(s *Snapshot) bool {
				p := info(s, "drover-device-test", 0)
				return p.State == "unhealthy" && strings.Contains(p.Reason, test.want)
			})
			if len(s.Devices) != 0 {
				t.Errorf("devices %q", shownAs(s.Devices))
			}
		})
	}
}

func TestTwoPluginsOfferTheSameDevices(t *testing.T) {
	r := newRoom(t)
	r.devices("drover-device-a", r.lists("a", gpus("g0")), "T_NAME=a")
	r.devices("drover-device-b", r.lists("b", gpus("g1")), "T_NAME=b")
	h := r.start()
	s := r.until(h, "the second is told", func(s *Snapshot) bool {
		return strings.Contains(info(s, "drover-device-b", 0).Reason, "also offered by drover-device-a")
	})
	if got := shownAs(s.Devices); got != "acme/gpu/m1 g0" {
		t.Errorf("devices %q", got)
	}
}

// A list is sent only when it changes, so a plugin that was frozen for a while does not send one when it goes on.
func TestFrozenDevicePlugin(t *testing.T) {
	r := newRoom(t)
	r.config.Limits.Ping = 300 * time.Millisecond
	r.config.Limits.Lifecycle.HoldDown = time.Millisecond
	r.devices("drover-device-test", r.lists("list", gpus("g0")))
	h := r.start()
	pid := info(r.untilDevices(h, "acme/gpu/m1 g0"), "drover-device-test", 0).PID
	syscall.Kill(pid, syscall.SIGSTOP)
	r.untilDevices(h, "acme/gpu/m1 g0!")
	syscall.Kill(pid, syscall.SIGCONT)
	r.untilDevices(h, "acme/gpu/m1 g0")
}
