//go:build linux && cgo

package main

import (
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
)

// card is a GPU that answers what every GPU answers, and NOT_SUPPORTED to the rest.
func card(uuid string) *mock.Device {
	no := nvml.ERROR_NOT_SUPPORTED
	return &mock.Device{
		GetMigModeFunc:    func() (int, int, nvml.Return) { return 0, 0, no },
		GetUUIDFunc:       func() (string, nvml.Return) { return uuid, nvml.SUCCESS },
		GetNameFunc:       func() (string, nvml.Return) { return "Tesla T4", nvml.SUCCESS },
		GetMemoryInfoFunc: func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 16 << 30, Used: 1 << 30}, nvml.SUCCESS },
		GetPciInfoFunc: func() (nvml.PciInfo, nvml.Return) {
			return nvml.PciInfo{BusId: [32]int8{'0', '0', ':', '1', 'e'}}, nvml.SUCCESS
		},
		GetMinorNumberFunc:               func() (int, nvml.Return) { return 3, nvml.SUCCESS },
		GetTemperatureFunc:               func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 40, nvml.SUCCESS },
		GetRetiredPagesPendingStatusFunc: func() (nvml.EnableState, nvml.Return) { return 0, no },
		GetRemappedRowsFunc:              func() (int, int, bool, bool, nvml.Return) { return 0, 0, false, false, no },
		GetBAR1MemoryInfoFunc:            func() (nvml.BAR1Memory, nvml.Return) { return nvml.BAR1Memory{}, no },
		GetPowerManagementLimitFunc:      func() (uint32, nvml.Return) { return 70000, nvml.SUCCESS },
		GetMaxClockInfoFunc:              func(nvml.ClockType) (uint32, nvml.Return) { return 0, no },
		GetMaxPcieLinkGenerationFunc:     func() (int, nvml.Return) { return 3, nvml.SUCCESS },
		GetMaxPcieLinkWidthFunc:          func() (int, nvml.Return) { return 16, nvml.SUCCESS },
		GetCudaComputeCapabilityFunc:     func() (int, int, nvml.Return) { return 7, 5, nvml.SUCCESS },
		GetPersistenceModeFunc:           func() (nvml.EnableState, nvml.Return) { return nvml.FEATURE_ENABLED, nvml.SUCCESS },
		GetPowerUsageFunc:                func() (uint32, nvml.Return) { return 33500, nvml.SUCCESS },
		GetUtilizationRatesFunc:          func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: 97, Memory: 5}, nvml.SUCCESS },
		GetEncoderUtilizationFunc:        func() (uint32, uint32, nvml.Return) { return 0, 0, no },
		GetDecoderUtilizationFunc:        func() (uint32, uint32, nvml.Return) { return 0, 0, no },
		GetTotalEccErrorsFunc: func(nvml.MemoryErrorType, nvml.EccCounterType) (uint64, nvml.Return) {
			return 2, nvml.SUCCESS
		},
		GetAttributesFunc: func() (nvml.DeviceAttributes, nvml.Return) {
			return nvml.DeviceAttributes{MultiprocessorCount: 14}, nvml.SUCCESS
		},
	}
}

func libraryOf(init nvml.Return, cards ...*mock.Device) *nvmlLibrary {
	return &nvmlLibrary{lib: &mock.Interface{
		InitFunc:                       func() nvml.Return { return init },
		SystemGetDriverVersionFunc:     func() (string, nvml.Return) { return "550.54.15", nvml.SUCCESS },
		SystemGetCudaDriverVersionFunc: func() (int, nvml.Return) { return 12040, nvml.SUCCESS },
		DeviceGetCountFunc:             func() (int, nvml.Return) { return len(cards), nvml.SUCCESS },
		DeviceGetHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) {
			if cards[i] == nil {
				return nil, nvml.ERROR_GPU_IS_LOST
			}
			return cards[i], nvml.SUCCESS
		},
	}}
}

func TestAnswersOfNVML(t *testing.T) {
	sick := card("GPU-b")
	sick.GetRemappedRowsFunc = func() (int, int, bool, bool, nvml.Return) { return 0, 1, false, true, nvml.SUCCESS }
	fallen := card("GPU-c")
	fallen.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 0, nvml.ERROR_GPU_IS_LOST }
	split := card("GPU-d")
	split.GetMigModeFunc = func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 0, nvml.SUCCESS }
	split.GetMaxMigDeviceCountFunc = func() (int, nvml.Return) { return 7, nvml.SUCCESS }
	split.GetMigDeviceHandleByIndexFunc = func(i int) (nvml.Device, nvml.Return) {
		if i != 2 {
			return nil, nvml.ERROR_NOT_FOUND
		}
		return card("MIG-2"), nvml.SUCCESS
	}
	l := libraryOf(nvml.SUCCESS, card("GPU-a"), nil, sick, fallen, split)
	m, err := l.GPUs()
	if err != nil || m.Driver != "550.54.15" || m.CUDA != "12.4" || len(m.GPUs) != 4 {
		t.Fatalf("%+v, %v", m, err)
	}
	if g := m.GPUs[0]; g != (gpu{UUID: "GPU-a", Model: "Tesla T4", PCIBusID: "00:1e", Minor: 3, MemoryMiB: 16384, PowerW: 70,
		PCIGeneration: 3, PCILanes: 16, ComputeMajor: 7, ComputeMinor: 5, PersistenceMode: true}) {
		t.Errorf("%+v", g)
	}
	for i, want := range []string{"", "replaced", "fallen off the bus", ""} {
		if got := m.GPUs[i].Trouble; want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("GPU %d: trouble %q, want %q", i, got, want)
		}
	}
	if g := m.GPUs[3]; g.UUID != "MIG-2" || !g.Slice || g.Minor != -1 || g.Multiprocessors != 14 {
		t.Errorf("%+v", g)
	}
	samples, err := l.Measure()
	if err != nil || len(samples) != 4 {
		t.Fatalf("%+v, %v", samples, err)
	}
	if s := samples[0]; *s.MemoryUsed != 1024 || *s.Power != 33.5 || *s.GPU != 97 || *s.ECC != 2 || s.Encoder != nil {
		t.Errorf("%+v", s)
	}
	if s := samples[3]; *s.MemoryTotal != 16384 || s.Power != nil {
		t.Errorf("%+v", s)
	}
}

// The driver may come after the plugin.
func TestTheLibraryIsLookedForAgain(t *testing.T) {
	for r, want := range map[nvml.Return]string{
		nvml.ERROR_LIBRARY_NOT_FOUND: "libnvidia-ml.so.1 is not on this machine", nvml.ERROR_DRIVER_NOT_LOADED: "kernel module nvidia is not loaded",
		nvml.ERROR_UNKNOWN: "open NVML",
	} {
		l := libraryOf(r, card("GPU-a"))
		if _, err := l.GPUs(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		l.lib.(*mock.Interface).InitFunc = func() nvml.Return { return nvml.SUCCESS }
		if m, err := l.GPUs(); err != nil || len(m.GPUs) != 1 {
			t.Errorf("%+v, %v", m, err)
		}
	}
}
