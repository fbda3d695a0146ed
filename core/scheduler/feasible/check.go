package feasible

import (
	"slices"
	"strconv"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Why a node takes nothing of a plan, apart from what it is short of.
const (
	NodeGone     = "node does not exist"
	NodeNotReady = "node is not ready for placements"
	NodeDown     = "node is down"
)

// Check tells whether a node can hold the proposed allocations beside the existing ones, and if not, in which dimension
// it is short. existing is what stays on the node; a proposed allocation with the ID of an existing one replaces it. New
// ones need a node that is ready, updates of existing ones any that is not down.
func Check(n *model.Node, existing, proposed []*model.Allocation) (ok bool, dimension string) {
	if n == nil {
		return false, NodeGone
	}
	table := fleet.New()
	table.UpsertNode(n)
	ids := make(map[string]bool, len(proposed))
	for _, a := range proposed {
		ids[a.ID] = true
	}
	var replaced []*model.Allocation
	for _, a := range existing {
		on := *a
		on.NodeID = n.ID
		table.ApplyAlloc(nil, &on)
		if ids[a.ID] {
			replaced = append(replaced, &on)
		}
	}
	return CheckDraft(table.Snapshot().Draft(), n.ID, replaced, proposed)
}

// CheckDraft is Check over the columns: removed is what is stored of the allocations that the plan stops, evicts or
// updates on the node. When the answer is yes, the draft holds the change; otherwise it is as before.
func CheckDraft(d *fleet.Draft, nodeID string, removed, proposed []*model.Allocation) (ok bool, dimension string) {
	num, found := d.Number(nodeID)
	if !found {
		return false, NodeGone
	}
	nodes, _, i := d.Row(num)
	if why := accepts(nodes.Node[i], removed, proposed); why != "" {
		return false, why
	}
	before := d.InUse(num)
	for _, a := range removed {
		d.ReleaseAlloc(a)
	}
	var taken int
	var why string
	for _, a := range proposed {
		if a.AllocatedResources == nil || a.Terminal() {
			taken++
			continue
		}
		if why = collision(d.Exact(num), a.AllocatedResources); why == "" && !holds(removed, a.ID) {
			why = absent(nodes.Node[i], a.AllocatedResources)
		}
		if why != "" {
			break
		}
		d.Take(num, a.AllocatedResources)
		taken++
	}
	if why == "" {
		why = grown(d, num, before)
	}
	if why == "" {
		return true, ""
	}
	for _, a := range proposed[:taken] {
		if a.AllocatedResources != nil && !a.Terminal() {
			d.Release(num, a.AllocatedResources)
		}
	}
	for _, a := range removed {
		if a.AllocatedResources != nil && !a.Terminal() {
			d.Take(num, a.AllocatedResources)
		}
	}
	return false, why
}

// accepts tells whether the node's status lets it have the proposed allocations.
func accepts(n *model.Node, removed, proposed []*model.Allocation) string {
	if n.Ready() {
		return ""
	}
	known := make(map[string]bool, len(removed))
	for _, a := range removed {
		known[a.ID] = true
	}
	for _, a := range proposed {
		switch {
		case a.Terminal() || a.ClientStatus == model.AllocClientUnknown:
		case !known[a.ID]:
			return NodeNotReady
		case n.Status == model.NodeStatusDown || n.Status == model.NodeStatusDisconnected:
			return NodeDown
		}
	}
	return ""
}

// grown asks fit for the difference between what a node holds now and what it held before.
func grown(d *fleet.Draft, num fleet.Num, before fleet.Amount) string {
	now, capacity := d.InUse(num), d.Capacity(num)
	more := fleet.Amount{
		CPU: now.CPU - before.CPU, Memory: now.Memory - before.Memory, Disk: now.Disk - before.Disk,
		Cores: now.Cores - before.Cores, Allocs: now.Allocs - before.Allocs,
	}
	v := fit(&capacity, &before, &more)
	if v == OK {
		return ""
	}
	names := newReasons()
	return names.list[v].text
}

// collision tells whether an allocation's exact ports, cores or devices are in use already.
func collision(used *fleet.Exact, r *model.AllocatedResources) string {
	for _, p := range r.Shared.Ports {
		if !p.IgnoreCollision && used.Ports(p.HostIP).Has(p.Value) {
			return portCollision(p.Label, p.Value)
		}
	}
	for _, t := range r.Tasks {
		for _, n := range t.Networks {
			for _, ports := range [][]model.Port{n.ReservedPorts, n.DynamicPorts} {
				for _, p := range ports {
					if !p.IgnoreCollision && used.Ports(n.IP).Has(p.Value) {
						return portCollision(p.Label, p.Value)
					}
				}
			}
		}
		for _, id := range t.Cpu.ReservedCores {
			if used.Core(id) {
				return "cores"
			}
		}
		for _, dev := range t.Devices {
			for _, id := range dev.DeviceIDs {
				if used.Device(fleet.DeviceKey(dev.Vendor, dev.Type, dev.Name, id)) {
					return "devices: " + dev.Vendor + "/" + dev.Type + "/" + dev.Name + " " + id + " is in use"
				}
			}
		}
	}
	return ""
}

func holds(removed []*model.Allocation, id string) bool {
	return slices.ContainsFunc(removed, func(a *model.Allocation) bool { return a.ID == id })
}

// absent tells whether cores or devices that a new allocation is to get are not, or no longer, the node's to give. What
// an allocation has already it keeps.
func absent(n *model.Node, r *model.AllocatedResources) string {
	for _, t := range r.Tasks {
		if len(t.Cpu.ReservedCores) > 0 {
			free := fleet.ReservableCores(n)
			for _, id := range t.Cpu.ReservedCores {
				if !slices.Contains(free, id) {
					return "cores"
				}
			}
		}
		for _, d := range t.Devices {
			for _, id := range d.DeviceIDs {
				if why := deviceTrouble(n, d, id); why != "" {
					return "devices: " + d.ID() + " " + id + " " + why
				}
			}
		}
	}
	return ""
}

// deviceTrouble tells why a node cannot give a device out; "" if it can.
func deviceTrouble(n *model.Node, want *model.AllocatedDevice, id string) string {
	if n.NodeResources != nil {
		for _, d := range n.NodeResources.Devices {
			if d.Vendor != want.Vendor || d.Type != want.Type || d.Name != want.Name {
				continue
			}
			for _, i := range d.Instances {
				switch {
				case i.ID != id:
				case i.Healthy:
					return ""
				default:
					return "is unhealthy"
				}
			}
		}
	}
	return "is not there any more"
}

func portCollision(label string, port int) string {
	return "network: reserved port collision " + label + "=" + strconv.Itoa(port)
}
