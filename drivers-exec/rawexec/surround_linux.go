package rawexec

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
)

func networkModes() []driver.NetworkMode {
	return []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup}
}

// describe adds what the node offers for finding and killing a task's
// processes.
func describe(f *driver.Fingerprint) {
	host, err := cgroup.Detect()
	if err == nil {
		err = host.Usable()
	}
	if err != nil {
		f.Attributes["driver."+Name+".cgroups"] = attribute.Text("none")
		f.Description = "Healthy; without cgroups (" + err.Error() + ") a task's processes are found by their session"
		return
	}
	f.Attributes["driver."+Name+".cgroups"] = attribute.Text(host.Version())
}

// surround sets user, network and cgroup of a task. The cgroup is for
// accounting and for killing all of the task; it limits nothing.
func surround(cmd *executor.Command, task *driver.TaskConfig, c *taskConfig, config config) error {
	if task.User != "" {
		a, err := executor.LookupUser(task.User, config.denied)
		if err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			cmd.Spec.User = &a.User
		}
	}
	if n := task.Network; n != nil {
		cmd.Spec.NetNS = n.Path
	}
	cmd.Spec.NoFile = executor.InheritedNoFile()
	group, err := makeGroup(task, c)
	cmd.Group = group
	return err
}

func makeGroup(task *driver.TaskConfig, c *taskConfig) (cgroup.Group, error) {
	host, err := cgroup.Detect()
	if err != nil {
		return cgroup.Group{}, err
	}
	if c.CgroupV2Override != "" || len(c.CgroupV1Override) > 0 {
		return override(host, c)
	}
	g, err := host.Create(executor.GroupName(task.ID), cgroup.Limits{}, task.Resources.Linux.CpusetCgroup)
	if err != nil && os.Geteuid() != 0 {
		return cgroup.Group{}, nil // the fingerprint says so
	}
	return g, err
}

// override places a task into groups that the job names.
func override(host cgroup.Host, c *taskConfig) (cgroup.Group, error) {
	if c.CgroupV2Override != "" && len(c.CgroupV1Override) > 0 {
		return cgroup.Group{}, errors.New("cgroup_v1_override and cgroup_v2_override exclude each other")
	}
	unified := c.CgroupV2Override
	if unified != "" && !filepath.IsAbs(unified) {
		if host.Unified == "" {
			return cgroup.Group{}, fmt.Errorf("cgroup_v2_override %q: this node has no cgroup version 2", unified)
		}
		unified = filepath.Join(host.Unified, unified)
	}
	v1 := maps.Clone(map[string]string(c.CgroupV1Override))
	for controller, dir := range v1 {
		if !filepath.IsAbs(dir) {
			base := host.V1[controller]
			if base == "" {
				return cgroup.Group{}, fmt.Errorf("cgroup_v1_override: this node has no version 1 controller %q", controller)
			}
			v1[controller] = filepath.Join(base, dir)
		}
	}
	for _, dir := range append([]string{unified}, values(v1)...) {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
			return cgroup.Group{}, fmt.Errorf("cgroup override %s is no cgroup: %w", dir, err)
		}
	}
	return cgroup.Override(unified, v1), nil
}

func values(m map[string]string) (list []string) {
	for _, v := range m {
		list = append(list, v)
	}
	return list
}
