package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
)

const (
	// privateRoot lies beside the allocations' directories, where no task reaches.
	privateRoot = ".docker-driver"
	// nameFile in a private directory says which container it belongs to.
	nameFile = "container"
	// privateMode lets an engine through that maps root to another user.
	privateMode = 0o711
)

// private is the driver's own directory for one task's container: generated files, and what of the job's host paths is mounted
// into the container, held fast by mounts so that no task can swap it between check and use. It lives as long as the
// container, so that a container which is restarted by hand finds all of it again.
type private struct {
	dir   string
	sees  func(path string, like os.FileInfo) bool // whether the engine finds the same under this path
	mu    sync.Mutex
	count int
}

func privateDir(task *driver.TaskConfig) string {
	sum := sha256.Sum256([]byte(spec.Name(task)))
	return filepath.Join(filepath.Dir(task.AllocDir), privateRoot, hex.EncodeToString(sum[:16]))
}

// newPrivate makes an empty one; what an earlier container of the task had is gone.
func newPrivate(task *driver.TaskConfig, sees func(string, os.FileInfo) bool) (*private, error) {
	p := &private{dir: privateDir(task), sees: sees}
	root := filepath.Dir(p.dir)
	if err := os.MkdirAll(root, privateMode); err != nil {
		return nil, fmt.Errorf("make the driver's own directory: %w", err)
	}
	st, err := os.Lstat(root)
	if err != nil {
		return nil, fmt.Errorf("look at the driver's own directory: %w", err)
	}
	if !st.IsDir() || !onlyOurs(st) {
		return nil, fmt.Errorf("the driver's own directory %s is no directory, or others may write to it; remove it", root)
	}
	if err := clearPrivate(p.dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(p.dir, privateMode); err != nil {
		return nil, fmt.Errorf("make the container's own directory: %w", err)
	}
	if _, err := p.write(nameFile, []byte(spec.Name(task))); err != nil {
		return nil, err
	}
	return p, nil
}

// engineSees tells the operator once if the engine does not find what this process mounts.
func (d *Driver) engineSees(s *session) (func(path string, like os.FileInfo) bool, error) {
	sees, err := engineSees(s.socket)
	if err != nil {
		return nil, err
	}
	return func(path string, like os.FileInfo) bool {
		if sees(path, like) {
			return true
		}
		d.unseen.Do(func() {
			d.logger.Warn("the engine does not see this process's mounts: host paths of jobs are checked, but not held fast until the engine uses them")
		})
		return false
	}, nil
}

// write makes a file and returns its path.
func (p *private) write(name string, content []byte) (string, error) {
	file := filepath.Join(p.dir, name)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", fmt.Errorf("write %s for the container: %w", name, err)
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return "", fmt.Errorf("write %s for the container: %w", name, err)
	}
	return file, nil
}

// next is a path for one more mount point.
func (p *private) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count++
	return filepath.Join(p.dir, "m"+strconv.Itoa(p.count))
}

// clearPrivate takes a container's own directory away. What is still mounted after all is never reached through.
func clearPrivate(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("clear the container's own directory: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if err := unpin(path); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("clear the container's own directory: %w", err)
		}
	}
	if err := os.Remove(dir); err != nil {
		return fmt.Errorf("clear the container's own directory: %w", err)
	}
	return nil
}

// forgetPrivate is clearPrivate for a task whose container is gone, or not to be used again.
func (d *Driver) forgetPrivate(dir string) {
	if err := clearPrivate(dir); err != nil {
		d.logger.Warn("container's own directory not removed", "dir", dir, "error", err)
	}
}

// stalePrivate returns the private directories beside an allocation's whose container is not in use.
func stalePrivate(allocs string, used func(name string) bool) []string {
	root := filepath.Join(allocs, privateRoot)
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var stale []string
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		name, err := os.ReadFile(filepath.Join(dir, nameFile))
		if err == nil && !used(string(name)) || errors.Is(err, fs.ErrNotExist) {
			stale = append(stale, dir)
		}
	}
	return stale
}

// checkDirs refuses directories of a task that were replaced by links, which the engine would follow.
func checkDirs(task *driver.TaskConfig) error {
	for _, dir := range []string{task.SharedDir(), task.TaskDir(), task.LocalDir(), task.SecretsDir()} {
		st, err := os.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at the task's directories: %w", err)
		}
		if !st.IsDir() {
			return fmt.Errorf("%s is not a directory any more", dir)
		}
	}
	return nil
}
