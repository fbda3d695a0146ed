package config

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/droverhq/drover/sdk/schema"
)

// maxCFSPeriod is the kernel's limit, in µs.
const maxCFSPeriod = 1_000_000

// leastOOMScore and mostOOMScore are the kernel's bounds.
const (
	leastOOMScore = -1000
	mostOOMScore  = 1000
)

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
	if t.OOMScoreAdj < leastOOMScore || t.OOMScoreAdj > mostOOMScore {
		refuse("oom_score_adj", invalid, "%d is not between %d and %d.", t.OOMScoreAdj, leastOOMScore, mostOOMScore)
	}
	if t.PidsLimit < -1 {
		refuse("pids_limit", invalid, "%d is neither -1 (no limit) nor a number of processes.", t.PidsLimit)
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
	if p.PidsLimit > 0 && t.PidsLimit < 0 {
		return fmt.Errorf("pids_limit %d (no limit) is more than the node's limit of %d (pids_limit of the docker plugin)", t.PidsLimit, p.PidsLimit)
	}
	if p.PidsLimit > 0 && t.PidsLimit > int64(p.PidsLimit) {
		return fmt.Errorf("pids_limit %d is more than the node's limit of %d (pids_limit of the docker plugin)", t.PidsLimit, p.PidsLimit)
	}
	if t.VolumeDriver != "" && !p.Volumes.Enabled {
		return errors.New("volume_driver is not allowed on this node; the operator can set volumes.enabled of the docker plugin")
	}
	for _, d := range t.Devices {
		if !permits(p.AllowDevices, path.Clean(d.HostPath)) {
			return fmt.Errorf("device %s is not allowed on this node: only %s; the operator can add it to allow_devices of the docker plugin",
				d.HostPath, list(p.AllowDevices))
		}
	}
	for _, option := range t.SecurityOpt {
		if !permits(p.AllowSecurityOpt, option) {
			return fmt.Errorf("security_opt %q is not allowed on this node: only %s; the operator can add it to allow_security_opt of the docker plugin",
				option, list(p.AllowSecurityOpt))
		}
	}
	return checkModes(p, t)
}

// permits reports whether a value fits one of the operator's globs. Without a list everything does; an empty list lets nothing
// pass, and "*" everything.
func permits(patterns []string, value string) bool {
	return patterns == nil || slices.ContainsFunc(patterns, func(pattern string) bool { return pattern == "*" || glob(pattern, value) })
}

// list names the operator's globs in a refusal.
func list(patterns []string) string {
	if len(patterns) == 0 {
		return "none"
	}
	return strings.Join(patterns, ", ")
}
