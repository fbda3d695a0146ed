package fingerprint

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"
)

const mib = 1 << 20

func lookHost(_ *Config, r *Result) error {
	info, err := host.Info()
	if err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	r.set("kernel.name", info.OS)
	r.set("kernel.version", info.KernelVersion)
	r.set("kernel.arch", info.KernelArch)
	r.set("os.name", info.Platform)
	r.set("os.version", info.PlatformVersion)
	r.set("unique.hostname", name)
	r.set("unique.host_id", info.HostID)
	lookBuild(info, r)
	return nil
}

func lookMemory(cfg *Config, r *Result) error {
	total := cfg.Overrides.MemoryTotalMB * mib
	if total == 0 {
		m, err := mem.VirtualMemory()
		if err != nil {
			return err
		}
		total = int64(m.Total)
	}
	r.set("memory.totalbytes", strconv.FormatInt(total, 10))
	r.Resources.Memory.MemoryMB = total / mib
	return nil
}

// lookStorage: what is free now on the volume of the allocation directories is what the node offers.
func lookStorage(cfg *Config, r *Result) error {
	u, err := disk.Usage(cfg.AllocDir)
	if err != nil {
		return fmt.Errorf("volume of %s: %w", cfg.AllocDir, err)
	}
	r.set("unique.storage.volume", volumeOf(cfg.AllocDir))
	r.set("unique.storage.bytestotal", strconv.FormatUint(u.Total, 10))
	r.Resources.Disk.DiskMB = int64(u.Free / mib)
	if cfg.Overrides.DiskTotalMB > 0 {
		r.Resources.Disk.DiskMB = cfg.Overrides.DiskTotalMB
		r.set("unique.storage.bytestotal", strconv.FormatInt(cfg.Overrides.DiskTotalMB*mib, 10))
	}
	return nil
}

// volumeOf is the device mounted closest above dir.
func volumeOf(dir string) string {
	parts, err := disk.Partitions(true)
	if err != nil {
		return ""
	}
	best, device := -1, ""
	for _, p := range parts {
		under := p.Mountpoint == "/" || dir == p.Mountpoint || strings.HasPrefix(dir, strings.TrimRight(p.Mountpoint, `/\`)+string(os.PathSeparator))
		if under && len(p.Mountpoint) >= best {
			best, device = len(p.Mountpoint), p.Device
		}
	}
	return device
}
