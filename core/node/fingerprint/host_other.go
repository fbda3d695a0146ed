//go:build !windows

package fingerprint

import "github.com/shirou/gopsutil/v4/host"

func lookBuild(*host.InfoStat, *Result) {}
