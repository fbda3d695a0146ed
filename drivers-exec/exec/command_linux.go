package exec

import (
	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/sandbox"
	"github.com/droverhq/drover/sdk/driver"
)

// command composes the process of a task, and makes its cgroup last. The task
// config it returns is the given one with what the driver added to it.
func command(task *driver.TaskConfig, c *taskConfig, cfg config) (*executor.Command, *driver.TaskConfig, error) {
	return sandbox.Compose(task, sandbox.Options{
		Driver: Name, Denied: cfg.denied,
		AllowCaps: cfg.AllowCaps, CapAdd: c.CapAdd, CapDrop: c.CapDrop,
		PIDMode: c.PIDMode, DefaultPIDMode: cfg.DefaultPIDMode, IPCMode: c.IPCMode, DefaultIPCMode: cfg.DefaultIPCMode,
		Chroot: cfg.ChrootEnv, NoPivot: cfg.NoPivotRoot, NoSeccomp: !cfg.Seccomp, NoLandlock: !cfg.Landlock, PIDs: cfg.PIDsLimit, Hidden: cfg.hidden,
		WorkDir: c.WorkDir,
		Program: func(root *launch.Root) (string, []string, error) {
			program, err := isolation.FindCommand(c.Command, root)
			return program, append([]string{c.Command}, c.Args...), err
		},
	})
}
