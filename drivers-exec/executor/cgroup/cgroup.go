// Package cgroup gives each task its control groups: one that holds exactly
// the task's processes, to find and kill them, and those that limit it.
//
// It works on version 2, on version 1 and on the mix of both that many
// machines have, where controllers are mounted in version 1 and an empty
// version 2 tree is mounted beside them. In the mix, the processes are held in
// the version 2 tree: a process can be born in it (clone3), which spares the
// kernel's slow migration, and the whole of it can be killed at once.
//
// Limits are written by github.com/opencontainers/cgroups, which knows the
// order and the quirks of each file; making, killing, measuring and removing
// are here because they differ from what a container needs.
package cgroup

// Parent is the directory in each hierarchy that groups are made in where the
// host says nothing else.
const Parent = "drover.slice"

// Limits are what a task may use. Zero means no limit.
type Limits struct {
	// Memory is the hard limit in bytes; swap does not come on top.
	Memory int64
	// Reservation is the amount in bytes that is defended while others press.
	Reservation int64
	// CPUShares is the weight among others, in MHz as a job states it.
	CPUShares uint64
	// CPUs are the cores it may run on, such as "2,3".
	CPUs string
	// PIDs bounds the number of threads.
	PIDs int64
	// Devices are all that may be opened or made; nil means any.
	Devices []Device
}

// Device is a device, or several, that may be used.
type Device struct {
	Block bool // or else a character device
	// Major and Minor are its numbers; -1 stands for all.
	Major, Minor int64
	// Access is made of r (read), w (write) and m (make a node).
	Access string
}

// metered reports whether an amount of anything is limited.
func (l Limits) metered() bool {
	return l.Memory != 0 || l.Reservation != 0 || l.CPUShares != 0 || l.CPUs != "" || l.PIDs != 0
}

// Group is a task's place in the hierarchies. It is stored with the task, so
// field names are fixed.
type Group struct {
	// Tree is the directory that holds the task's processes and no others: of
	// version 2, or of the freezer in version 1. Empty without cgroups.
	Tree string `json:",omitempty"`
	// V1 are the directories by controller; Tree is not repeated here.
	V1 map[string]string `json:",omitempty"`
	// Given are directories that somebody else made, which are not removed.
	Given []string `json:",omitempty"`
	// Shared says that others may be in Tree, which therefore is not killed.
	Shared bool `json:",omitempty"`
}

// Usage is what a group has used and uses. Known says which part was readable.
type Usage struct {
	CPU struct {
		Known                   bool
		Total, User, System     uint64 // ns since the start
		Periods, ThrottledTimes uint64
		ThrottledTime           uint64 // ns
	}
	Memory struct {
		Known                                        bool
		RSS, Cache, Swap, Usage, Max, Kernel, MaxKrn uint64 // bytes
	}
}
