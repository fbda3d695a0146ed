package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const mount = "/sys/fs/cgroup"

// Manager makes groups below one parent. Without root it makes none.
type Manager struct {
	parent  string
	version int // 0: none

	settling sync.Mutex // one at a time looks at what is reserved and writes what is shared
}

// New looks at what the machine has.
func New(parent string) *Manager {
	if parent == "" {
		parent = Default
	}
	m := &Manager{parent: strings.Trim(parent, "/")}
	if os.Geteuid() != 0 {
		return m
	}
	var st unix.Statfs_t
	if err := unix.Statfs(mount, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
		m.version = 2
	} else if _, err := os.Stat(mount + "/cpuset/cpuset.cpus"); err == nil {
		m.version = 1
	}
	return m
}

// Prepare makes the task's group afresh and returns its directory. With cgroup v1 only tasks with cores of their own
// have a group; all others share one.
func (m *Manager) Prepare(allocID, task string, cores []uint16) (string, error) {
	var path string
	var err error
	switch m.version {
	case 2:
		path = m.scope(allocID, task, len(cores) > 0)
		if err = m.remove(path); err == nil { // a group that was ever killed must not be used again
			err = m.makeV2(path)
		}
		if err == nil && len(cores) > 0 {
			err = os.WriteFile(path+"/cpuset.cpus", []byte(taskCores(cores)), 0)
		}
	case 1:
		path, err = m.makeV1(allocID, task, cores)
	}
	if err == nil {
		err = m.settle()
	}
	if err != nil {
		return "", fmt.Errorf("control group of task %s: %w", task, err)
	}
	return path, nil
}

func (m *Manager) settle() error {
	if m.version == 0 {
		return nil
	}
	m.settling.Lock()
	defer m.settling.Unlock()
	return m.partition().settle()
}

// Clean ends what is left in the task's group and removes it.
func (m *Manager) Clean(allocID, task string) error {
	var err error
	switch m.version {
	case 2:
		err = errors.Join(m.remove(m.scope(allocID, task, true)), m.remove(m.scope(allocID, task, false)))
	case 1:
		err = m.remove(filepath.Join(m.partition().reserve, allocID+"."+task))
	}
	return errors.Join(err, m.settle()) // its cores, if it had any, are shared again
}

// Close removes the shared groups when nothing is left in them.
func (m *Manager) Close() {
	if m.version == 0 {
		return
	}
	p := m.partition()
	for _, dir := range []string{p.share, p.reserve, p.root} {
		os.Remove(dir) // fails while another agent's tasks are in it
	}
}

func (m *Manager) scope(allocID, task string, reserve bool) string {
	slice := "share.slice"
	if reserve {
		slice = "reserve.slice"
	}
	return filepath.Join(mount, m.parent, slice, allocID+"."+task+".scope")
}

var controllers = []string{"cpu", "cpuset", "io", "memory", "pids"}

// makeV2 makes a directory with every controller that the levels above can pass on.
func (m *Manager) makeV2(path string) error {
	rel, err := filepath.Rel(mount, path)
	if err != nil {
		return err
	}
	dir := mount
	for _, part := range strings.Split(rel, "/") {
		available, err := os.ReadFile(dir + "/cgroup.controllers")
		if err != nil {
			return err
		}
		enabled, err := os.ReadFile(dir + "/cgroup.subtree_control")
		if err != nil {
			return err
		}
		for _, c := range controllers {
			if slices.Contains(strings.Fields(string(available)), c) && !slices.Contains(strings.Fields(string(enabled)), c) {
				if err := os.WriteFile(dir+"/cgroup.subtree_control", []byte("+"+c), 0); err != nil {
					return fmt.Errorf("enable controller %s: %w", c, err)
				}
			}
		}
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// makeV1 returns the shared group, or one with the task's own cores.
func (m *Manager) makeV1(allocID, task string, cores []uint16) (string, error) {
	p := m.partition()
	if len(cores) == 0 {
		return p.share, inherit(filepath.Join(mount, "cpuset"), p.root, p.share)
	}
	path := filepath.Join(p.reserve, allocID+"."+task)
	if err := inherit(filepath.Join(mount, "cpuset"), p.root, p.reserve, path); err != nil {
		return "", err
	}
	return path, os.WriteFile(path+"/cpuset.cpus", []byte(taskCores(cores)), 0)
}

func taskCores(cores []uint16) string {
	ids := make([]int, len(cores))
	for i, c := range cores {
		ids[i] = int(c)
	}
	return writeCores(ids)
}

// inherit makes each directory with the processors and memory nodes of the one before: cpuset v1 leaves them empty, and
// nothing can enter an empty one. A directory that exists may be one that another task's start has just made and not yet
// filled, so it is looked at too.
func inherit(dirs ...string) error {
	for i := 1; i < len(dirs); i++ {
		if err := os.Mkdir(dirs[i], 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
			file := filepath.Join(dirs[i], f)
			if have, err := os.ReadFile(file); err != nil || len(strings.TrimSpace(string(have))) > 0 {
				if err != nil {
					return err
				}
				continue
			}
			v, err := os.ReadFile(filepath.Join(dirs[i-1], f))
			if err != nil {
				return err
			}
			if err := os.WriteFile(file, v, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove kills what is in a group and removes it with the groups below.
func (m *Manager) remove(path string) error {
	if err := os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if m.version == 2 {
		os.WriteFile(path+"/cgroup.kill", []byte("1"), 0)
	} else if err := killMembers(path); err != nil {
		return err
	}
	var err error
	for wait := time.Millisecond; wait < time.Second; wait *= 2 { // the kernel needs a moment for the dead to leave
		removeTree(path)
		if _, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(wait)
	}
	return fmt.Errorf("processes in %s do not end", path)
}

func removeTree(path string) {
	entries, _ := os.ReadDir(path)
	for _, e := range entries {
		if e.IsDir() {
			removeTree(filepath.Join(path, e.Name()))
		}
	}
	os.Remove(path)
}

func killMembers(path string) error {
	b, err := os.ReadFile(path + "/cgroup.procs")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	return nil
}
