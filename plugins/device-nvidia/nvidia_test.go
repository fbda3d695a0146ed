//go:build linux

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

// fake is a library whose answers the test sets.
type fake struct {
	machine machine
	samples []sample
	err     error
}

func (f *fake) GPUs() (*machine, error)    { return &f.machine, f.err }
func (f *fake) Measure() ([]sample, error) { return f.samples, f.err }

func t4(uuid string, minor int) gpu {
	return gpu{UUID: uuid, Model: "Tesla T4", PCIBusID: "00000000:00:1E.0", Minor: minor, MemoryMiB: 15109, BAR1MiB: 256, PowerW: 70,
		CoreClockMHz: 1590, MemoryClockMHz: 5001, PCIGeneration: 3, PCILanes: 16, ComputeMajor: 7, ComputeMinor: 5}
}

func twoAndSlices() *fake {
	sick := t4("GPU-b", 1)
	sick.Trouble = "pages of its memory are waiting to be retired"
	slice := gpu{Model: "NVIDIA A100-SXM4-40GB MIG 1g.5gb", Minor: -1, Slice: true, MemoryMiB: 4864, Multiprocessors: 14}
	one, two := slice, slice
	one.UUID, two.UUID = "MIG-1", "MIG-2"
	return &fake{machine: machine{Driver: "550.54.15", CUDA: "12.4", GPUs: []gpu{t4("GPU-a", 0), sick, one, two}}}
}

func TestGroupsOfGPUs(t *testing.T) {
	n := newNVIDIA(twoAndSlices(), t.TempDir())
	groups, err := n.Fingerprint(t.Context())
	if err != nil || len(groups) != 2 {
		t.Fatalf("%+v, %v", groups, err)
	}
	t4s, slices := groups[0], groups[1]
	if t4s.Vendor != "nvidia" || t4s.Type != "gpu" || t4s.Name != "Tesla T4" || len(t4s.Devices) != 2 {
		t.Errorf("%+v", t4s)
	}
	if a, b := t4s.Devices[0], t4s.Devices[1]; !a.Healthy || a.PCIBusID != "00000000:00:1E.0" || b.Healthy || b.HealthDescription == "" {
		t.Errorf("%+v %+v", a, b)
	}
	for key, want := range map[string]string{"memory": "15109MiB", "bar1": "256MiB", "power": "70W", "cores_clock": "1590MHz",
		"memory_clock": "5001MHz", "pci_bandwidth": "15760MB/s", "driver_version": "550.54.15", "cuda_version": "12.4", "compute_capability": "7.5", "mig": "false"} {
		if got := t4s.Attributes[key].Format(); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if slices.Name != "NVIDIA A100-SXM4-40GB MIG 1g.5gb" || len(slices.Devices) != 2 || slices.Attributes["mig"].Format() != "true" || slices.Attributes["multiprocessors"].Format() != "14" {
		t.Errorf("%+v", slices)
	}
	for i := range groups {
		if err := groups[i].Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestReserve(t *testing.T) {
	dev := t.TempDir()
	for _, name := range []string{"nvidia0", "nvidiactl", "nvidia-uvm"} {
		if err := os.WriteFile(filepath.Join(dev, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := newNVIDIA(twoAndSlices(), dev)
	reserve := func(ids ...string) (*device.Reservation, error) {
		return n.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: ids})
	}
	r, err := reserve("GPU-a", "MIG-1")
	if err != nil || r.Env["NVIDIA_VISIBLE_DEVICES"] != "GPU-a,MIG-1" || len(r.Devices) != 3 || r.Devices[0].HostPath != filepath.Join(dev, "nvidia0") {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := reserve("MIG-2"); err != nil || len(r.Devices) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for id, want := range map[string]string{"GPU-b": "waiting to be retired", "GPU-x": "not on this machine"} {
		if _, err := reserve(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", id, err, want)
		}
	}
}

func TestConfig(t *testing.T) {
	f := twoAndSlices()
	n := newNVIDIA(f, "/dev")
	set := func(c config) error {
		return n.configure(t.Context(), &plugin.Configuration[config]{Config: c, Node: &plugin.NodeConfig{}})
	}
	if err := set(config{Enabled: true, Period: "never"}); err == nil {
		t.Error("a period that is none was taken")
	}
	if err := set(config{Enabled: true, IgnoredGPUIDs: []string{"GPU-a", "MIG-1", "MIG-2"}, Period: "5s"}); err != nil {
		t.Fatal(err)
	}
	if g, err := n.Fingerprint(t.Context()); err != nil || len(g) != 1 || len(g[0].Devices) != 1 || g[0].Devices[0].ID != "GPU-b" {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := n.Reserve(t.Context(), &device.ReserveRequest{DeviceIDs: []string{"GPU-a"}}); err == nil {
		t.Error("an ignored GPU was reserved")
	}
	if err := set(config{Enabled: false, Period: "5s"}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Fingerprint(t.Context()); !errors.Is(err, device.ErrDisabled) {
		t.Errorf("got %v", err)
	}
}

func TestStats(t *testing.T) {
	f := twoAndSlices()
	power := 33.5
	f.samples = []sample{
		{UUID: "GPU-a", Model: "Tesla T4", MemoryUsed: new(uint64(100)), MemoryTotal: new(uint64(15109)), Power: &power, GPU: new(uint64(97))},
		{UUID: "GPU-gone", Model: "Tesla T4"},
		{UUID: "MIG-1", Model: "NVIDIA A100-SXM4-40GB MIG 1g.5gb", MemoryUsed: new(uint64(1))},
	}
	got, err := newNVIDIA(f, "/dev").Stats(t.Context())
	if err != nil || len(got) != 2 || len(got[0].Instances) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	s := got[0].Instances["GPU-a"]
	if *s.Summary.Int != 100 || *s.Summary.IntOf != 15109 || *s.Tree.Values["GPU utilization"].Int != 97 || *s.Tree.Values["Power usage"].Float != power {
		t.Errorf("%+v", s)
	}
	if _, there := s.Tree.Values["Temperature"]; there {
		t.Error("a figure that the GPU does not tell is there")
	}
}

// What a machine without a driver shows: the plugin runs and says what is missing.
func TestWithoutTheLibrary(t *testing.T) {
	out, err := exec.Command("/sbin/ldconfig", "-p").Output()
	if err != nil || strings.Contains(string(out), "libnvidia-ml.so.1") {
		t.Skip("this machine may have the library")
	}
	c := plugintest.Serve(t, newPlugin(newLibrary(), "/dev"))
	err = c.Device().Fingerprint(t.Context(), func(g []device.Group) error { t.Errorf("found %+v", g); return nil })
	if err == nil || !strings.Contains(err.Error(), "libnvidia-ml.so.1") {
		t.Errorf("got %v", err)
	}
}
