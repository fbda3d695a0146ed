package fleet

import (
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// DriverHealthy tells whether a node can run tasks of a driver. A node that says nothing of the driver but has its
// fingerprint attribute counts as healthy.
func DriverHealthy(n *model.Node, driver string) bool {
	if d := n.Drivers[driver]; d != nil {
		return d.Detected && d.Healthy
	}
	ok, err := strconv.ParseBool(n.Attributes["driver."+driver])
	return err == nil && ok
}

// healthyDrivers counts the node as user of its healthy drivers and returns their bits.
func (t *Table) healthyDrivers(num Num, n *model.Node) uint64 {
	var mask uint64
	var users []uint32
	add := func(name string) {
		if !DriverHealthy(n, name) {
			return
		}
		id := t.drivers.take(name)
		users = append(users, id)
		if id < 64 {
			mask |= 1 << id
		}
	}
	for name := range n.Drivers {
		add(name)
	}
	for attr := range n.Attributes {
		name, ok := strings.CutPrefix(attr, "driver.")
		if ok && !strings.Contains(name, ".") && n.Drivers[name] == nil {
			add(name)
		}
	}
	if users != nil {
		t.driverUsers[num] = users
	}
	return mask
}

// setCapacity fills the row's capacity columns.
func setCapacity(page *Nodes, i uint32, n *model.Node) {
	page.CPU[i], page.Memory[i], page.Disk[i] = 0, 0, 0
	page.PerCore[i], page.Cores[i], page.Ports[i] = 0, 0, 0
	page.MaxAllocs[i] = int32(n.NodeMaxAllocs)
	r := n.NodeResources
	if r == nil {
		return
	}
	page.CPU[i] = r.Cpu.CpuShares
	page.Memory[i] = r.Memory.MemoryMB
	page.Disk[i] = r.Disk.DiskMB
	if r.Cpu.TotalCpuCores > 0 {
		page.PerCore[i] = r.Cpu.CpuShares / int64(r.Cpu.TotalCpuCores)
	}
	page.Cores[i] = int32(len(ReservableCores(n)))
	if res := n.ReservedResources; res != nil {
		page.CPU[i] -= res.Cpu.CpuShares
		page.Memory[i] -= res.Memory.MemoryMB
		page.Disk[i] -= res.Disk.DiskMB
	}
	if len(r.Devices) > 0 {
		page.Flags[i] |= Devices
	}
	if a := soleAddress(n); a != nil {
		page.Flags[i] |= Simple
		lo, hi := DynamicRange(n)
		page.Ports[i] = int32(max(0, hi-lo+1) - ReservedPorts(n, a).Count(lo, hi))
	}
}

// ReservableCores returns the cores of a node that tasks may hold exclusively.
func ReservableCores(n *model.Node) []uint16 {
	if n.NodeResources == nil {
		return nil
	}
	all := n.NodeResources.Cpu.ReservableCpuCores
	if n.ReservedResources == nil || len(n.ReservedResources.Cpu.ReservedCpuCores) == 0 {
		return all
	}
	var out []uint16
	for _, id := range all {
		if !slices.Contains(n.ReservedResources.Cpu.ReservedCpuCores, id) {
			out = append(out, id)
		}
	}
	return out
}

// recountPorts brings the counter of dynamic ports in line after the node's range or address may have changed.
func (t *Table) recountPorts(num Num, page *Nodes, i uint32) {
	e := t.use[num/PageSize].Exact[i]
	if e == nil {
		return
	}
	if n := dynamicInUse(page.Node[i], e); n != t.use[num/PageSize].Ports[i] {
		use, _ := t.usePage(num)
		use.Ports[i] = n
	}
}

// dynamicInUse counts the dynamic ports in use on a node with one address; 0 for others, where it has no meaning.
func dynamicInUse(n *model.Node, e *Exact) int32 {
	a := soleAddress(n)
	if a == nil {
		return 0
	}
	lo, hi := DynamicRange(n)
	return int32(e.Ports(a.Address).Count(lo, hi))
}
