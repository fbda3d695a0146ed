// Package isolation composes what an isolated task sees and may do: a root
// file system put together from mounts, and a set of capabilities. Nothing is
// copied; see docs/design/003-isolation.md.
package isolation

import (
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/sdk/driver"
)

// DefaultChroot is what tasks see of the host unless the operator says
// otherwise: programs, libraries and configuration, all read-only.
func DefaultChroot() map[string]string {
	m := map[string]string{}
	for _, dir := range []string{
		"/bin", "/etc", "/lib", "/lib32", "/lib64", "/run/resolvconf", "/run/systemd/resolve", "/sbin", "/usr",
	} {
		m[dir] = dir
	}
	return m
}

// View is what a task's root is made from.
type View struct {
	// Chroot maps host paths to paths inside; missing host paths are passed
	// over.
	Chroot map[string]string
	// Task is the task: its directories, mounts, devices, resolver and hosts
	// file.
	Task *driver.TaskConfig
	// User is who the task runs as: what that user cannot read of the host's
	// /etc is hidden, as far as Hidden is not nil.
	User   launch.User
	Hidden *Hidden
	// NoPivot is for hosts whose root is an initial ramdisk.
	NoPivot bool
}
