package feasible

import "github.com/droverhq/drover/core/scheduler/fleet"

// fit tells whether a node with that capacity and use has room for ask more, and if not, which dimension is short. It is
// the one place where room is compared with need. A dimension of which nothing more is asked is never short, even on a
// node whose capacity shrank below its use.
func fit(capacity, used, ask *fleet.Amount) Verdict {
	switch {
	case ask.CPU > 0 && ask.CPU > capacity.CPU-used.CPU:
		return OutOfCPU
	case ask.Memory > 0 && ask.Memory > capacity.Memory-used.Memory:
		return OutOfMemory
	case ask.Disk > 0 && ask.Disk > capacity.Disk-used.Disk:
		return OutOfDisk
	case ask.Cores > 0 && ask.Cores > capacity.Cores-used.Cores:
		return OutOfCores
	case capacity.Allocs > 0 && ask.Allocs > 0 && ask.Allocs > capacity.Allocs-used.Allocs:
		return OutOfAllocs
	}
	return OK
}
