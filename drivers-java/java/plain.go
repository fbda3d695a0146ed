package java

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/sdk/driver"
)

// plain composes a JVM that runs on the host as it is. The options that only
// isolation can honour are named to the user.
func plain(req *driver.StartRequest[taskConfig], j *jvm) (*executor.Command, error) {
	task, c := req.Task, &req.Config
	if c.PIDMode != "" || c.IPCMode != "" || len(c.CapAdd) > 0 || len(c.CapDrop) > 0 {
		req.Emit("pid_mode, ipc_mode, cap_add and cap_drop have no effect: this node does not isolate Java tasks", nil)
	}
	dir := task.TaskDir()
	if c.WorkDir != "" {
		if !filepath.IsAbs(c.WorkDir) {
			return nil, fmt.Errorf("work_dir %q must be an absolute path", c.WorkDir)
		}
		dir = c.WorkDir
	}
	if jar := c.JarPath; jar != "" {
		if !filepath.IsAbs(jar) {
			jar = filepath.Join(dir, jar)
		}
		st, err := os.Stat(jar)
		if err != nil {
			return nil, missingJar(c.JarPath, jar, err)
		}
		if err := checkJar(c.JarPath, jar, st, func() (*os.File, error) { return os.Open(jar) }); err != nil {
			return nil, err
		}
	}
	env, err := executor.Environ(task.Env)
	if err != nil {
		return nil, err
	}
	cmd := &executor.Command{
		ID: task.ID, Dir: executor.KeeperDir(Name, task.AllocDir),
		Stdout: task.StdoutPath, Stderr: task.StderrPath,
	}
	cmd.Spec.Path, cmd.Spec.Args = j.Path, arguments(memoryOptions(j, &task.Resources), c)
	cmd.Spec.Env, cmd.Spec.Dir = env, dir
	return cmd, nil
}
