package iis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/droverhq/drover/sdk/driver"
)

// errNoUsage: this platform cannot tell.
var errNoUsage = errors.New("the use of processes cannot be measured here")

// Stats adds up the task's worker processes. A site without requests has none.
func (d *Driver) Stats(ctx context.Context, id string) (*driver.TaskStats, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	now, err := d.look(ctx, look)
	if err != nil {
		return nil, err
	}
	stats := &driver.TaskStats{ByPID: map[string]driver.ResourceUsage{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	used := map[string]sample{}
	for _, text := range t.state.pids(now) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		current, err := d.machine.usage(pid)
		if errors.Is(err, errNoUsage) {
			return nil, driver.ErrStatsNotSupported
		}
		if err != nil {
			continue // it has just ended
		}
		next := sample{time.Now(), current}
		stats.ByPID[text] = since(t.used[text], next)
		used[text] = next
	}
	t.used = used
	total := driver.ResourceUsage{CPU: driver.CPUUsage{Measured: measuredCPU()}, Memory: driver.MemoryUsage{Measured: measuredMemory()}}
	for _, u := range stats.ByPID {
		total.CPU.UserMode += u.CPU.UserMode
		total.CPU.SystemMode += u.CPU.SystemMode
		total.CPU.Percent += u.CPU.Percent
		total.Memory.RSS += u.Memory.RSS
		total.Memory.Usage += u.Memory.Usage
	}
	stats.Usage = total
	return stats, nil
}

// since is the use between two samples of one process; the first counts for nothing.
func since(before, now sample) driver.ResourceUsage {
	u := driver.ResourceUsage{
		CPU:    driver.CPUUsage{Measured: measuredCPU()},
		Memory: driver.MemoryUsage{RSS: now.memory, Usage: now.memory, Measured: measuredMemory()},
	}
	passed := now.at.Sub(before.at)
	if before.at.IsZero() || passed <= 0 || now.user < before.user || now.system < before.system {
		return u
	}
	percent := func(d time.Duration) float64 { return 100 * float64(d) / float64(passed) }
	u.CPU.UserMode = percent(now.user - before.user)
	u.CPU.SystemMode = percent(now.system - before.system)
	u.CPU.Percent = u.CPU.UserMode + u.CPU.SystemMode
	return u
}

func measuredCPU() []driver.CPUField {
	return []driver.CPUField{driver.CPUPercent, driver.CPUUserMode, driver.CPUSystemMode}
}

func measuredMemory() []driver.MemoryField {
	return []driver.MemoryField{driver.MemoryRSS, driver.MemoryUsageField}
}
