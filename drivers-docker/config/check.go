package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/sdk/schema"
)

// maxCFSPeriod is the kernel's limit, in µs.
const maxCFSPeriod = 1_000_000

// Check says what of a task's config no node would accept. Values that depend on a node's policy are checked by Allow.
func (t Task) Check() schema.Diagnostics {
	var found schema.Diagnostics
	refuse := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Severity: schema.Error, Summary: summary, Detail: fmt.Sprintf(format, args...), Path: path})
	}
	const invalid = "Invalid value"
	if strings.TrimSpace(t.Image) == "" {
		refuse("image", "Missing image", "The image's name is empty.")
	}
	if t.CPUCFSPeriod < 0 || t.CPUCFSPeriod > maxCFSPeriod {
		refuse("cpu_cfs_period", invalid, "%d is not between 0 and %d µs.", t.CPUCFSPeriod, maxCFSPeriod)
	}
	if !slices.Contains([]string{"", "host", "private"}, t.CgroupNS) {
		refuse("cgroupns", invalid, "%q is neither \"host\" nor \"private\".", t.CgroupNS)
	}
	if !slices.Contains([]string{"", "hyperv", "process"}, t.Isolation) {
		refuse("isolation", invalid, "%q is neither \"hyperv\" nor \"process\".", t.Isolation)
	}
	if t.ShmSize < 0 {
		refuse("shm_size", invalid, "%d is negative.", t.ShmSize)
	}
	if t.ImagePullTimeout < 0 {
		refuse("image_pull_timeout", invalid, "%s is negative.", t.ImagePullTimeout)
	}
	for i, d := range t.Devices {
		if d.HostPath == "" {
			refuse(fmt.Sprintf("devices[%d].host_path", i), "Missing path", "A device needs a host path.")
		}
		if strings.Trim(d.CgroupPermissions, "rwm") != "" {
			refuse(fmt.Sprintf("devices[%d].cgroup_permissions", i), invalid, "%q has other letters than r, w and m.", d.CgroupPermissions)
		}
	}
	for i, m := range t.AllMounts() {
		if !slices.Contains([]string{"", "volume", "bind", "tmpfs"}, m.Type) {
			refuse(fmt.Sprintf("mount[%d].type", i), invalid, "%q is none of volume, bind and tmpfs.", m.Type)
		}
		if m.Target == "" {
			refuse(fmt.Sprintf("mount[%d].target", i), "Missing path", "A mount needs a target.")
		}
	}
	if len(t.PortMap) > 0 && len(t.Ports) > 0 {
		refuse("port_map", "Conflicting options", "port_map maps ports of task networks, ports those of the group; use one of them.")
	}
	return found
}

// AllMounts are the mounts under both of their names.
func (t Task) AllMounts() []Mount { return append(slices.Clone(t.Mount), t.Mounts...) }

// Allow refuses what the operator of this node does not permit.
func (p Plugin) Allow(t Task) error {
	if t.Privileged && !p.AllowPrivileged {
		return errors.New("privileged is not allowed on this node; the operator can set allow_privileged of the docker plugin")
	}
	if t.Runtime != "" && !slices.Contains(p.AllowRuntimes, t.Runtime) {
		return fmt.Errorf("runtime %q is not allowed on this node: only %s; the operator can add it to allow_runtimes of the docker plugin",
			t.Runtime, strings.Join(p.AllowRuntimes, ", "))
	}
	if p.PidsLimit > 0 && t.PidsLimit > int64(p.PidsLimit) {
		return fmt.Errorf("pids_limit %d is more than the node's limit of %d (pids_limit of the docker plugin)", t.PidsLimit, p.PidsLimit)
	}
	if t.VolumeDriver != "" && !p.Volumes.Enabled {
		return errors.New("volume_driver is not allowed on this node; the operator can set volumes.enabled of the docker plugin")
	}
	return checkModes(p, t)
}
