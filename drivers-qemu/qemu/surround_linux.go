package qemu

import (
	"fmt"
	"os"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/sdk/driver"
)

// surround sets user, network and cgroup of QEMU's process. The cgroup weighs
// its processor time; memory is bounded by the machine's own size.
func surround(cmd *executor.Command, task *driver.TaskConfig, m *machine) error {
	if task.User != "" {
		a, err := executor.LookupUser(task.User, executor.Denied{})
		if err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			cmd.Spec.User = &a.User
			if err := giveSeed(m, int(a.UID), int(a.GID)); err != nil {
				return err
			}
		}
	}
	if n := task.Network; n != nil {
		cmd.Spec.NetNS = n.Path
	}
	cmd.Spec.NoFile = executor.InheritedNoFile()
	host, err := cgroup.Detect()
	if err == nil {
		limits := cgroup.Limits{CPUShares: uint64(max(task.Resources.CPUShares, 0)), CPUs: task.Resources.Linux.CpusetCpus}
		cmd.Group, err = host.Create(executor.GroupName(task.ID), limits, task.Resources.Linux.CpusetCgroup)
	}
	if err != nil && os.Geteuid() != 0 {
		cmd.Group = cgroup.Group{}
		return nil // processes are found by their session then
	}
	return err
}

// giveSeed hands the seed to the user that QEMU runs as.
func giveSeed(m *machine, uid, gid int) error {
	for _, d := range m.Drives {
		if d.ID != seedID {
			continue
		}
		if err := os.Lchown(d.Image.Path, uid, gid); err != nil {
			return fmt.Errorf("nocloud: give the seed to the task's user: %w", err)
		}
	}
	return nil
}
