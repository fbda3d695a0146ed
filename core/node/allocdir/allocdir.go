// Package allocdir lays out, and removes, the directories of an allocation.
//
//	<root>/            0755  what drivers get as the allocation's directory
//	  alloc/           0777  shared by the group's tasks: data, logs, tmp
//	  <task>/          0777  a task's own: local, tmp (1777)
//	    secrets/       0777  in memory where the node can mount it
//	    private/       0777  in memory too; nothing tells the task of it
package allocdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of directories that appear in paths users see.
const (
	SharedName  = "alloc"
	SecretsName = "secrets"
	PrivateName = "private"
	LocalName   = "local"
)

const (
	openMode   = 0o777
	tmpMode    = 0o777 | fs.ModeSticky
	privateMB  = 1
	defaultSec = 1 // MB
)

// Dir is one allocation's directory.
type Dir struct{ root string }

// New names the directory of an allocation beneath the node's alloc_dir; nothing is created.
func New(allocDir, allocID string) Dir { return Dir{filepath.Join(allocDir, allocID)} }

// Root is the allocation's directory.
func (d Dir) Root() string { return d.root }

// Shared is the directory all tasks share.
func (d Dir) Shared() string { return filepath.Join(d.root, SharedName) }

// Logs holds the tasks' log files and FIFOs.
func (d Dir) Logs() string { return filepath.Join(d.Shared(), "logs") }

// Task is a task's own directory.
func (d Dir) Task(name string) string { return filepath.Join(d.root, name) }

// Local is a task's scratch directory.
func (d Dir) Local(task string) string { return filepath.Join(d.root, task, LocalName) }

// Secrets is a task's directory for secrets.
func (d Dir) Secrets(task string) string { return filepath.Join(d.root, task, SecretsName) }

// Private is the node's own directory for a task's secrets.
func (d Dir) Private(task string) string { return filepath.Join(d.root, task, PrivateName) }

// Exists tells whether the allocation's directory is there.
func (d Dir) Exists() bool {
	st, err := os.Stat(d.root)
	return err == nil && st.IsDir()
}

// Build makes the allocation's own directories. It is idempotent.
func (d Dir) Build() error {
	if err := os.MkdirAll(d.root, 0o755); err != nil {
		return fmt.Errorf("make allocation directory: %w", err)
	}
	for _, p := range []string{d.Shared(), filepath.Join(d.Shared(), "data"), d.Logs(), filepath.Join(d.Shared(), "tmp")} {
		if err := makeOpen(p, openMode); err != nil {
			return fmt.Errorf("make allocation directory: %w", err)
		}
	}
	return nil
}

// BuildTask makes a task's directories; secretsMB sizes the secrets directory (0 = 1 MB). It is idempotent.
func (d Dir) BuildTask(task string, secretsMB int) error {
	if task != filepath.Base(task) || strings.HasPrefix(task, ".") { // the servers refuse such jobs
		return fmt.Errorf("task name %q cannot be the name of a directory", task)
	}
	if secretsMB <= 0 {
		secretsMB = defaultSec
	}
	for _, p := range []struct {
		path string
		mode fs.FileMode
	}{
		{d.Task(task), openMode},
		{d.Local(task), openMode},
		{filepath.Join(d.Task(task), "tmp"), tmpMode},
		{d.Secrets(task), openMode},
		{d.Private(task), openMode},
	} {
		if err := makeOpen(p.path, p.mode); err != nil {
			return fmt.Errorf("make directory of task %s: %w", task, err)
		}
	}
	if err := mountMemory(d.Secrets(task), secretsMB); err != nil {
		return fmt.Errorf("mount secrets directory of task %s: %w", task, err)
	}
	if err := mountMemory(d.Private(task), privateMB); err != nil {
		return fmt.Errorf("mount private directory of task %s: %w", task, err)
	}
	return nil
}

// makeOpen makes a directory that tasks of any user may write to; the umask does not count.
func makeOpen(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		st, err := os.Lstat(path)
		if err == nil && !st.IsDir() {
			err = fmt.Errorf("%s is in the way and not a directory", path)
		}
		return err
	}
	if err != nil {
		return err
	}
	if err := openTo(path, mode); err != nil {
		return err
	}
	return giveToNobody(path)
}

// TakeFrom moves the data of a previous allocation on this node here: alloc/data and each task's local directory, as a
// sticky disk promises. What the previous allocation does not have stays empty.
func (d Dir) TakeFrom(prev Dir, tasks []string) error {
	moves := [][2]string{{filepath.Join(prev.Shared(), "data"), filepath.Join(d.Shared(), "data")}}
	for _, t := range tasks {
		moves = append(moves, [2]string{prev.Local(t), d.Local(t)})
	}
	for _, m := range moves {
		if err := move(m[0], m[1]); err != nil {
			return fmt.Errorf("take over disk of allocation %s: %w", filepath.Base(prev.root), err)
		}
	}
	return nil
}

// move renames from to to when from exists and to is an empty directory or nothing.
func move(from, to string) error {
	st, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !st.IsDir() {
		return fmt.Errorf("%s is no directory any more, a task has replaced it", from)
	}
	if err := os.MkdirAll(filepath.Dir(to), openMode); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// Unmount takes the in-memory directories away; what was in them is gone. It leaves alone what others mounted.
func (d Dir) Unmount() error {
	entries, err := os.ReadDir(d.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == SharedName {
			continue
		}
		for _, p := range []string{d.Secrets(e.Name()), d.Private(e.Name())} {
			if err := unmountMemory(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// Destroy removes everything. It refuses to remove anything while something is mounted below, because removing would
// reach through the mount.
func (d Dir) Destroy() error {
	if err := d.Unmount(); err != nil {
		return fmt.Errorf("remove allocation directory %s: %w", d.root, err)
	}
	if err := unmountBelow(d.root); err != nil {
		return fmt.Errorf("remove allocation directory %s: %w", d.root, err)
	}
	if err := os.RemoveAll(d.root); err != nil {
		return fmt.Errorf("remove allocation directory: %w", err)
	}
	return nil
}
