package feasible

import (
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/sdk/attribute"
)

const reasonNoDevice = "devices: no devices match request"

// deviceAsk is a task's request for device instances.
type deviceAsk struct {
	task              string
	vendor, typ, name string // "" any
	count             int
	constraints       []model.Constraint
	affinities        []model.Affinity
}

// newDeviceAsk reads an id: type, vendor/type or vendor/type/name.
func newDeviceAsk(task string, d *model.RequestedDevice) deviceAsk {
	a := deviceAsk{task: task, count: int(d.Count), constraints: d.Constraints, affinities: d.Affinities}
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
func (a deviceAsk) matches(d *model.NodeDevice) bool {
	if a.typ != d.Type || a.vendor != "" && a.vendor != d.Vendor || a.name != "" && a.name != d.Name {
		return false
	}
	for _, c := range a.constraints {
		if !deviceHolds(d, c.LTarget, c.Operand, c.RTarget) {
			return false
		}
	}
	return true
}

// unique tells whether the request names what nodes of one class need not have in common.
func (a deviceAsk) unique() bool {
	for _, c := range a.constraints {
		for _, side := range []string{c.LTarget, c.RTarget} {
			if side == "${device.ids}" || strings.HasPrefix(side, "${device.attr.unique.") {
				return true
			}
		}
	}
	return false
}

// affinity is how far a group of devices meets the request's wishes, -1..1.
func (a deviceAsk) affinity(d *model.NodeDevice) (sum, weights float64) {
	for _, f := range a.affinities {
		w := float64(f.Weight)
		weights += max(w, -w)
		if deviceHolds(d, f.LTarget, f.Operand, f.RTarget) {
			sum += w
		}
	}
	return sum, weights
}

// deviceHolds compares with units: "2 GiB" is 2048 MiB.
func deviceHolds(d *model.NodeDevice, left, op, right string) bool {
	l, r := deviceSide(d, left), deviceSide(d, right)
	switch op {
	case "", "=", "==", "is", "!=", "not", "<", "<=", ">", ">=":
		negated := op == "!=" || op == "not"
		if !l.ok || !r.ok {
			return negated && l.ok != r.ok
		}
		order, ok := attribute.Compare(attribute.Parse(l.value), attribute.Parse(r.value))
		if !ok {
			return negated
		}
		switch op {
		case "<":
			return order < 0
		case "<=":
			return order <= 0
		case ">":
			return order > 0
		case ">=":
			return order >= 0
		}
		return (order == 0) != negated
	}
	match, err := operand(op)
	return err == nil && match(l, r)
}

func deviceSide(d *model.NodeDevice, text string) side {
	ref, ok := strings.CutPrefix(text, "${device.")
	if !ok {
		return side{text, true}
	}
	ref = strings.TrimSuffix(ref, "}")
	switch ref {
	case "vendor":
		return side{d.Vendor, true}
	case "type":
		return side{d.Type, true}
	case "model":
		return side{d.Name, true}
	case "ids":
		ids := make([]string, 0, len(d.Instances))
		for _, i := range d.Instances {
			ids = append(ids, i.ID)
		}
		return side{strings.Join(ids, ","), true}
	}
	key, ok := strings.CutPrefix(ref, "attr.")
	if !ok {
		return side{}
	}
	v, ok := d.Attributes[key]
	return side{v.Text(), ok}
}

// uniqueDevices tells whether the answer of hasDevices depends on the node and not on its class alone.
func (a *Ask) uniqueDevices() bool { return slices.ContainsFunc(a.devices, deviceAsk.unique) }

// hasDevices tells whether a node has devices of every kind that is asked for, whoever uses them.
func hasDevices(n *model.Node, asks []deviceAsk) bool {
	for _, a := range asks {
		found := false
		if n.NodeResources != nil {
			for _, d := range n.NodeResources.Devices {
				found = found || a.matches(d)
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// pickDevices gives one instance its devices: each request all of one kind, the kind it likes best. It returns what each
// task got and how well the wishes were met, or false.
func pickDevices(n *model.Node, used *fleet.Exact, asks []deviceAsk) (map[string][]*model.AllocatedDevice, float64, bool) {
	out := map[string][]*model.AllocatedDevice{}
	given := map[string]bool{}
	var sum, weights float64
	for _, a := range asks {
		var best *model.NodeDevice
		var bestIDs []string
		var bestSum, bestWeights float64
		for _, d := range n.NodeResources.Devices {
			if !a.matches(d) {
				continue
			}
			ids := freeInstances(d, used, given, a.count)
			if len(ids) < a.count {
				continue
			}
			s, w := a.affinity(d)
			if best == nil || s > bestSum {
				best, bestIDs, bestSum, bestWeights = d, ids, s, w
			}
		}
		if best == nil {
			return nil, 0, false
		}
		for _, id := range bestIDs {
			given[fleet.DeviceKey(best.Vendor, best.Type, best.Name, id)] = true
		}
		out[a.task] = append(out[a.task], &model.AllocatedDevice{
			Vendor: best.Vendor, Type: best.Type, Name: best.Name, DeviceIDs: bestIDs,
		})
		sum, weights = sum+bestSum, weights+bestWeights
	}
	if weights == 0 {
		return out, 0, true
	}
	return out, sum / weights, true
}

func freeInstances(d *model.NodeDevice, used *fleet.Exact, given map[string]bool, count int) []string {
	var ids []string
	for _, i := range d.Instances {
		key := fleet.DeviceKey(d.Vendor, d.Type, d.Name, i.ID)
		if len(ids) < count && i.Healthy && !used.Device(key) && !given[key] {
			ids = append(ids, i.ID)
		}
	}
	return ids
}
