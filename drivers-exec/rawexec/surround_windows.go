package rawexec

import (
	"errors"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/sdk/driver"
)

// describe has nothing to add: job objects are always there.
func describe(*driver.Fingerprint) {}

// networkModes: Windows has no namespaces to put a process in.
func networkModes() []driver.NetworkMode { return []driver.NetworkMode{driver.NetworkHost} }

// surround refuses what Windows cannot do.
func surround(_ *executor.Command, task *driver.TaskConfig, c *taskConfig, _ config) error {
	if task.User != "" {
		return errors.New("running a task as another user is not supported on Windows yet: leave user out")
	}
	if c.CgroupV2Override != "" || len(c.CgroupV1Override) > 0 {
		return errors.New("cgroup overrides do not exist on Windows")
	}
	return nil
}
