package docker

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/sdk/driver"
)

// Stats implements driver.WithStats.
func (d *Driver) Stats(ctx context.Context, id string) (*driver.TaskStats, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	s, err := d.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.engine.ContainerStats(ctx, t.container, client.ContainerStatsOptions{})
	if err != nil {
		return nil, fmt.Errorf("statistics of the container: %w", err)
	}
	defer answer.Body.Close()
	now := new(container.StatsResponse)
	if err := json.NewDecoder(answer.Body).Decode(now); err != nil {
		return nil, fmt.Errorf("statistics of the container: %w", err)
	}
	t.mu.Lock()
	before := t.previous
	t.previous = now
	t.mu.Unlock()
	node := d.node(s)
	usage := usageOf(now, before, mhzPerCore(node.TotalMHz, node.Cores))
	return &driver.TaskStats{Timestamp: now.Read, Usage: usage}, nil
}

func mhzPerCore(total uint64, cores int) float64 {
	if cores == 0 {
		return 0
	}
	return float64(total) / float64(cores)
}

// usageOf turns two of the engine's samples into what hosts expect. Without an earlier one there is no rate yet.
func usageOf(now, before *container.StatsResponse, mhz float64) driver.ResourceUsage {
	windows := now.OSType == "windows"
	u := driver.ResourceUsage{Memory: memoryOf(now, windows)}
	u.CPU.ThrottledPeriods = now.CPUStats.ThrottlingData.ThrottledPeriods
	u.CPU.ThrottledTime = now.CPUStats.ThrottlingData.ThrottledTime
	u.CPU.Measured = []driver.CPUField{driver.CPUThrottledPeriods, driver.CPUThrottledTime, driver.CPUPercent,
		driver.CPUUserMode, driver.CPUSystemMode, driver.CPUTotalTicks}
	if before == nil {
		return u
	}
	span := float64(now.Read.Sub(before.Read))
	if span <= 0 {
		return u
	}
	unit := 1.0 // ns
	if windows {
		unit = 100
	}
	rate := func(now, before uint64) float64 {
		if now < before {
			return 0
		}
		return float64(now-before) * unit / span * 100
	}
	u.CPU.Percent = rate(now.CPUStats.CPUUsage.TotalUsage, before.CPUStats.CPUUsage.TotalUsage)
	u.CPU.UserMode = rate(now.CPUStats.CPUUsage.UsageInUsermode, before.CPUStats.CPUUsage.UsageInUsermode)
	u.CPU.SystemMode = rate(now.CPUStats.CPUUsage.UsageInKernelmode, before.CPUStats.CPUUsage.UsageInKernelmode)
	u.CPU.TotalTicks = u.CPU.Percent / 100 * mhz
	return u
}

func memoryOf(now *container.StatsResponse, windows bool) driver.MemoryUsage {
	m := now.MemoryStats
	if windows {
		return driver.MemoryUsage{
			RSS: m.PrivateWorkingSet, Usage: m.Commit, MaxUsage: m.CommitPeak,
			Measured: []driver.MemoryField{driver.MemoryRSS, driver.MemoryUsageField, driver.MemoryMaxUsage},
		}
	}
	first := func(names ...string) uint64 {
		for _, name := range names {
			if v, is := m.Stats[name]; is {
				return v
			}
		}
		return 0
	}
	u := driver.MemoryUsage{
		RSS: first("rss", "anon"), Cache: first("cache", "file"), Swap: first("swap"), Usage: m.Usage, MaxUsage: m.MaxUsage,
		Measured: []driver.MemoryField{driver.MemoryRSS, driver.MemoryCache, driver.MemorySwap, driver.MemoryUsageField},
	}
	if _, v1 := m.Stats["rss"]; v1 {
		u.Measured = append(u.Measured, driver.MemoryMaxUsage)
	}
	return u
}
