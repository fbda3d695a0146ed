package feasible

import (
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/attribute"
)

// deviceCondition is a constraint or affinity on a group of devices. What it names outright is parsed once.
type deviceCondition struct {
	left, right deviceTarget
	operand     string
	match       matcher // of operands that do not compare; nil for those that do and for unknown ones
}

func newDeviceCondition(left, op, right string) deviceCondition {
	c := deviceCondition{left: newDeviceTarget(left), right: newDeviceTarget(right), operand: op}
	if !compares(op) {
		c.match, _ = operand(op) // an unknown one holds nowhere
	}
	return c
}

func compares(op string) bool {
	switch op {
	case "", "=", "==", "is", "!=", "not", "<", "<=", ">", ">=":
		return true
	}
	return false
}

// holds compares with units: "2 GiB" is 2048 MiB.
func (c *deviceCondition) holds(d *model.NodeDevice) bool {
	if !compares(c.operand) {
		return c.match != nil && c.match(c.left.side(d), c.right.side(d))
	}
	negated := c.operand == "!=" || c.operand == "not"
	l, leftOK := c.left.value(d)
	r, rightOK := c.right.value(d)
	if !leftOK || !rightOK {
		return negated && leftOK != rightOK
	}
	order, ok := attribute.Compare(l, r)
	if !ok {
		return negated
	}
	switch c.operand {
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

// deviceTarget is one side of a condition: a property of the group, or the text itself.
type deviceTarget struct {
	property string // what ${device.<property>} names; "" for text
	text     string
	parsed   attribute.Value // of the text
}

func newDeviceTarget(text string) deviceTarget {
	if ref, ok := strings.CutPrefix(text, "${device."); ok {
		return deviceTarget{property: strings.TrimSuffix(ref, "}")}
	}
	return deviceTarget{text: text, parsed: attribute.Parse(text)}
}

// uniqueOfDevice tells whether a target names what devices of equal groups need not have in common.
func uniqueOfDevice(target string) bool {
	return target == "${device.ids}" || strings.HasPrefix(target, "${device.attr.unique.")
}

// value is the typed form of a target.
func (t *deviceTarget) value(d *model.NodeDevice) (attribute.Value, bool) {
	if t.property == "" {
		return t.parsed, true
	}
	if key, ok := strings.CutPrefix(t.property, "attr."); ok {
		a := d.Attributes[key]
		switch {
		case a == nil:
			return attribute.Value{}, false
		case a.Int != nil:
			return attribute.Int(*a.Int, a.Unit), true
		case a.Float != nil:
			return attribute.Float(*a.Float, a.Unit), true
		}
	}
	s := t.side(d)
	return attribute.Parse(s.value), s.ok
}

// side is the text form of a target.
func (t *deviceTarget) side(d *model.NodeDevice) side {
	switch t.property {
	case "":
		return side{t.text, true}
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
	key, ok := strings.CutPrefix(t.property, "attr.")
	if !ok {
		return side{}
	}
	v, ok := d.Attributes[key]
	return side{v.Text(), ok}
}
