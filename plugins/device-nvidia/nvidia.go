//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/plugins/sysfs"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/plugin"
)

const (
	vendor = "nvidia"
	kind   = "gpu"
)

// config is the plugin block's config.
type config struct {
	Enabled       bool     `config:"enabled" default:"true"`
	IgnoredGPUIDs []string `config:"ignored_gpu_ids"` // UUIDs of GPUs and slices that tasks must not get
	Period        string   `config:"fingerprint_period" default:"1m"`
}

// nvidia offers GPUs.
type nvidia struct {
	lib library
	dev string // /dev

	mu      sync.Mutex
	enabled bool
	ignored []string
	period  time.Duration
}

var (
	_ device.Device                  = (*nvidia)(nil)
	_ device.WithConfig              = (*nvidia)(nil)
	_ device.WithFingerprintInterval = (*nvidia)(nil)
	_ device.WithStats               = (*nvidia)(nil)
)

func newNVIDIA(l library, dev string) *nvidia {
	return &nvidia{lib: l, dev: dev, enabled: true, period: time.Minute}
}

func (n *nvidia) Config() plugin.ConfigHandler { return plugin.Configure(n.configure) }

func (n *nvidia) configure(_ context.Context, c *plugin.Configuration[config]) error {
	period, err := time.ParseDuration(c.Config.Period)
	if err != nil || period < time.Second {
		return fmt.Errorf("fingerprint_period is %q, want a duration of at least 1s", c.Config.Period)
	}
	if c.Node == nil {
		return nil // only checked
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.enabled, n.ignored, n.period = c.Config.Enabled, c.Config.IgnoredGPUIDs, period
	return nil
}

func (n *nvidia) FingerprintInterval() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.period
}

// gpus lists what tasks may have.
func (n *nvidia) gpus() (*machine, error) {
	n.mu.Lock()
	enabled, ignored := n.enabled, n.ignored
	n.mu.Unlock()
	if !enabled {
		return nil, device.ErrDisabled
	}
	m, err := n.lib.GPUs()
	if err != nil {
		return nil, err
	}
	out := *m
	out.GPUs = slices.DeleteFunc(slices.Clone(m.GPUs), func(g gpu) bool { return slices.Contains(ignored, g.UUID) })
	return &out, nil
}

// Fingerprint lists GPUs and slices by model. Without the library it fails, with what to install: the node shows that,
// and the host asks again.
func (n *nvidia) Fingerprint(context.Context) ([]device.Group, error) {
	m, err := n.gpus()
	if err != nil {
		return nil, err
	}
	groups := sysfs.NewGroups()
	for _, g := range m.GPUs {
		groups.Add(vendor, kind, g.Model, device.Instance{
			ID: g.UUID, Healthy: g.Trouble == "", HealthDescription: g.Trouble, PCIBusID: g.PCIBusID,
		}, attributes(m, g))
	}
	return groups.List(), nil
}

// attributes have the names that job files for such devices use.
func attributes(m *machine, g gpu) map[string]attribute.Value {
	a := map[string]attribute.Value{"persistence_mode": attribute.Truth(g.PersistenceMode), "mig": attribute.Truth(g.Slice)}
	sysfs.SetText(a, "driver_version", m.Driver)
	sysfs.SetText(a, "cuda_version", m.CUDA)
	set := func(key string, n uint64, unit string) {
		if n > 0 {
			a[key] = attribute.Int(int64(n), unit)
		}
	}
	set("memory", g.MemoryMiB, "MiB")
	set("bar1", g.BAR1MiB, "MiB")
	set("power", g.PowerW, "W")
	set("cores_clock", g.CoreClockMHz, "MHz")
	set("memory_clock", g.MemoryClockMHz, "MHz")
	set("multiprocessors", g.Multiprocessors, "")
	set("pci_bandwidth", bandwidth(g.PCIGeneration, g.PCILanes), "MB/s")
	if g.ComputeMajor > 0 {
		a["compute_capability"] = attribute.Text(fmt.Sprintf("%d.%d", g.ComputeMajor, g.ComputeMinor))
	}
	return a
}

// bandwidth of a PCI Express link in MB/s; 0 when it is not known.
func bandwidth(generation, lanes int) uint64 {
	perLane := map[int]uint64{1: 250, 2: 500, 3: 985, 4: 1969, 5: 3938, 6: 7563}
	return perLane[generation] * uint64(max(lanes, 0))
}

// Reserve names the GPUs in the variable that NVIDIA's container runtime looks at, and gives the files of whole GPUs to
// drivers that can pass them on.
func (n *nvidia) Reserve(_ context.Context, r *device.ReserveRequest) (*device.Reservation, error) {
	m, err := n.gpus()
	if err != nil {
		return nil, err
	}
	res := &device.Reservation{Env: map[string]string{"NVIDIA_VISIBLE_DEVICES": strings.Join(r.DeviceIDs, ",")}}
	shared := false
	for _, id := range r.DeviceIDs {
		i := slices.IndexFunc(m.GPUs, func(g gpu) bool { return g.UUID == id })
		if i < 0 {
			return nil, fmt.Errorf("GPU %q is not on this machine, or ignored", id)
		}
		g := m.GPUs[i]
		if g.Trouble != "" {
			return nil, fmt.Errorf("GPU %s: %s", id, g.Trouble)
		}
		if g.Minor >= 0 && n.file(res, fmt.Sprintf("nvidia%d", g.Minor)) {
			shared = true
		}
	}
	if shared {
		for _, name := range []string{"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"} {
			n.file(res, name)
		}
	}
	return res, nil
}

// file adds a device file if it exists: those of some abilities are made when they are first used.
func (n *nvidia) file(res *device.Reservation, name string) bool {
	path := filepath.Join(n.dev, name)
	if _, err := os.Stat(path); err != nil {
		return false
	}
	res.Devices = append(res.Devices, device.Node{TaskPath: path, HostPath: path, Permissions: "rw"})
	return true
}

// Stats has the memory in use as the figure that tells most.
func (n *nvidia) Stats(context.Context) ([]device.GroupStats, error) {
	m, err := n.gpus()
	if err != nil {
		return nil, err
	}
	samples, err := n.lib.Measure()
	if err != nil {
		return nil, err
	}
	byModel := map[string]*device.GroupStats{}
	var order []string
	for _, s := range samples {
		if !slices.ContainsFunc(m.GPUs, func(g gpu) bool { return g.UUID == s.UUID }) {
			continue
		}
		if byModel[s.Model] == nil {
			byModel[s.Model] = &device.GroupStats{Vendor: vendor, Type: kind, Name: s.Model, Instances: map[string]device.Stats{}}
			order = append(order, s.Model)
		}
		byModel[s.Model].Instances[s.UUID] = stats(s)
	}
	var out []device.GroupStats
	for _, model := range order {
		out = append(out, *byModel[model])
	}
	return out, nil
}

func stats(s sample) device.Stats {
	values := map[string]device.Stat{}
	whole := func(name string, v, of *uint64, unit, words string) {
		if v != nil {
			values[name] = device.Stat{Int: signed(v), IntOf: signed(of), Unit: unit, Description: words}
		}
	}
	whole("Memory state", s.MemoryUsed, s.MemoryTotal, "MiB", "memory in use")
	whole("Temperature", s.Temperature, nil, "C", "temperature of the GPU")
	whole("GPU utilization", s.GPU, nil, "%", "time in which the GPU was busy")
	whole("Memory utilization", s.Memory, nil, "%", "time in which its memory was read or written")
	whole("Encoder utilization", s.Encoder, nil, "%", "time in which the video encoder was busy")
	whole("Decoder utilization", s.Decoder, nil, "%", "time in which the video decoder was busy")
	whole("ECC errors", s.ECC, nil, "#", "uncorrected memory errors since the driver was loaded")
	if s.Power != nil {
		values["Power usage"] = device.Stat{Float: s.Power, FloatOf: s.PowerLimit, Unit: "W", Description: "power drawn"}
	}
	return device.Stats{Summary: values["Memory state"], Tree: device.StatTree{Values: values}}
}

func signed(n *uint64) *int64 {
	if n == nil {
		return nil
	}
	return new(int64(*n))
}
