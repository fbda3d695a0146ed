//go:build linux && cgo

package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

const mib = 1 << 20

// newLibrary is the library of the machine's driver; it is loaded at the first call.
func newLibrary() library { return &nvmlLibrary{lib: nvml.New()} }

// nvmlLibrary puts NVML's answers into plain values. What a GPU does not support stays zero.
type nvmlLibrary struct {
	lib nvml.Interface

	mu   sync.Mutex
	open bool
}

// load opens the library once. It is tried again while that fails: the driver may be installed later.
func (l *nvmlLibrary) load() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		return nil
	}
	switch r := l.lib.Init(); r {
	case nvml.SUCCESS:
		l.open = true
		return nil
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return errors.New("the library libnvidia-ml.so.1 is not on this machine: install NVIDIA's driver")
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return errors.New("the kernel module nvidia is not loaded: load it, or install NVIDIA's driver for this kernel")
	default:
		return fmt.Errorf("open NVML: %v", r)
	}
}

func (l *nvmlLibrary) GPUs() (*machine, error) {
	if err := l.load(); err != nil {
		return nil, err
	}
	m := &machine{}
	m.Driver, _ = l.lib.SystemGetDriverVersion()
	if v, r := l.lib.SystemGetCudaDriverVersion(); r == nvml.SUCCESS {
		m.CUDA = fmt.Sprintf("%d.%d", v/1000, v%1000/10)
	}
	err := l.each(func(d nvml.Device, whole nvml.Device, slice bool) error {
		g, err := describe(d, whole, slice)
		if err == nil {
			m.GPUs = append(m.GPUs, g)
		}
		return err
	})
	return m, err
}

// each calls f with every GPU that is not in MIG mode and every slice of those that are.
func (l *nvmlLibrary) each(f func(d, whole nvml.Device, slice bool) error) error {
	n, r := l.lib.DeviceGetCount()
	if r != nvml.SUCCESS {
		return fmt.Errorf("count the GPUs: %v", r)
	}
	for i := range n {
		d, r := l.lib.DeviceGetHandleByIndex(i)
		if r == nvml.ERROR_GPU_IS_LOST || r == nvml.ERROR_NOT_SUPPORTED || r == nvml.ERROR_NO_PERMISSION {
			continue // it has fallen off the bus and has no name any more, or is not ours to see
		}
		if r != nvml.SUCCESS {
			return fmt.Errorf("look at GPU %d: %v", i, r)
		}
		if mode, _, r := d.GetMigMode(); r != nvml.SUCCESS || mode != nvml.DEVICE_MIG_ENABLE {
			if err := f(d, d, false); err != nil {
				return err
			}
			continue
		}
		most, r := d.GetMaxMigDeviceCount()
		if r != nvml.SUCCESS {
			return fmt.Errorf("count the MIG slices of GPU %d: %v", i, r)
		}
		for k := range most {
			slice, r := d.GetMigDeviceHandleByIndex(k)
			if r == nvml.ERROR_NOT_FOUND || r == nvml.ERROR_INVALID_ARGUMENT {
				continue // there is no slice in this place
			}
			if r != nvml.SUCCESS {
				return fmt.Errorf("look at MIG slice %d of GPU %d: %v", k, i, r)
			}
			if err := f(slice, d, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// describe reads what does not change. Whole is the GPU itself, or the one that a slice is of.
func describe(d, whole nvml.Device, slice bool) (gpu, error) {
	g := gpu{Slice: slice, Minor: -1, Trouble: trouble(whole)}
	var r nvml.Return
	if g.UUID, r = d.GetUUID(); r != nvml.SUCCESS {
		return g, fmt.Errorf("read a GPU's UUID: %v", r)
	}
	if g.Model, r = d.GetName(); r != nvml.SUCCESS {
		return g, fmt.Errorf("read the model of GPU %s: %v", g.UUID, r)
	}
	if p, r := whole.GetPciInfo(); r == nvml.SUCCESS {
		g.PCIBusID = text(p.BusId[:])
	}
	if m, r := d.GetMemoryInfo(); r == nvml.SUCCESS {
		g.MemoryMiB = m.Total / mib
	}
	if slice {
		if a, r := d.GetAttributes(); r == nvml.SUCCESS {
			g.Multiprocessors = uint64(a.MultiprocessorCount)
		}
	} else if minor, r := d.GetMinorNumber(); r == nvml.SUCCESS {
		g.Minor = minor
	}
	if b, r := whole.GetBAR1MemoryInfo(); r == nvml.SUCCESS {
		g.BAR1MiB = b.Bar1Total / mib
	}
	if mw, r := whole.GetPowerManagementLimit(); r == nvml.SUCCESS {
		g.PowerW = uint64(mw) / 1000
	}
	if v, r := whole.GetMaxClockInfo(nvml.CLOCK_GRAPHICS); r == nvml.SUCCESS {
		g.CoreClockMHz = uint64(v)
	}
	if v, r := whole.GetMaxClockInfo(nvml.CLOCK_MEM); r == nvml.SUCCESS {
		g.MemoryClockMHz = uint64(v)
	}
	if v, r := whole.GetMaxPcieLinkGeneration(); r == nvml.SUCCESS {
		g.PCIGeneration = v
	}
	if v, r := whole.GetMaxPcieLinkWidth(); r == nvml.SUCCESS {
		g.PCILanes = v
	}
	if major, minor, r := whole.GetCudaComputeCapability(); r == nvml.SUCCESS {
		g.ComputeMajor, g.ComputeMinor = major, minor
	}
	if v, r := whole.GetPersistenceMode(); r == nvml.SUCCESS {
		g.PersistenceMode = v == nvml.FEATURE_ENABLED
	}
	return g, nil
}

// trouble tells why a GPU must not be given to a task.
func trouble(d nvml.Device) string {
	if _, r := d.GetTemperature(nvml.TEMPERATURE_GPU); r == nvml.ERROR_GPU_IS_LOST {
		return "the GPU has fallen off the bus"
	}
	if v, r := d.GetRetiredPagesPendingStatus(); r == nvml.SUCCESS && v == nvml.FEATURE_ENABLED {
		return "pages of its memory are waiting to be retired: reset the GPU or restart the machine"
	}
	if _, _, pending, failed, r := d.GetRemappedRows(); r == nvml.SUCCESS && failed {
		return "rows of its memory could not be remapped: it has to be replaced"
	} else if r == nvml.SUCCESS && pending {
		return "rows of its memory are waiting to be remapped: reset the GPU or restart the machine"
	}
	return ""
}

func (l *nvmlLibrary) Measure() ([]sample, error) {
	if err := l.load(); err != nil {
		return nil, err
	}
	var all []sample
	err := l.each(func(d, whole nvml.Device, slice bool) error {
		s := sample{}
		s.UUID, _ = d.GetUUID()
		s.Model, _ = d.GetName()
		if m, r := d.GetMemoryInfo(); r == nvml.SUCCESS {
			s.MemoryUsed, s.MemoryTotal = new(m.Used/mib), new(m.Total/mib)
		}
		if !slice { // the rest is of the GPU, and would be counted once for every slice
			measureWhole(d, &s)
		}
		all = append(all, s)
		return nil
	})
	return all, err
}

func measureWhole(d nvml.Device, s *sample) {
	if mw, r := d.GetPowerUsage(); r == nvml.SUCCESS {
		s.Power = new(float64(mw) / 1000)
	}
	if mw, r := d.GetPowerManagementLimit(); r == nvml.SUCCESS {
		s.PowerLimit = new(float64(mw) / 1000)
	}
	if t, r := d.GetTemperature(nvml.TEMPERATURE_GPU); r == nvml.SUCCESS {
		s.Temperature = new(uint64(t))
	}
	if u, r := d.GetUtilizationRates(); r == nvml.SUCCESS {
		s.GPU, s.Memory = new(uint64(u.Gpu)), new(uint64(u.Memory))
	}
	if v, _, r := d.GetEncoderUtilization(); r == nvml.SUCCESS {
		s.Encoder = new(uint64(v))
	}
	if v, _, r := d.GetDecoderUtilization(); r == nvml.SUCCESS {
		s.Decoder = new(uint64(v))
	}
	if n, r := d.GetTotalEccErrors(nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.VOLATILE_ECC); r == nvml.SUCCESS {
		s.ECC = &n
	}
}

// text reads a C string of fixed size.
func text(chars []int8) string {
	var b strings.Builder
	for _, c := range chars {
		if c == 0 {
			break
		}
		b.WriteByte(byte(c))
	}
	return b.String()
}
