package isolation

import (
	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/sdk/driver"
)

// Limits are what the scheduler gave the task. With memory_max the task may
// use up to that and is defended up to memory; a negative one sets no bound.
func Limits(r *driver.Resources) cgroup.Limits {
	const mib = 1 << 20
	l := cgroup.Limits{Memory: r.MemoryMB * mib, CPUShares: uint64(max(r.CPUShares, 0)), CPUs: r.Linux.CpusetCpus}
	switch {
	case r.MemoryMaxMB < 0:
		l.Memory, l.Reservation = 0, r.MemoryMB*mib
	case r.MemoryMaxMB > 0:
		l.Memory, l.Reservation = r.MemoryMaxMB*mib, r.MemoryMB*mib
	}
	return l
}
