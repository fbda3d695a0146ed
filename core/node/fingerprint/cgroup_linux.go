package fingerprint

import (
	"os"

	"golang.org/x/sys/unix"
)

// cgroupVersion is "2" where the unified hierarchy is mounted, "1" where controllers have hierarchies of their own (with
// or without an empty unified one beside them), "" without control groups.
func cgroupVersion() string {
	var st unix.Statfs_t
	if err := unix.Statfs("/sys/fs/cgroup", &st); err != nil {
		return ""
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		return "2"
	}
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		return "1"
	}
	return ""
}

func lookCgroup(_ *Config, r *Result) error {
	r.set("os.cgroups.version", cgroupVersion())
	return nil
}
