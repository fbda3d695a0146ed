//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/sdk/conformance"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

func configured(t *testing.T, m sysfs.Machine, groups ...group) *host {
	t.Helper()
	h := &host{machine: m}
	err := h.configure(t.Context(), &plugin.Configuration[config]{Config: config{Interval: "1s", Groups: groups}, Node: &plugin.NodeConfig{}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func kind(name string, shared int, files ...string) group {
	return group{Vendor: "linux", Type: "test", Name: name, Files: files, Shared: shared, Permissions: "rw"}
}

func ids(g device.Group) string {
	var out []string
	for _, d := range g.Devices {
		out = append(out, d.ID)
	}
	return strings.Join(out, " ")
}

func TestFilesAreGrouped(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "by-id")
	plain := filepath.Join(dir, "plain")
	if err := os.Symlink("/dev/full", link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := configured(t, sysfs.Local(),
		kind("one", 1, "/dev/nul[l]", plain, dir, "/dev/there-is-none*"),
		kind("shared", 3, "/dev/zero"),
		kind("link", 1, link),
		kind("again", 1, "/dev/null", "/dev/full"), // both are given away above
	)
	groups, err := h.Fingerprint(t.Context())
	if err != nil || len(groups) != 3 {
		t.Fatalf("%+v, %v", groups, err)
	}
	for i, want := range []string{"/dev/null", "/dev/zero /dev/zero#1 /dev/zero#2", link} {
		if got := ids(groups[i]); got != want {
			t.Errorf("group %d has %q, want %q", i, got, want)
		}
		if err := groups[i].Validate(); err != nil {
			t.Error(err)
		}
	}
	if a := groups[0].Attributes; a["kind"].Format() != "char" || a["major"].Format() != "1" {
		t.Errorf("attributes %+v", a)
	}
	r, err := h.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{"/dev/zero", "/dev/zero#2"}})
	if err != nil || len(r.Devices) != 1 || r.Devices[0] != (device.Node{TaskPath: "/dev/zero", HostPath: "/dev/zero", Permissions: "rw"}) || r.Env["HOST_DEVICES"] != "/dev/zero" {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := h.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{link}}); err != nil || r.Devices[0].HostPath != "/dev/full" || r.Devices[0].TaskPath != link {
		t.Errorf("%+v, %v", r, err)
	}
	for _, id := range []string{"/dev/tty", "/dev/zero#3", "/dev/zero#x", "/dev/zero#", plain, "/dev/there-is-none1", ""} {
		if r, err := h.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{id}}); err == nil {
			t.Errorf("%q was reserved: %+v", id, r)
		}
	}
}

func TestAttributesFromSysfs(t *testing.T) {
	sys := t.TempDir()
	disk := filepath.Join(sys, "devices/pci0000:00/0000:00:1f.2/host0/block/sdx")
	for name, text := range map[string]string{
		"size": "4194304", "ro": "0", "removable": "1", "queue/rotational": "1", "device/model": "Disk 9000  ", "device/vendor": "ACME",
	} {
		file := filepath.Join(disk, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../../../drivers/sd", filepath.Join(disk, "device/driver")); err != nil {
		t.Fatal(err)
	}
	a := describe(disk, number{block: true, major: 8, minor: 0})
	for key, want := range map[string]string{"size": "2048MiB", "read_only": "false", "removable": "true", "rotational": "true",
		"model": "Disk 9000", "vendor_name": "ACME", "driver": "sd", "kind": "block"} {
		if got := a[key].Format(); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if got := sysfs.PCIAddress(disk); got != "0000:00:1f.2" {
		t.Errorf("PCI address %q", got)
	}
}

func TestBadConfig(t *testing.T) {
	good := kind("x", 1, "/dev/null")
	for want, c := range map[string]config{
		"interval":                      {Interval: "soon"},
		"at least 100ms":                {Interval: "1ms"},
		"is there twice":                {Interval: "1s", Groups: []group{good, good}},
		"no pattern":                    {Interval: "1s", Groups: []group{kind("x", 1)}},
		"shared is 0":                   {Interval: "1s", Groups: []group{kind("x", 0, "/dev/null")}},
		"shared is 100000":              {Interval: "1s", Groups: []group{kind("x", 100000, "/dev/null")}},
		`"dev/null" is not`:             {Interval: "1s", Groups: []group{kind("x", 1, "dev/null")}},
		`"/dev/../etc/shadow" is not`:   {Interval: "1s", Groups: []group{kind("x", 1, "/dev/../etc/shadow")}},
		`"/dev/[" is not`:               {Interval: "1s", Groups: []group{kind("x", 1, "/dev/[")}},
		"vendor and type have no slash": {Interval: "1s", Groups: []group{{Vendor: "a/b", Type: "c", Name: "d", Files: []string{"/dev/null"}, Shared: 1, Permissions: "r"}}},
		`permissions are "rx"`:          {Interval: "1s", Groups: []group{{Vendor: "a", Type: "c", Name: "d", Files: []string{"/dev/null"}, Shared: 1, Permissions: "rx"}}},
	} {
		h := &host{}
		if err := h.configure(t.Context(), &plugin.Configuration[config]{Config: c, Node: &plugin.NodeConfig{}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// What an operator writes reaches the plugin with its defaults.
func TestConfigOverTheWire(t *testing.T) {
	c := plugintest.Serve(t, newPlugin(sysfs.Local()))
	spec, err := c.ConfigSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := spec.Encode(map[string]any{"device": []any{map[string]any{"type": "null", "name": "null", "files": []any{"/dev/null"}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetConfig(t.Context(), &plugin.RawConfig{Msgpack: data, Node: &plugin.NodeConfig{Topology: plugintest.OneCore()}}); err != nil {
		t.Fatal(err)
	}
	var got []device.Group
	_ = c.Device().Fingerprint(t.Context(), func(g []device.Group) error { got = g; return os.ErrClosed })
	if len(got) != 1 || got[0].Vendor != "linux" || ids(got[0]) != "/dev/null" {
		t.Errorf("%+v", got)
	}
}

func TestConformance(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "drover-device-host")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conformance.Run(t, conformance.Config{Path: binary, PluginConfig: map[string]any{"device": []any{
		map[string]any{"type": "null", "name": "null", "files": []any{"/dev/nul[l]"}},
		map[string]any{"type": "zero", "name": "zero", "files": []any{"/dev/zero"}, "shared": 2},
	}}})
}

func TestFilesAreListedOnce(t *testing.T) {
	if got := files([]string{"/dev/null", "/dev/nul[l]", "/dev/zero"}); !slices.Equal(got, []string{"/dev/null", "/dev/zero"}) {
		t.Error(got)
	}
}
