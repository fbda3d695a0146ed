// Package sandbox composes the process of an isolated task for the drivers that isolate: whom it runs as, what it sees,
// what it may do and what it may use. What runs is the driver's to say.
package sandbox

import (
	"fmt"
	"maps"
	"path"

	"golang.org/x/sys/unix"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/seccomp"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
)

// defaultUser runs tasks that name none.
const defaultUser = "nobody"

// Options are what an operator and a job say about a task's isolation.
type Options struct {
	Driver string // whose keeper it is
	Denied executor.Denied

	AllowCaps, CapAdd, CapDrop     []string
	PIDMode, DefaultPIDMode        string
	IPCMode, DefaultIPCMode        string
	Chroot                         map[string]string
	NoPivot, NoSeccomp, NoLandlock bool
	WorkDir                        string
	PIDs                           int64 // processes and threads; 0 = no limit
	Hidden                         *isolation.Hidden
	// Program finds what to run in the finished root: its path there and its complete argument vector.
	Program func(root *launch.Root) (path string, args []string, err error)
}

// Compose makes the command of a task, and its cgroup last. The task config it returns is the given one with what was
// added to it.
func Compose(task *driver.TaskConfig, o Options) (*executor.Command, *driver.TaskConfig, error) {
	name := task.User
	if name == "" {
		name = defaultUser
	}
	account, err := executor.LookupUser(name, o.Denied)
	if err != nil {
		return nil, nil, err
	}
	caps, err := isolation.Capabilities(o.AllowCaps, o.CapAdd, o.CapDrop)
	if err != nil {
		return nil, nil, err
	}
	namespaces := launch.Namespaces{Mount: true}
	if namespaces.PID, err = isolation.IsPrivate("pid_mode", o.PIDMode, o.DefaultPIDMode); err != nil {
		return nil, nil, err
	}
	if namespaces.IPC, err = isolation.IsPrivate("ipc_mode", o.IPCMode, o.DefaultIPCMode); err != nil {
		return nil, nil, err
	}
	if o.WorkDir != "" && !path.IsAbs(o.WorkDir) {
		return nil, nil, fmt.Errorf("work_dir %q must be an absolute path inside the task's root", o.WorkDir)
	}
	root, err := isolation.Root(isolation.View{Chroot: o.Chroot, Task: task, User: account.User, Hidden: o.Hidden, NoPivot: o.NoPivot})
	if err != nil {
		return nil, nil, err
	}
	program, args, err := o.Program(root)
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
		ID: task.ID, Dir: executor.KeeperDir(o.Driver, task.AllocDir),
		Stdout: task.StdoutPath, Stderr: task.StderrPath,
		Spec: launch.Spec{
			Path: program, Args: args, Env: env, Dir: o.WorkDir,
			Namespaces: namespaces, Root: root,
			User: &account.User, Capabilities: &caps, NoNewPrivileges: true,
			NoFile: executor.InheritedNoFile(),
		},
	}
	if !o.NoSeccomp {
		cmd.Spec.Seccomp = seccomp.Default(caps)
	}
	// A task that may mount would be kept from it: it is trusted with more than files.
	if abi := landlock(); abi > 0 && !o.NoLandlock && caps&(1<<unix.CAP_SYS_ADMIN) == 0 {
		cmd.Spec.Landlock = &launch.Landlock{ABI: abi, Write: isolation.Writable(root, o.Chroot)}
	}
	if n := task.Network; n != nil {
		cmd.Spec.NetNS = n.Path
	}
	hierarchies, err := cgroup.Detect()
	if err != nil {
		return nil, nil, err
	}
	limits := isolation.Limits(&task.Resources)
	limits.PIDs = o.PIDs
	if limits.Devices, err = isolation.Access(task.Devices); err != nil {
		return nil, nil, err
	}
	cmd.Group, err = hierarchies.Create(executor.GroupName(task.ID), limits, task.Resources.Linux.CpusetCgroup)
	return cmd, &changed, err
}

// landlock is the version of the kernel's Landlock, 0 if it has none that is of use.
func landlock() int {
	if abi := launch.LandlockABI(); abi >= 2 {
		return abi
	}
	return 0
}

// Describe adds to a fingerprint how tasks are held: below driver.<name>, cgroups is the version, seccomp whether system
// calls are filtered, landlock whether the kernel confines writing besides.
func Describe(f *driver.Fingerprint, name string, noSeccomp, noLandlock bool) {
	if f.Attributes == nil {
		f.Attributes = map[string]attribute.Value{}
	}
	filtered := !noSeccomp && seccomp.Supported() == nil
	f.Attributes["driver."+name+".seccomp"] = attribute.Truth(filtered)
	f.Attributes["driver."+name+".landlock"] = attribute.Truth(!noLandlock && landlock() > 0)
	hierarchies, err := cgroup.Detect()
	if err == nil {
		err = hierarchies.Usable()
	}
	if err != nil {
		f.Health, f.Description = driver.Unhealthy, "tasks cannot be limited: "+err.Error()
		return
	}
	f.Attributes["driver."+name+".cgroups"] = attribute.Text(hierarchies.Version())
}
