package agent

import (
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
	if a.node == nil || a.server == nil {
		return nil
	}
	s := a.server.State().Snapshot()
	n := s.Node(a.node.ID())
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
	if a.plugins != nil {
		for _, p := range a.plugins.Plugins() {
			l := map[string]string{"plugin": p.Name, "type": p.Type, "node_id": n.ID}
			up := 0.0
			if p.Healthy {
				up = 1
			}
			out = append(out,
				telemetry.Gauge{Name: "client.plugin.healthy", Labels: l, Value: up},
				telemetry.Gauge{Name: "client.plugin.restarts", Labels: l, Value: float64(p.Restarts)},
				telemetry.Gauge{Name: "client.plugin.tasks", Labels: l, Value: float64(p.TaskCount)})
		}
	}
	return out
}
