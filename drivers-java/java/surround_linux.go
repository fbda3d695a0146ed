package java

import (
	"os"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/sandbox"
	"github.com/droverhq/drover/sdk/driver"
)

// isolates reports whether tasks of this driver see only what is theirs.
func isolates() bool { return os.Geteuid() == 0 && isolation.Supported() == nil }

func networkModes() []driver.NetworkMode {
	return []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup}
}

// describe adds to a fingerprint what stands in the way of isolation and
// limits.
func describe(f *driver.Fingerprint, cfg config) {
	if os.Geteuid() != 0 {
		f.Description = "Healthy; without root, tasks are neither isolated nor limited"
		return
	}
	if err := isolation.Supported(); err != nil {
		f.Health, f.Description = driver.Unhealthy, "tasks cannot be isolated: "+err.Error()
		return
	}
	sandbox.Describe(f, Name, !cfg.Seccomp, !cfg.Landlock)
}

// command composes the JVM of a task, and makes its cgroup last. The task
// config it returns is the given one with what the driver added to it.
func (d *Driver) command(req *driver.StartRequest[taskConfig], j *jvm) (*executor.Command, *driver.TaskConfig, error) {
	if os.Geteuid() == 0 {
		return isolated(req, j, d.configured())
	}
	cmd, err := plain(req, j)
	if err != nil {
		return nil, nil, err
	}
	if name := req.Task.User; name != "" {
		if _, err := executor.LookupUser(name, executor.Denied{}); err != nil {
			return nil, nil, err
		}
	}
	if n := req.Task.Network; n != nil {
		cmd.Spec.NetNS = n.Path
	}
	cmd.Spec.NoFile = executor.InheritedNoFile()
	if hierarchies, err := cgroup.Detect(); err == nil {
		// Without root this works where the agent was given a cgroup of its
		// own; the fingerprint says what it means if not.
		cmd.Group, _ = hierarchies.Create(executor.GroupName(req.Task.ID), cgroup.Limits{}, req.Task.Resources.Linux.CpusetCgroup)
	}
	return cmd, nil, nil
}
