//go:build !linux

package java

import (
	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/sdk/driver"
)

// isolates reports whether tasks of this driver see only what is theirs.
func isolates() bool { return false }

func describe(*driver.Fingerprint, config) {}

func (d *Driver) command(req *driver.StartRequest[taskConfig], j *jvm) (*executor.Command, *driver.TaskConfig, error) {
	cmd, err := plain(req, j)
	return cmd, nil, err
}
