package exec

import (
	"fmt"
	"maps"
	"path"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/sdk/driver"
)

// defaultUser runs tasks that name none.
const defaultUser = "nobody"

// command composes the process of a task, and makes its cgroup last. The task
// config it returns is the given one with what the driver added to it.
func command(task *driver.TaskConfig, c *taskConfig, cfg config) (*executor.Command, *driver.TaskConfig, error) {
	name := task.User
	if name == "" {
		name = defaultUser
	}
	account, err := executor.LookupUser(name, cfg.denied)
	if err != nil {
		return nil, nil, err
	}
	caps, err := isolation.Capabilities(cfg.AllowCaps, c.CapAdd, c.CapDrop)
	if err != nil {
		return nil, nil, err
	}
	namespaces := launch.Namespaces{Mount: true}
	if namespaces.PID, err = isolation.IsPrivate("pid_mode", c.PIDMode, cfg.DefaultPIDMode); err != nil {
		return nil, nil, err
	}
	if namespaces.IPC, err = isolation.IsPrivate("ipc_mode", c.IPCMode, cfg.DefaultIPCMode); err != nil {
		return nil, nil, err
	}
	if c.WorkDir != "" && !path.IsAbs(c.WorkDir) {
		return nil, nil, fmt.Errorf("work_dir %q must be an absolute path inside the task's root", c.WorkDir)
	}
	root, err := isolation.Root(isolation.View{Chroot: cfg.ChrootEnv, Task: task, NoPivot: cfg.NoPivotRoot})
	if err != nil {
		return nil, nil, err
	}
	program, err := isolation.FindCommand(c.Command, root)
	if err != nil {
		return nil, nil, err
	}
	changed := *task
	changed.Env = maps.Clone(task.Env)
	if changed.Env == nil {
		changed.Env = map[string]string{}
	}
	changed.Env["USER"], changed.Env["LOGNAME"], changed.Env["HOME"] = account.Name, account.Name, account.Home
	env, err := executor.Environ(changed.Env)
	if err != nil {
		return nil, nil, err
	}
	cmd := &executor.Command{
		ID: task.ID, Dir: executor.KeeperDir(Name, task.AllocDir),
		Stdout: task.StdoutPath, Stderr: task.StderrPath,
		Spec: launch.Spec{
			Path: program, Args: append([]string{c.Command}, c.Args...), Env: env, Dir: c.WorkDir,
			Namespaces: namespaces, Root: root,
			User: &account.User, Capabilities: &caps, NoNewPrivileges: true,
			NoFile: executor.InheritedNoFile(),
		},
	}
	if n := task.Network; n != nil {
		cmd.Spec.NetNS = n.Path
	}
	hierarchies, err := cgroup.Detect()
	if err != nil {
		return nil, nil, err
	}
	cmd.Group, err = hierarchies.Create(executor.GroupName(task.ID), isolation.Limits(&task.Resources), task.Resources.Linux.CpusetCgroup)
	return cmd, &changed, err
}
