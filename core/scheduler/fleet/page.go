package fleet

import "github.com/droverhq/drover/core/model"

// PageSize is the number of nodes in one page.
const PageSize = 128

// Num is a node's row in the columns. Rows of deleted nodes are used again.
type Num uint32

// Flags are the yes-or-no columns of a node.
type Flags uint8

const (
	// Ready is set when new allocations may be placed: status ready, eligible, not draining.
	Ready Flags = 1 << iota
	// Simple is set when the node has exactly one address in its default host network and none in others, so that the
	// counter of free dynamic ports alone tells whether dynamic ports are left.
	Simple
	// Devices is set when the node has devices.
	Devices
)

// Amount is a quantity in each dimension that can be counted. CPU is in MHz, Memory and Disk in MB.
type Amount struct {
	CPU, Memory, Disk int64
	Cores             int32 // cores held exclusively
	Ports             int32 // dynamic ports of the default host network
	Allocs            int32
}

// Nodes is one page of what only node updates change. A row without a node has a nil Node.
type Nodes struct {
	epoch     uint64
	Node      [PageSize]*model.Node
	Class     [PageSize]uint32 // index into the table's classes
	DC        [PageSize]uint32 // index into the table's datacenters
	Pool      [PageSize]uint32 // index into the table's pools
	Flags     [PageSize]Flags
	Drivers   [PageSize]uint64 // bit n: the table's driver n is detected and healthy
	CPU       [PageSize]int64  // capacity less what the node reserves for itself
	Memory    [PageSize]int64
	Disk      [PageSize]int64
	PerCore   [PageSize]int64 // MHz that count for one exclusive core
	Cores     [PageSize]int32 // cores that may be held exclusively
	Ports     [PageSize]int32 // dynamic ports that are not reserved
	MaxAllocs [PageSize]int32 // 0 no limit
}

// Use is one page of what allocations change.
type Use struct {
	epoch  uint64
	CPU    [PageSize]int64
	Memory [PageSize]int64
	Disk   [PageSize]int64
	Cores  [PageSize]int32
	Ports  [PageSize]int32
	Allocs [PageSize]int32
	Exact  [PageSize]*Exact // nil: no port, core or device in use
}

// InUse returns row i's use.
func (u *Use) InUse(i uint32) Amount {
	return Amount{
		CPU: u.CPU[i], Memory: u.Memory[i], Disk: u.Disk[i],
		Cores: u.Cores[i], Ports: u.Ports[i], Allocs: u.Allocs[i],
	}
}

// add counts a with the given sign.
func (u *Use) add(i uint32, a Amount, sign int64) {
	u.CPU[i] += sign * a.CPU
	u.Memory[i] += sign * a.Memory
	u.Disk[i] += sign * a.Disk
	u.Cores[i] += int32(sign) * a.Cores
	u.Allocs[i] += int32(sign) * a.Allocs
}

// Capacity returns row i's capacity; Allocs is 0 where there is no limit.
func (n *Nodes) Capacity(i uint32) Amount {
	return Amount{
		CPU: n.CPU[i], Memory: n.Memory[i], Disk: n.Disk[i],
		Cores: n.Cores[i], Ports: n.Ports[i], Allocs: n.MaxAllocs[i],
	}
}
