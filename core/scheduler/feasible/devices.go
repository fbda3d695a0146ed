package feasible

import (
	"math"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

const reasonNoDevice = "devices: no devices match request"

// deviceAsk is a task's request for device instances.
type deviceAsk struct {
	task              string
	vendor, typ, name string // "" any
	count             int
	constraints       []deviceCondition
	affinities        []deviceAffinity
	unique            bool // a constraint names what nodes of one class need not have in common
}

// deviceAffinity is a wish and how much it counts.
type deviceAffinity struct {
	deviceCondition
	weight float64
}

// newDeviceAsk reads an id: type, vendor/type or vendor/type/name.
func newDeviceAsk(task string, d *model.RequestedDevice) deviceAsk {
	a := deviceAsk{task: task, count: int(min(d.Count, math.MaxInt32))}
	for _, c := range d.Constraints {
		a.constraints = append(a.constraints, newDeviceCondition(c.LTarget, c.Operand, c.RTarget))
		a.unique = a.unique || uniqueOfDevice(c.LTarget) || uniqueOfDevice(c.RTarget)
	}
	for _, f := range d.Affinities {
		a.affinities = append(a.affinities, deviceAffinity{newDeviceCondition(f.LTarget, f.Operand, f.RTarget), float64(f.Weight)})
	}
	switch parts := strings.SplitN(d.Name, "/", 3); len(parts) {
	case 1:
		a.typ = parts[0]
	case 2:
		a.vendor, a.typ = parts[0], parts[1]
	case 3:
		a.vendor, a.typ, a.name = parts[0], parts[1], parts[2]
	}
	return a
}

// matches tells whether a group of devices is of the kind that is asked for.
func (a *deviceAsk) matches(d *model.NodeDevice) bool {
	if a.typ != d.Type || a.vendor != "" && a.vendor != d.Vendor || a.name != "" && a.name != d.Name {
		return false
	}
	for i := range a.constraints {
		if !a.constraints[i].holds(d) {
			return false
		}
	}
	return true
}

// affinity is how far a group of devices meets the request's wishes, -1..1.
func (a *deviceAsk) affinity(d *model.NodeDevice) (sum, weights float64) {
	for i := range a.affinities {
		f := &a.affinities[i]
		weights += math.Abs(f.weight)
		if f.holds(d) {
			sum += f.weight
		}
	}
	return sum, weights
}

// uniqueDevices tells whether the answer of hasDevices depends on the node and not on its class alone.
func (a *Ask) uniqueDevices() bool {
	return slices.ContainsFunc(a.devices, func(d deviceAsk) bool { return d.unique })
}

// hasDevices tells whether a node has devices of every kind that is asked for, whoever uses them.
func hasDevices(n *model.Node, asks []deviceAsk) bool {
	for i := range asks {
		if n.NodeResources == nil || !slices.ContainsFunc(n.NodeResources.Devices, asks[i].matches) {
			return false
		}
	}
	return true
}

// devicePick is what one request gets: instances of one group.
type devicePick struct {
	ask   *deviceAsk
	group *model.NodeDevice
	ids   []string
}

// pickDevices gives one instance its devices: each request all of one kind, the kind it likes best. It returns what each
// request got, in order, and how well the wishes were met, or false.
func pickDevices(n *model.Node, used *fleet.Exact, asks []deviceAsk) (picks []devicePick, score float64, ok bool) {
	picks = make([]devicePick, 0, len(asks))
	var sum, weights float64
	for i := range asks {
		a := &asks[i]
		var best *model.NodeDevice
		var bestSum, bestWeights float64
		for _, d := range n.NodeResources.Devices {
			if !a.matches(d) || !hasFree(d, used, picks, a.count) {
				continue
			}
			s, w := a.affinity(d)
			if best == nil || s > bestSum {
				best, bestSum, bestWeights = d, s, w
			}
		}
		if best == nil {
			return nil, 0, false
		}
		picks = append(picks, devicePick{a, best, freeInstances(best, used, picks, a.count)})
		sum, weights = sum+bestSum, weights+bestWeights
	}
	if weights == 0 {
		return picks, 0, true
	}
	return picks, sum / weights, true
}

// hasFree tells whether as many instances of a group are free as are asked for.
func hasFree(d *model.NodeDevice, used *fleet.Exact, picks []devicePick, count int) bool {
	if count > len(d.Instances) {
		return false
	}
	for _, i := range d.Instances {
		if count > 0 && isFree(d, i, used, picks) {
			count--
		}
	}
	return count <= 0
}

// freeInstances are the first free instances of a group, as many as asked for.
func freeInstances(d *model.NodeDevice, used *fleet.Exact, picks []devicePick, count int) []string {
	ids := make([]string, 0, count)
	for _, i := range d.Instances {
		if len(ids) < count && isFree(d, i, used, picks) {
			ids = append(ids, i.ID)
		}
	}
	return ids
}

// isFree tells whether nobody holds a device: neither on the node nor among the picks made so far.
func isFree(d *model.NodeDevice, i *model.NodeDeviceInstance, used *fleet.Exact, picks []devicePick) bool {
	if !i.Healthy || used.HoldsDevices() && used.Device(fleet.DeviceKey(d.Vendor, d.Type, d.Name, i.ID)) {
		return false
	}
	for _, p := range picks {
		if p.group == d && slices.Contains(p.ids, i.ID) {
			return false
		}
	}
	return true
}
