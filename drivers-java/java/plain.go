package java

import (
	"errors"
	"fmt"
	"io/fs"
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
		if st, err := os.Stat(jar); err != nil || st.IsDir() {
			return nil, missingJar(c.JarPath, jar, err)
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

// missingJar explains why a jar cannot be run. at is where it was looked for.
func missingJar(given, at string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("jar_path %q: %s is a directory", given, at)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("jar_path %q: there is no file %s; an artifact block puts it there, by default below local/", given, at)
	}
	return fmt.Errorf("jar_path %q: %w", given, err)
}
