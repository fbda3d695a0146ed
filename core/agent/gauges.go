package agent

import (
	"fmt"
	"maps"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/telemetry"
)

// serverGauges are counted from state when they are asked for; only the leader has them.
func (a *Agent) serverGauges() []telemetry.Gauge {
	if a.server == nil || !a.server.IsLeader() {
		return nil
	}
	s := a.server.State().Snapshot()
	status := map[string]float64{model.JobStatusPending: 0, model.JobStatusRunning: 0, model.JobStatusDead: 0}
	var out []telemetry.Gauge
	for j := range s.Jobs("*", "") {
		status[j.Status]++
		sum := s.JobSummary(j.Namespace, j.ID)
		if sum == nil {
			continue
		}
		for group, g := range sum.Summary {
			labels := map[string]string{"job": j.ID, "namespace": j.Namespace, "task_group": group}
			for name, n := range map[string]int{"queued": g.Queued, "complete": g.Complete, "failed": g.Failed, "running": g.Running,
				"starting": g.Starting, "lost": g.Lost, "unknown": g.Unknown} {
				out = append(out, telemetry.Gauge{Name: "nomad.job_summary." + name, Labels: labels, Value: float64(n)})
			}
		}
	}
	for name, n := range status {
		out = append(out, telemetry.Gauge{Name: "nomad.job_status." + name, Value: n})
	}
	return out
}

// nodeGauges describe what the node has and gave away.
func (a *Agent) nodeGauges() []telemetry.Gauge {
	if a.NodeID() == "" || a.server == nil {
		return nil
	}
	s := a.server.State().Snapshot()
	n := s.Node(a.NodeID())
	if n == nil || n.NodeResources == nil {
		return nil
	}
	labels := map[string]string{"node_id": n.ID, "datacenter": n.Datacenter, "node_class": n.NodeClass, "node_pool": n.NodePool}
	states := map[string]float64{model.AllocClientPending: 0, model.AllocClientRunning: 0, "terminal": 0}
	tasks := map[string]float64{model.TaskPending: 0, model.TaskRunning: 0, model.TaskDead: 0}
	var cpu, memory, disk int64
	for _, al := range s.AllocsByNode(n.ID) {
		for _, t := range al.TaskStates {
			tasks[t.State]++
		}
		if al.ClientTerminal() {
			states["terminal"]++
			continue
		}
		states[al.ClientStatus]++
		if al.AllocatedResources != nil {
			c := al.AllocatedResources.Comparable()
			cpu, memory, disk = cpu+c.CPUShares, memory+c.MemoryMB, disk+c.DiskMB
		}
	}
	out := []telemetry.Gauge{
		{Name: "client.allocated.cpu", Labels: labels, Value: float64(cpu)},
		{Name: "client.allocated.memory", Labels: labels, Value: float64(memory)},
		{Name: "client.allocated.disk", Labels: labels, Value: float64(disk)},
		{Name: "client.unallocated.cpu", Labels: labels, Value: float64(n.NodeResources.Cpu.CpuShares - cpu)},
		{Name: "client.unallocated.memory", Labels: labels, Value: float64(n.NodeResources.Memory.MemoryMB - memory)},
		{Name: "client.unallocated.disk", Labels: labels, Value: float64(n.NodeResources.Disk.DiskMB - disk)},
		{Name: "client.uptime", Labels: labels, Value: time.Since(a.started).Seconds()},
	}
	for name, v := range states {
		out = append(out, telemetry.Gauge{Name: "client.allocations." + name, Labels: labels, Value: v})
	}
	for name, v := range tasks {
		out = append(out, telemetry.Gauge{Name: "client.tasks." + name, Labels: labels, Value: v})
	}
	if plugins := a.plugins.Load(); plugins != nil {
		out = append(out, pluginGauges(n.ID, plugins.Measured())...)
	}
	return out
}

// pluginGauges describe each plugin, by generation: two of them live side by side while one takes over.
func pluginGauges(nodeID string, plugins []*model.PluginInfo) []telemetry.Gauge {
	var out []telemetry.Gauge
	for _, p := range plugins {
		labels := map[string]string{"plugin": p.Name, "type": p.Type, "file": p.File, "generation": fmt.Sprint(p.Generation), "node_id": nodeID}
		gauge := func(name string, v float64) {
			out = append(out, telemetry.Gauge{Name: "client.plugin." + name, Labels: labels, Value: v})
		}
		healthy := 0.0
		if p.Healthy {
			healthy = 1
		}
		gauge("healthy", healthy)
		gauge("tasks", float64(p.TaskCount))
		out = append(out, telemetry.Gauge{Name: "client.plugin.restarts", Labels: labels, Value: float64(p.Restarts), Counter: true})
		if p.Usage == nil {
			continue
		}
		gauge("memory_bytes", float64(p.Usage.MemoryBytes))
		out = append(out, telemetry.Gauge{Name: "client.plugin.task_events_dropped", Labels: labels, Value: float64(p.Usage.EventsDropped), Counter: true})
		for _, c := range p.Usage.Methods {
			labels := maps.Clone(labels)
			labels["method"] = c.Method
			for name, v := range map[string]float64{"calls": float64(c.Calls), "errors": float64(c.Errors), "timeouts": float64(c.Timeouts),
				"refused": float64(c.Refused), "call_seconds": c.Seconds} {
				out = append(out, telemetry.Gauge{Name: "client.plugin." + name, Labels: labels, Value: v, Counter: true})
			}
			out = append(out, telemetry.Gauge{Name: "client.plugin.in_flight", Labels: labels, Value: float64(c.InFlight)},
				telemetry.Gauge{Name: "client.plugin.slowest_call_seconds", Labels: labels, Value: c.Slowest})
		}
	}
	return out
}
