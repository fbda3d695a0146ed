package node

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/droverhq/drover/core/node/allocrunner"
)

// ended is an allocation that could be collected.
type ended struct {
	id     string
	at     time.Time
	runner *allocrunner.Runner
}

// pressure is why something has to go.
type pressure struct {
	diskUsed, inodesUsed float64 // percent
}

// collectable picks what to delete, oldest first: what exceeds the number to keep, and while the disk is too full
// everything, one after the other until it is not. Running allocations do not count against the limit.
func collectable(over []ended, limits GC, p pressure) (now []ended, whileFull []ended) {
	over = slices.Clone(over)
	slices.SortFunc(over, func(a, b ended) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	excess := max(0, len(over)-limits.MaxAllocs)
	now, rest := over[:excess], over[excess:]
	if p.diskUsed > limits.DiskUsagePercent || p.inodesUsed > limits.InodeUsagePercent {
		whileFull = rest
	}
	return now, whileFull
}

// collect deletes what ended allocations left, every interval and when one ended.
func (n *Node) collect(ctx context.Context) {
	tick := time.NewTicker(n.cfg.GC.Interval)
	defer tick.Stop()
	for {
		full := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			full = true
		case <-n.gcWake:
		}
		var p pressure
		if full {
			p = n.diskPressure()
		}
		now, whileFull := collectable(n.overNow(), n.cfg.GC, p)
		n.collectAll(ctx, now)
		for _, e := range whileFull {
			n.logger.Info("disk is filling up, removing an ended allocation", "alloc", e.id, "disk_percent", p.diskUsed, "inodes_percent", p.inodesUsed)
			n.collectAll(ctx, []ended{e})
			if p = n.diskPressure(); p.diskUsed <= n.cfg.GC.DiskUsagePercent && p.inodesUsed <= n.cfg.GC.InodeUsagePercent {
				break
			}
		}
	}
}

func (n *Node) overNow() []ended {
	var out []ended
	for _, r := range n.runnersNow() {
		if !r.IsOver() {
			continue
		}
		e := ended{id: r.ID(), runner: r}
		for _, t := range r.Tasks() {
			if at := t.State().FinishedAt; at.After(e.at) {
				e.at = at
			}
		}
		out = append(out, e)
	}
	return out
}

func (n *Node) collectAll(ctx context.Context, list []ended) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, n.cfg.GC.ParallelDestroys)
	for _, e := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := n.removeReported(ctx, e.runner); err != nil && ctx.Err() == nil {
				n.logger.Error("ended allocation not removed", "alloc", e.id, "error", err)
			}
		})
	}
	wg.Wait()
}

// removeReported removes an ended allocation, but not before the servers have heard how it ended.
func (n *Node) removeReported(ctx context.Context, r *allocrunner.Runner) error {
	if n.send.waiting(r.ID()) {
		return nil // next time
	}
	return n.remove(ctx, r)
}

func (n *Node) diskPressure() pressure {
	u, err := disk.Usage(n.cfg.AllocDir)
	if err != nil {
		n.logger.Warn("disk usage unknown", "error", err)
		return pressure{}
	}
	return pressure{u.UsedPercent, u.InodesUsedPercent}
}
