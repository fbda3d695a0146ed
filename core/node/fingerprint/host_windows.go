package fingerprint

import (
	"strings"

	"github.com/shirou/gopsutil/v4/host"
)

// lookBuild: Windows names its release by the build number.
func lookBuild(info *host.InfoStat, r *Result) {
	_, build, ok := strings.Cut(info.KernelVersion, "Build ")
	if !ok {
		build = info.KernelVersion
	}
	r.set("os.build", build)
}
