// Package hoststats measures how busy the machine is.
package hoststats

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/host"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/droverhq/drover/core/rpc"
)

// firstInterval is over what processor use is measured when nobody asked before.
const firstInterval = 200 * time.Millisecond

// Meter measures. Processor use is that since the previous measurement.
type Meter struct {
	allocDir string
	totalMHz float64

	mu   sync.Mutex
	last []cpu.TimesStat
}

// New makes a meter; totalMHz is the machine's compute.
func New(allocDir string, totalMHz int64) *Meter {
	return &Meter{allocDir: allocDir, totalMHz: float64(totalMHz)}
}

// Measure takes one sample.
func (m *Meter) Measure(ctx context.Context) (*rpc.HostStats, error) {
	out := &rpc.HostStats{Timestamp: time.Now().UnixNano(), DeviceStats: []*rpc.DeviceGroupStats{}}
	v, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure memory: %w", err)
	}
	out.Memory = &rpc.HostMemoryStats{Total: v.Total, Available: v.Available, Used: v.Used, Free: v.Free}
	if out.CPU, err = m.processors(ctx); err != nil {
		return nil, fmt.Errorf("measure processors: %w", err)
	}
	for _, c := range out.CPU {
		c.TotalTicks = c.TotalPercent / 100 * m.totalMHz / float64(len(out.CPU))
		out.CPUTicksConsumed += c.TotalTicks
	}
	out.Uptime, _ = host.UptimeWithContext(ctx)
	out.DiskStats = disks(ctx)
	out.AllocDirStats = usage(ctx, "", m.allocDir)
	return out, nil
}

func (m *Meter) processors(ctx context.Context) ([]*rpc.HostCPUStats, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil {
		first, err := cpu.TimesWithContext(ctx, true)
		if err != nil {
			return nil, err
		}
		m.last = first
		select {
		case <-time.After(firstInterval):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	now, err := cpu.TimesWithContext(ctx, true)
	if err != nil {
		return nil, err
	}
	before := map[string]cpu.TimesStat{}
	for _, t := range m.last {
		before[t.CPU] = t
	}
	m.last = now
	out := make([]*rpc.HostCPUStats, 0, len(now))
	for _, t := range now {
		out = append(out, between(before[t.CPU], t))
	}
	return out, nil
}

// between is the share of each kind of time between two readings, in percent.
func between(a, b cpu.TimesStat) *rpc.HostCPUStats {
	total := func(t cpu.TimesStat) float64 {
		return t.User + t.System + t.Idle + t.Nice + t.Iowait + t.Irq + t.Softirq + t.Steal
	}
	s := &rpc.HostCPUStats{CPU: b.CPU}
	whole := total(b) - total(a)
	if whole <= 0 {
		return s
	}
	percent := func(d float64) float64 { return max(0, min(100, 100*d/whole)) }
	s.User = percent(b.User - a.User)
	s.System = percent(b.System - a.System)
	s.Idle = percent(b.Idle - a.Idle)
	s.TotalPercent = percent(whole - (b.Idle - a.Idle))
	return s
}

// disks are the volumes with a device of their own.
func disks(ctx context.Context) []*rpc.HostDiskStats {
	parts, err := disk.PartitionsWithContext(ctx, false)
	if err != nil {
		return nil
	}
	var out []*rpc.HostDiskStats
	seen := map[string]bool{}
	for _, p := range parts {
		if seen[p.Device] || strings.HasPrefix(p.Mountpoint, "/snap/") {
			continue
		}
		seen[p.Device] = true
		if u := usage(ctx, p.Device, p.Mountpoint); u != nil {
			out = append(out, u)
		}
	}
	return out
}

func usage(ctx context.Context, device, path string) *rpc.HostDiskStats {
	u, err := disk.UsageWithContext(ctx, path)
	if err != nil {
		return nil
	}
	return &rpc.HostDiskStats{
		Device: device, Mountpoint: path, Size: u.Total, Used: u.Used, Available: u.Free,
		UsedPercent: u.UsedPercent, InodesUsedPercent: u.InodesUsedPercent,
	}
}
