//go:build !linux

package java

import (
	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/sdk/driver"
)

// isolates reports whether tasks of this driver see only what is theirs.
func isolates() bool { return false }

// networkModes: there are no namespaces to put a JVM in.
func networkModes() []driver.NetworkMode { return []driver.NetworkMode{driver.NetworkHost} }

func describe(*driver.Fingerprint, config) {}

func (d *Driver) command(req *driver.StartRequest[taskConfig], j *jvm) (*executor.Command, *driver.TaskConfig, error) {
	cmd, err := plain(req, j)
	return cmd, nil, err
}
