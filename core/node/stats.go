package node

import (
	"context"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/driver"
)

// sampleWait bounds how long a driver may take for one sample: some send their first after a whole interval.
const sampleWait = 5 * time.Second

// allocStats asks the drivers of an allocation's running tasks, at the same time.
func (n *Node) allocStats(ctx context.Context, q *rpc.AllocStatsRequest) (*rpc.AllocStatsResponse, error) {
	r, err := n.find(q.AllocID)
	if err != nil {
		return nil, err
	}
	tasks, alloc := r.Tasks(), r.Alloc()
	if q.Task != "" {
		t := tasks[q.Task]
		if t == nil {
			return nil, rpc.Errorf(rpc.ErrInvalid, "unknown task name %q", q.Task)
		}
		tasks = map[string]*taskrunner.Runner{q.Task: t}
	}
	devices := n.cfg.Plugins.DeviceStats()
	ctx, cancel := context.WithTimeout(ctx, sampleWait)
	defer cancel()
	resp := &rpc.AllocStatsResponse{ResourceUsage: emptyUsage(), Tasks: map[string]*rpc.TaskUsage{}, Timestamp: time.Now().UnixNano()}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, t := range tasks {
		if t.State().State != model.TaskRunning {
			continue
		}
		wg.Go(func() {
			sample, err := t.Stats(ctx)
			if err != nil {
				n.logger.Debug("no statistics", "alloc", q.AllocID, "task", name, "error", err)
				return
			}
			usage := taskUsage(sample)
			usage.ResourceUsage.DeviceStats = deviceStats(devices, heldBy(alloc, name))
			mu.Lock()
			defer mu.Unlock()
			resp.Tasks[name] = usage
			addUsage(resp.ResourceUsage, usage.ResourceUsage)
		})
	}
	wg.Wait()
	return resp, nil
}

func emptyUsage() *rpc.ResourceUsage {
	return &rpc.ResourceUsage{MemoryStats: &rpc.MemoryStats{}, CpuStats: &rpc.CpuStats{}, DeviceStats: []*rpc.DeviceGroupStats{}}
}

func taskUsage(s *driver.TaskStats) *rpc.TaskUsage {
	at := s.Timestamp
	if at.IsZero() {
		at = time.Now()
	}
	u := &rpc.TaskUsage{ResourceUsage: resourceUsage(s.Usage), Timestamp: at.UnixNano(), Pids: map[string]*rpc.ResourceUsage{}}
	for pid, p := range s.ByPID {
		u.Pids[pid] = resourceUsage(p)
	}
	return u
}

func resourceUsage(u driver.ResourceUsage) *rpc.ResourceUsage {
	out := &rpc.ResourceUsage{
		DeviceStats: []*rpc.DeviceGroupStats{},
		MemoryStats: &rpc.MemoryStats{
			RSS: u.Memory.RSS, Cache: u.Memory.Cache, Swap: u.Memory.Swap, Usage: u.Memory.Usage, MaxUsage: u.Memory.MaxUsage,
			KernelUsage: u.Memory.KernelUsage, KernelMaxUsage: u.Memory.KernelMaxUsage, Measured: []string{},
		},
		CpuStats: &rpc.CpuStats{
			SystemMode: u.CPU.SystemMode, UserMode: u.CPU.UserMode, TotalTicks: u.CPU.TotalTicks, Percent: u.CPU.Percent,
			ThrottledPeriods: u.CPU.ThrottledPeriods, ThrottledTime: u.CPU.ThrottledTime, Measured: []string{},
		},
	}
	for _, f := range u.Memory.Measured {
		out.MemoryStats.Measured = append(out.MemoryStats.Measured, f.String())
	}
	for _, f := range u.CPU.Measured {
		out.CpuStats.Measured = append(out.CpuStats.Measured, f.String())
	}
	return out
}

// addUsage sums up tasks; Measured names what any of them measured.
func addUsage(sum, u *rpc.ResourceUsage) {
	m, um := sum.MemoryStats, u.MemoryStats
	m.RSS += um.RSS
	m.Cache += um.Cache
	m.Swap += um.Swap
	m.Usage += um.Usage
	m.MaxUsage += um.MaxUsage
	m.KernelUsage += um.KernelUsage
	m.KernelMaxUsage += um.KernelMaxUsage
	m.Measured = union(m.Measured, um.Measured)
	c, uc := sum.CpuStats, u.CpuStats
	c.SystemMode += uc.SystemMode
	c.UserMode += uc.UserMode
	c.TotalTicks += uc.TotalTicks
	c.Percent += uc.Percent
	c.ThrottledPeriods += uc.ThrottledPeriods
	c.ThrottledTime += uc.ThrottledTime
	c.Measured = union(c.Measured, uc.Measured)
	sum.DeviceStats = append(sum.DeviceStats, u.DeviceStats...)
}

func union(a, b []string) []string {
	for _, s := range b {
		found := false
		for _, have := range a {
			found = found || have == s
		}
		if !found {
			a = append(a, s)
		}
	}
	return a
}
