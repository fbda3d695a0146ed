package feasible

import (
	"math/rand/v2"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Assign chooses the ports, cores and devices of one more instance on a node, given what is in use there. It returns the
// instance's resources or the dimension that is short. used is not changed. The numbers depend on nothing but the
// arguments and rng.
func (a *Ask) Assign(n *model.Node, perCore int64, used *fleet.Exact, rng *rand.Rand) (*model.AllocatedResources, string) {
	if !a.Exact() {
		return a.template, ""
	}
	out := copyOf(a.resources(perCore))
	if len(a.static)+len(a.dynamic) > 0 {
		if why := a.assignPorts(out, portPicker{node: n, used: used.Clone(), rng: rng}); why != "" {
			return nil, why
		}
	}
	if a.cores > 0 && !a.assignCores(out, n, used) {
		return nil, "cores"
	}
	if len(a.devices) > 0 {
		given, _, ok := pickDevices(n, used, a.devices)
		if !ok {
			return nil, reasonNoDevice
		}
		for _, p := range given {
			task := out.Tasks[p.ask.task]
			task.Devices = append(task.Devices, &model.AllocatedDevice{
				Vendor: p.group.Vendor, Type: p.group.Type, Name: p.group.Name, DeviceIDs: p.ids,
			})
		}
	}
	return out, ""
}

// assignPorts gives the group's ports and those of the older task networks.
func (a *Ask) assignPorts(out *model.AllocatedResources, p portPicker) string {
	var why string
	var static, dynamic []model.Port
	for _, n := range a.group.Networks {
		static, dynamic = append(static, n.ReservedPorts...), append(dynamic, n.DynamicPorts...)
	}
	if out.Shared.Ports, why = p.pick(static, dynamic); why != "" {
		return why
	}
	for _, t := range a.group.Tasks {
		if t.Resources == nil {
			continue
		}
		for _, n := range t.Resources.Networks {
			given, why := p.pick(n.ReservedPorts, n.DynamicPorts)
			if why != "" {
				return why
			}
			task := out.Tasks[t.Name]
			task.Networks = append(task.Networks, taskNetwork(n, given))
		}
	}
	return ""
}

// taskNetwork is a task's network with its ports filled in.
func taskNetwork(n *model.Network, given []model.AllocatedPort) *model.Network {
	out := *n
	out.ReservedPorts, out.DynamicPorts = nil, nil
	for i, p := range given {
		out.IP = p.HostIP
		port := model.Port{Label: p.Label, Value: p.Value, To: p.To, IgnoreCollision: p.IgnoreCollision}
		if i < len(n.ReservedPorts) {
			out.ReservedPorts = append(out.ReservedPorts, port)
		} else {
			out.DynamicPorts = append(out.DynamicPorts, port)
		}
	}
	return &out
}

// assignCores gives each task its cores, lowest free ids first.
func (a *Ask) assignCores(out *model.AllocatedResources, n *model.Node, used *fleet.Exact) bool {
	free := make([]uint16, 0, 16)
	for _, id := range fleet.ReservableCores(n) {
		if !used.Core(id) {
			free = append(free, id)
		}
	}
	if len(free) < int(a.cores) {
		return false
	}
	for _, t := range a.group.Tasks {
		if t.Resources == nil || t.Resources.Cores == 0 {
			continue
		}
		out.Tasks[t.Name].Cpu.ReservedCores = free[:t.Resources.Cores:t.Resources.Cores]
		free = free[t.Resources.Cores:]
	}
	return true
}

// DeviceAffinity is how well a node's free devices meet the wishes of the group's device requests, -1..1; false when
// the group has no such wish.
func (a *Ask) DeviceAffinity(n *model.Node, used *fleet.Exact) (float64, bool) {
	wished := false
	for _, d := range a.devices {
		wished = wished || len(d.affinities) > 0
	}
	if !wished {
		return 0, false
	}
	_, score, ok := pickDevices(n, used, a.devices)
	return score, ok
}

// possible tells whether Assign would succeed, where counters cannot tell; it chooses nothing. counted says that the
// counter of dynamic ports has been asked already.
func (a *Ask) possible(n *model.Node, used *fleet.Exact, counted bool) string {
	p := portPicker{node: n, used: used}
	for _, want := range a.static {
		if _, why := p.static(want); why != "" {
			return why
		}
	}
	if len(a.dynamic) > 0 && !counted {
		p = portPicker{node: n, used: used.Clone(), rng: rand.New(rand.NewPCG(1, 1))}
		if _, why := p.pick(a.static, a.dynamic); why != "" {
			return why
		}
	}
	if len(a.devices) > 0 {
		if _, _, ok := pickDevices(n, used, a.devices); !ok {
			return reasonNoDevice
		}
	}
	return ""
}
