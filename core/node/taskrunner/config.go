package taskrunner

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/schema"
)

const megabyte = 1_000_000

// taskConfig fills in everything but the driver's own config and the paths of output and control group.
func (r *Runner) taskConfig(alloc *model.Allocation, task *model.Task, env *taskenv.Env) *driver.TaskConfig {
	node := r.cfg.Info()
	group := alloc.Job.Group(alloc.TaskGroup)
	return &driver.TaskConfig{
		ID:          r.stored.TaskID,
		Name:        task.Name,
		TaskGroup:   alloc.TaskGroup,
		JobID:       alloc.Job.ID,
		JobName:     alloc.Job.Name,
		ParentJobID: alloc.Job.ParentID,
		Namespace:   alloc.Namespace,
		AllocID:     alloc.ID,
		NodeName:    node.Name,
		NodeID:      node.ID,
		Env:         env.Vars(),
		Resources:   resources(alloc, task.Name, r.cfg.UsableCompute),
		User:        env.Replace(task.User),
		AllocDir:    r.cfg.Dir.Root(),
		Network:     r.cfg.Network,
		DNS:         dns(group, alloc.NetworkStatus, env),
	}
}

// resources are the allocation's in the units drivers want.
func resources(alloc *model.Allocation, task string, usableMHz int64) driver.Resources {
	var res driver.Resources
	if alloc.AllocatedResources == nil {
		return res
	}
	for _, p := range alloc.AllocatedResources.Shared.Ports {
		res.Ports = append(res.Ports, driver.Port{Label: p.Label, Value: p.Value, To: p.To, HostIP: p.HostIP})
	}
	t := alloc.AllocatedResources.Tasks[task]
	if t == nil {
		return res
	}
	res.CPUShares = t.Cpu.CpuShares
	res.MemoryMB, res.MemoryMaxMB = t.Memory.MemoryMB, t.Memory.MemoryMaxMB
	res.Linux.CPUShares = t.Cpu.CpuShares
	res.Linux.MemoryLimitBytes = max(t.Memory.MemoryMB, t.Memory.MemoryMaxMB) << 20
	res.Linux.CpusetCpus = cpuset(t.Cpu.ReservedCores)
	if usableMHz > 0 {
		res.Linux.PercentTicks = float64(t.Cpu.CpuShares) / float64(usableMHz)
	}
	for _, n := range t.Networks {
		res.Networks = append(res.Networks, driver.Network{
			Device: n.Device, CIDR: n.CIDR, IP: n.IP, MBits: n.MBits,
			ReservedPorts: networkPorts(n.ReservedPorts), DynamicPorts: networkPorts(n.DynamicPorts),
		})
	}
	return res
}

func networkPorts(ports []model.Port) []driver.NetworkPort {
	var out []driver.NetworkPort
	for _, p := range ports {
		out = append(out, driver.NetworkPort{Label: p.Label, Value: p.Value})
	}
	return out
}

func cpuset(cores []uint16) string {
	ids := slices.Sorted(slices.Values(cores))
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = strconv.Itoa(int(id))
	}
	return strings.Join(text, ",")
}

func reservedCores(alloc *model.Allocation, task string) []uint16 {
	if alloc.AllocatedResources == nil || alloc.AllocatedResources.Tasks[task] == nil {
		return nil
	}
	return alloc.AllocatedResources.Tasks[task].Cpu.ReservedCores
}

// dns is what the group asks for, else what its network came with.
func dns(group *model.TaskGroup, status *model.AllocNetworkStatus, env *taskenv.Env) *driver.DNS {
	for _, n := range group.Networks {
		if n.DNS != nil {
			return &driver.DNS{Servers: env.ReplaceAll(n.DNS.Servers), Searches: env.ReplaceAll(n.DNS.Searches), Options: env.ReplaceAll(n.DNS.Options)}
		}
	}
	if status != nil && status.DNS != nil {
		return &driver.DNS{Servers: status.DNS.Servers, Searches: status.DNS.Searches, Options: status.DNS.Options}
	}
	return nil
}

func variables(env *taskenv.Env) *schema.Variables {
	return &schema.Variables{Env: env.Vars(), Node: env.Node()}
}

// dirsFor are the task's directories as the task sees them.
func (r *Runner) dirsFor(task string, isolation driver.FSIsolation) taskenv.Dirs {
	switch isolation {
	case driver.FSChroot, driver.FSImage:
		return taskenv.Dirs{Alloc: insideRoot + "alloc", Task: insideRoot + "local", Secrets: insideRoot + "secrets"}
	}
	return taskenv.Dirs{Alloc: r.cfg.Dir.Shared(), Task: r.cfg.Dir.Local(task), Secrets: r.cfg.Dir.Secrets(task)}
}

// streams of a task.
var streams = [...]string{"stdout", "stderr"}

func streamID(allocID, task, stream string) string { return allocID + "/" + task + "/" + stream }

// openLogs has the task's output collected and returns where the task has to write. It may be called again for a task
// that runs.
func (r *Runner) openLogs(ctx context.Context, caps driver.Capabilities) (stdout, stderr string, err error) {
	alloc, task := r.spec()
	if r.cfg.Logs == nil || (task.LogConfig != nil && task.LogConfig.Disabled) {
		return os.DevNull, os.DevNull, nil
	}
	var paths [len(streams)]string
	for i, stream := range streams {
		paths[i] = fifoPath(r.cfg.Dir.Logs(), task.Name, stream, alloc.ID)
		if caps.DisableLogCollection {
			continue
		}
		s := tasklog.Stream{
			ID: streamID(alloc.ID, task.Name, stream), FIFO: paths[i], Dir: r.cfg.Dir.Logs(), Prefix: task.Name + "." + stream,
		}
		if lc := task.LogConfig; lc != nil {
			s.MaxFiles, s.MaxFileSize = lc.MaxFiles, int64(lc.MaxFileSizeMB)*megabyte
		}
		if err := r.cfg.Logs.OpenStream(ctx, s); err != nil {
			return "", "", fmt.Errorf("collect %s of task %s: %w", stream, task.Name, err)
		}
	}
	return paths[0], paths[1], nil
}

// closeLogs waits until everything the task printed is in its files.
func (r *Runner) closeLogs(ctx context.Context) {
	if r.cfg.Logs == nil {
		return
	}
	for _, stream := range streams {
		if err := r.cfg.Logs.CloseStream(ctx, streamID(r.cfg.Alloc.ID, r.cfg.Task.Name, stream)); err != nil {
			r.logger.Warn("log stream not closed", "stream", stream, "error", err)
		}
	}
}
