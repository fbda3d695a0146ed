package java

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"strings"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/sdk/driver"
)

// defaultUser runs tasks that name none.
const defaultUser = "nobody"

// isolated composes a JVM in namespaces of its own, in a root made of the
// host's programs and the task's directories, and makes its cgroup last.
func isolated(req *driver.StartRequest[taskConfig], j *jvm, cfg config) (*executor.Command, *driver.TaskConfig, error) {
	task, c := req.Task, &req.Config
	name := task.User
	if name == "" {
		name = defaultUser
	}
	account, err := executor.LookupUser(name, executor.Denied{})
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
	root, err := isolation.Root(isolation.View{Chroot: cfg.ChrootEnv, Task: task, NoPivot: cfg.NoPivotRoot})
	if err != nil {
		return nil, nil, err
	}
	if _, err := isolation.FindCommand(j.Path, root); err != nil {
		return nil, nil, fmt.Errorf("the node's Java is %s, which tasks do not see: add its directory to the plugin's chroot_env: %w", j.Path, err)
	}
	if err := findJar(c, root); err != nil {
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
			Path: j.Path, Args: arguments(memoryOptions(j, &task.Resources), c), Env: env, Dir: c.WorkDir,
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

// findJar makes sure that the task's jar is there. What cannot be told from
// outside, such as where a link leads inside the task, is left to the JVM.
func findJar(c *taskConfig, root *launch.Root) error {
	if c.JarPath == "" {
		return nil
	}
	inside := c.JarPath
	if !path.IsAbs(inside) {
		inside = path.Join("/", c.WorkDir, inside)
	}
	inside = path.Clean(inside)
	var on *launch.Entry
	for i := range root.Entries {
		e := &root.Entries[i]
		covers := inside == e.Target || strings.HasPrefix(inside, e.Target+"/")
		if covers && (on == nil || len(e.Target) >= len(on.Target)) {
			on = e
		}
	}
	if on == nil {
		return missingJar(c.JarPath, inside, fs.ErrNotExist)
	}
	if on.Kind != launch.Bind || on.File {
		return nil
	}
	dir, err := os.OpenRoot(on.Source)
	if err != nil {
		return nil
	}
	defer dir.Close()
	rel := strings.TrimPrefix(strings.TrimPrefix(inside, on.Target), "/")
	if rel == "" {
		return missingJar(c.JarPath, inside, nil)
	}
	st, err := dir.Stat(rel)
	if err == nil && st.IsDir() || os.IsNotExist(err) && !passesLink(dir, rel) {
		return missingJar(c.JarPath, inside, err)
	}
	return nil
}

// passesLink reports whether a path leads through a symbolic link, which may
// mean something else inside the task.
func passesLink(dir *os.Root, rel string) bool {
	at := ""
	for _, part := range strings.Split(rel, "/") {
		at = path.Join(at, part)
		st, err := dir.Lstat(at)
		if err != nil {
			return false
		}
		if st.Mode()&os.ModeSymlink != 0 {
			return true
		}
	}
	return false
}
