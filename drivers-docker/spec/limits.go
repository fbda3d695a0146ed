package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
)

const (
	mib = 1 << 20
	// leastShares and mostShares are the kernel's bounds of a CPU weight.
	leastShares = 2
	mostShares  = 262144
	// defaultCFSPeriod is what the kernel uses too, in µs.
	defaultCFSPeriod = 100_000
)

func resources(in Input) (container.Resources, []string, error) {
	var warnings []string
	r := container.Resources{
		CPUShares:  cpuShares(in.Task.Resources.Linux.CPUShares, in.Node.TotalMHz),
		CpusetCpus: in.Task.Resources.Linux.CpusetCpus,
	}
	if r.CpusetCpus == "" {
		r.CpusetCpus = in.Cpuset
	}
	if in.Config.CpusetCPUs != "" {
		warnings = append(warnings, "cpuset_cpus is ignored: cores are reserved with the job's resources { cores }")
	}
	if in.Config.CPUHardLimit {
		r.CPUPeriod, r.CPUQuota = cpuQuota(in)
	}
	memory(in, &r)
	pids := in.Config.PidsLimit
	if pids == 0 {
		pids = int64(in.Plugin.PidsLimit)
	}
	if pids > 0 {
		r.PidsLimit = &pids
	}
	var err error
	if r.Ulimits, err = ulimits(in.Config.Ulimit); err != nil {
		return r, nil, err
	}
	r.Devices = devices(in)
	if in.Node.Windows {
		r.CpusetCpus, r.PidsLimit, r.Ulimits = "", nil, nil
	}
	return r, warnings, nil
}

// cpuShares turns MHz into a weight. A node with more MHz than weights scales, so that proportions stay.
func cpuShares(mhz int64, total uint64) int64 {
	if total >= mostShares {
		mhz = int64(float64(mhz) / float64(total) * mostShares)
	}
	return min(max(mhz, leastShares), mostShares)
}

// cpuQuota gives the task its share of the node's time and no more.
func cpuQuota(in Input) (period, quota int64) {
	period = in.Config.CPUCFSPeriod
	if period == 0 {
		period = defaultCFSPeriod
	}
	return period, int64(in.Task.Resources.Linux.PercentTicks * float64(period) * float64(in.Node.Cores))
}

// memory sets a hard limit; with memory_max or memory_hard_limit the plain figure becomes the reservation. Swap is off.
func memory(in Input, r *container.Resources) {
	plain := in.Task.Resources.MemoryMB * mib
	most := max(in.Task.Resources.MemoryMaxMB, in.Config.MemoryHardLimit) * mib
	switch {
	case in.Task.Resources.MemoryMaxMB < 0:
		r.MemoryReservation = plain
		return
	case most > plain:
		r.Memory, r.MemoryReservation = most, plain
	default:
		r.Memory = plain
	}
	if in.Node.Windows {
		r.MemoryReservation = 0
		return
	}
	r.MemorySwap = r.Memory
	if in.Node.CgroupV1 {
		none := int64(0)
		r.MemorySwappiness = &none
	}
}

// ulimits reads name = "soft:hard" or name = "both".
func ulimits(limits map[string]string) ([]*container.Ulimit, error) {
	var all []*container.Ulimit
	for name, value := range limits {
		softText, hardText, two := strings.Cut(value, ":")
		soft, err := strconv.ParseInt(softText, 10, 64)
		if err != nil || name == "" {
			return nil, fmt.Errorf("ulimit: %s = %q is not a number or \"soft:hard\"", name, value)
		}
		hard := soft
		if two {
			if hard, err = strconv.ParseInt(hardText, 10, 64); err != nil {
				return nil, fmt.Errorf("ulimit: %s = %q is not a number or \"soft:hard\"", name, value)
			}
		}
		if hard != -1 && (soft == -1 || soft > hard) {
			return nil, fmt.Errorf("ulimit: %s = %q: the soft limit is more than the hard one", name, value)
		}
		all = append(all, &container.Ulimit{Name: name, Soft: soft, Hard: hard})
	}
	slices.SortFunc(all, func(a, b *container.Ulimit) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func devices(in Input) []container.DeviceMapping {
	var all []container.DeviceMapping
	add := func(host, inside, permissions string) {
		if inside == "" {
			inside = host
		}
		if permissions == "" {
			permissions = "rwm"
		}
		all = append(all, container.DeviceMapping{PathOnHost: host, PathInContainer: inside, CgroupPermissions: permissions})
	}
	for _, d := range in.Config.Devices {
		add(d.HostPath, d.ContainerPath, d.CgroupPermissions)
	}
	for _, d := range in.Task.Devices {
		add(d.HostPath, d.TaskPath, d.Permissions)
	}
	return all
}
