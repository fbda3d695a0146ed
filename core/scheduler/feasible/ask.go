package feasible

import (
	"math"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Ask is what one instance of a group needs from a node.
type Ask struct {
	group    *model.TaskGroup
	oversub  bool
	base     fleet.Amount                        // without what exclusive cores add
	cores    int32                               // exclusive cores, over all tasks
	static   []model.Port                        // group and task networks together
	dynamic  []model.Port                        //
	devices  []deviceAsk                         //
	template *model.AllocatedResources           // what every instance gets that needs no exact numbers
	perCore  map[int64]fleet.Amount              // sums by MHz per core
	built    map[int64]*model.AllocatedResources // templates by MHz per core
	simple   bool                                // all ports are in the default host network
}

// NewAsk sums up a group. memory_max counts only with oversubscription.
func NewAsk(g *model.TaskGroup, oversubscription bool) *Ask {
	a := &Ask{group: g, oversub: oversubscription, simple: true}
	for _, n := range g.Networks {
		a.static = append(a.static, n.ReservedPorts...)
		a.dynamic = append(a.dynamic, n.DynamicPorts...)
	}
	for _, t := range g.Tasks {
		if t.Resources == nil {
			continue
		}
		a.cores += int32(min(quantity(t.Resources.Cores), math.MaxInt16))
		for _, d := range t.Resources.Devices {
			a.devices = append(a.devices, newDeviceAsk(t.Name, d))
		}
		for _, n := range t.Resources.Networks {
			a.static = append(a.static, n.ReservedPorts...)
			a.dynamic = append(a.dynamic, n.DynamicPorts...)
		}
	}
	for _, p := range a.dynamic {
		a.simple = a.simple && hostNetwork(p) == fleet.DefaultHostNetwork
	}
	for _, p := range a.static {
		a.simple = a.simple && hostNetwork(p) == fleet.DefaultHostNetwork
	}
	a.template = a.build(0)
	c := a.template.Comparable()
	a.base = fleet.Amount{
		CPU: c.CPUShares, Memory: c.MemoryMB, Disk: c.DiskMB,
		Cores: a.cores, Ports: int32(len(a.dynamic) + len(a.static)), Allocs: 1,
	}
	return a
}

// most bounds one quantity, so that no sum of them can overflow: a petabyte in MB still fits, and no node has that.
const most = 1 << 40

func quantity(n int) int64 { return min(max(int64(n), 0), most) }

// Amount is what one instance needs on a node where an exclusive core counts as perCore MHz.
func (a *Ask) Amount(perCore int64) fleet.Amount {
	if a.cores == 0 {
		return a.base
	}
	if sum, ok := a.perCore[perCore]; ok {
		return sum
	}
	sum := a.base
	sum.CPU = a.resources(perCore).Comparable().CPUShares
	if a.perCore == nil {
		a.perCore = map[int64]fleet.Amount{}
	}
	a.perCore[perCore] = sum
	return sum
}

// Exact tells whether instances get exact ports, cores or devices. If not, all of them share one Resources.
func (a *Ask) Exact() bool {
	return a.cores > 0 || len(a.static) > 0 || len(a.dynamic) > 0 || len(a.devices) > 0
}

// WantsPort tells whether that static port is asked for.
func (a *Ask) WantsPort(port int) bool {
	for _, p := range a.static {
		if p.Value == port {
			return true
		}
	}
	return false
}

// Shared is what every instance gets when Exact is false. It must not be changed.
func (a *Ask) Shared() *model.AllocatedResources { return a.template }

func (a *Ask) resources(perCore int64) *model.AllocatedResources {
	if r, ok := a.built[perCore]; ok {
		return r
	}
	if a.built == nil {
		a.built = map[int64]*model.AllocatedResources{}
	}
	r := a.build(perCore)
	a.built[perCore] = r
	return r
}

// build fills in all that needs no exact numbers.
func (a *Ask) build(perCore int64) *model.AllocatedResources {
	r := &model.AllocatedResources{
		Tasks:          make(map[string]*model.AllocatedTaskResources, len(a.group.Tasks)),
		TaskLifecycles: make(map[string]*model.Lifecycle, len(a.group.Tasks)),
	}
	for _, t := range a.group.Tasks {
		out := &model.AllocatedTaskResources{}
		if res := t.Resources; res != nil {
			out.Cpu.CpuShares = quantity(res.CPU)
			if res.Cores > 0 {
				out.Cpu.CpuShares = min(quantity(res.Cores), most>>20) * perCore
			}
			out.Memory.MemoryMB = quantity(res.MemoryMB) + quantity(res.SecretsMB)
			if a.oversub {
				out.Memory.MemoryMaxMB = int64(res.MemoryMaxMB)
			}
		}
		r.Tasks[t.Name] = out
		r.TaskLifecycles[t.Name] = t.Lifecycle
	}
	if d := a.group.EphemeralDisk; d != nil {
		r.Shared.DiskMB = quantity(d.SizeMB)
	}
	r.Shared.Networks = a.group.Networks
	return r
}

// copyOf returns a copy of the template whose exact parts may be filled in.
func copyOf(r *model.AllocatedResources) *model.AllocatedResources {
	out := *r
	out.Tasks = make(map[string]*model.AllocatedTaskResources, len(r.Tasks))
	for name, t := range r.Tasks {
		task := *t
		out.Tasks[name] = &task
	}
	return &out
}

// hostNetwork is the alias a port asks for.
func hostNetwork(p model.Port) string {
	if p.HostNetwork == "" {
		return fleet.DefaultHostNetwork
	}
	return p.HostNetwork
}
