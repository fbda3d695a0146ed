package fingerprint

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// lookLandlock asks for the kernel's Landlock version; a kernel without it has no attribute.
func lookLandlock(_ *Config, r *Result) error {
	const versionFlag = 1 // LANDLOCK_CREATE_RULESET_VERSION
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, versionFlag)
	if errno == 0 && v > 0 {
		r.set("kernel.landlock", "v"+strconv.Itoa(int(v)))
	}
	return nil
}
