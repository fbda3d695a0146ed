package java

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/sandbox"
	"github.com/droverhq/drover/sdk/driver"
)

// isolated composes a JVM in namespaces of its own, in a root made of the
// host's programs and the task's directories, and makes its cgroup last.
func isolated(req *driver.StartRequest[taskConfig], j *jvm, cfg config) (*executor.Command, *driver.TaskConfig, error) {
	task, c := req.Task, &req.Config
	return sandbox.Compose(task, sandbox.Options{
		Driver:    Name,
		AllowCaps: cfg.AllowCaps, CapAdd: c.CapAdd, CapDrop: c.CapDrop,
		PIDMode: c.PIDMode, DefaultPIDMode: cfg.DefaultPIDMode, IPCMode: c.IPCMode, DefaultIPCMode: cfg.DefaultIPCMode,
		Chroot: cfg.ChrootEnv, NoPivot: cfg.NoPivotRoot, NoSeccomp: !cfg.Seccomp, NoLandlock: !cfg.Landlock, PIDs: cfg.PIDsLimit, Hidden: cfg.hidden,
		WorkDir: c.WorkDir,
		Program: func(root *launch.Root) (string, []string, error) {
			if _, err := isolation.FindCommand(j.Path, root); err != nil {
				return "", nil, fmt.Errorf("the node's Java is %s, which tasks do not see: add its directory to the plugin's chroot_env: %w", j.Path, err)
			}
			return j.Path, arguments(memoryOptions(j, &task.Resources), c), findJar(c, root)
		},
	})
}

// findJar makes sure that the task's jar is there and is one. What cannot be told from
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
	dir, err := isolation.OpenRoot(on)
	if err != nil {
		return nil
	}
	defer dir.Close()
	rel := strings.TrimPrefix(strings.TrimPrefix(inside, on.Target), "/")
	if rel == "" {
		rel = "."
	}
	st, err := dir.Stat(rel)
	if err == nil {
		return checkJar(c.JarPath, inside, st, func() (*os.File, error) { return dir.Open(rel) })
	}
	if os.IsNotExist(err) && !passesLink(dir, rel) {
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
