package feasible

import (
	"math"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
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

// affinity is how far a group of devices meets the request's wishes: the weights of those it meets, and of all.
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
