//go:build !windows

package docker

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/droverhq/drover/sdk/driver"
)

// claim says to other processes of this plugin that a task is looked after. The kernel takes it back from the dead.
type claim struct{ file *os.File }

const claimName = ".docker.claim"

// openNow keeps an open from waiting for whoever is at the other end of a FIFO.
const openNow = syscall.O_NONBLOCK

// claimFlags: the claim lies where others than this driver may write, so no link is followed and nothing waits.
const claimFlags = syscall.O_NOFOLLOW | openNow

// claimTask returns nil where no claim can be made: the task is then only protected by the grace.
func claimTask(task *driver.TaskConfig) *claim {
	f, err := os.OpenFile(filepath.Join(task.TaskDir(), claimName), os.O_RDWR|os.O_CREATE|claimFlags, 0o600)
	if err != nil {
		return nil
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil
	}
	return &claim{file: f}
}

func (c *claim) release() {
	if c != nil {
		_ = c.file.Close()
	}
}

// claimed reports whether a living process looks after the task of this directory.
func claimed(taskDir string) bool {
	if taskDir == "" {
		return false
	}
	f, err := os.OpenFile(filepath.Join(taskDir, claimName), os.O_RDONLY|claimFlags, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}
