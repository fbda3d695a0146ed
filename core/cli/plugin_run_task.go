package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/host/onenode"
	"github.com/droverhq/drover/sdk/schema"
)

// prepare makes the task's place on this machine and its config as an agent would.
func (r *loneRun) prepare(ctx context.Context, d *host.Driver) (*onenode.Task, error) {
	capabilities, err := d.Capabilities(ctx)
	if err != nil {
		return nil, err
	}
	spec, err := d.TaskConfigSchema(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := r.ports()
	if err != nil {
		return nil, err
	}
	res := r.task.Resources
	t, err := onenode.NewTask(r.dir, onenode.TaskSpec{
		Name: r.task.Name, User: r.task.User, CPUShares: int64(res.CPU), MemoryMB: int64(res.MemoryMB), Isolation: capabilities.FSIsolation,
	}, r.stdout, r.stderr)
	if err != nil {
		return nil, err
	}
	c := &t.Config
	c.TaskGroup, c.JobID, c.JobName, c.Namespace = r.group.Name, r.job.ID, r.job.Name, r.job.Namespace
	c.Resources.MemoryMaxMB = int64(res.MemoryMaxMB)
	for _, p := range ports {
		c.Resources.Ports = append(c.Resources.Ports, driver.Port{Label: p.Label, Value: p.Value, To: p.To, HostIP: p.HostIP})
	}
	env := r.environment(c, capabilities.FSIsolation, ports)
	c.Env, c.User = env.Vars(), env.Replace(r.task.User)
	if spec == nil {
		return t, nil
	}
	if c.DriverConfig, err = spec.Encode(r.task.Config, &schema.Variables{Env: c.Env, Node: env.Node()}); err != nil {
		t.Remove()
		return nil, fmt.Errorf("config of task %s: %w", r.task.Name, err)
	}
	return t, nil
}

// environment is the task's as agents build it. What onenode made of the directories holds.
func (r *loneRun) environment(c *driver.TaskConfig, isolation driver.FSIsolation, ports []model.AllocatedPort) *taskenv.Env {
	hostname, _ := os.Hostname()
	in := taskenv.Input{
		Node:   &model.Node{ID: c.NodeID, Name: hostname, Datacenter: "dc1"},
		Region: "global",
		Alloc: &model.Allocation{ID: c.AllocID, Name: r.job.ID + "." + r.group.Name + "[0]", Namespace: r.job.Namespace, TaskGroup: r.group.Name,
			AllocatedResources: &model.AllocatedResources{
				Tasks: map[string]*model.AllocatedTaskResources{r.task.Name: {
					Cpu:    model.AllocatedCpu{CpuShares: c.Resources.CPUShares},
					Memory: model.AllocatedMemory{MemoryMB: c.Resources.MemoryMB, MemoryMaxMB: c.Resources.MemoryMaxMB},
				}},
				Shared: model.AllocatedSharedResources{Ports: ports},
			}},
		Job: r.job, Task: r.task,
		Dirs: taskenv.Dirs{Alloc: c.Env["DROVER_ALLOC_DIR"], Task: c.Env["DROVER_TASK_DIR"], Secrets: c.Env["DROVER_SECRETS_DIR"]},
	}
	if isolation != driver.FSImage {
		in.HostEnv = map[string]string{}
		for _, e := range os.Environ() {
			k, v, _ := strings.Cut(e, "=")
			in.HostEnv[k] = v
		}
	}
	return taskenv.Build(in)
}

// ports gives the group's ports numbers: those it asks for, and free ones of this machine for the others.
func (r *loneRun) ports() ([]model.AllocatedPort, error) {
	const address = "127.0.0.1"
	var ports []model.AllocatedPort
	for _, n := range r.group.Networks {
		for _, p := range n.ReservedPorts {
			ports = append(ports, model.AllocatedPort{Label: p.Label, Value: p.Value, To: p.To, HostIP: address})
		}
		for _, p := range n.DynamicPorts {
			l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
			if err != nil {
				return nil, fmt.Errorf("find a free port for %q: %w", p.Label, err)
			}
			ports = append(ports, model.AllocatedPort{Label: p.Label, Value: l.Addr().(*net.TCPAddr).Port, To: max(p.To, 0), HostIP: address})
			l.Close() // the next one that asks gets another, as the system does not give the same twice in a row
		}
	}
	return ports, nil
}
