package feasible

import (
	"strconv"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// distinct keeps count for one distinct_hosts or distinct_property constraint: where allocations of its scope (the job,
// or the group when wholeJob is false) are, those of the plan included.
type distinct struct {
	text     string
	wholeJob bool
	limit    int
	hosts    map[fleet.Num]int // distinct_hosts
	property *Target           // distinct_property
	values   map[string]int
}

// newDistinct compiles a constraint; nil when it is no distinct one or switched off.
func newDistinct(c model.Constraint, wholeJob bool) *distinct {
	switch c.Operand {
	case model.OpDistinctHosts:
		if on, err := strconv.ParseBool(c.RTarget); err == nil && !on {
			return nil
		}
		return &distinct{text: c.String(), wholeJob: wholeJob, limit: 1, hosts: map[fleet.Num]int{}}
	case model.OpDistinctProperty:
		limit := 1
		if n, err := strconv.Atoi(c.RTarget); err == nil && n > 0 {
			limit = n
		}
		target := ParseTarget(c.LTarget)
		return &distinct{text: c.String(), wholeJob: wholeJob, limit: limit, property: &target, values: map[string]int{}}
	}
	return nil
}

// add counts by more (or fewer) allocations on a node.
func (d *distinct) add(num fleet.Num, n *model.Node, by int) {
	if d.property == nil {
		d.hosts[num] += by
		return
	}
	if v, ok := d.property.Value(n); ok {
		d.values[v] += by
	}
}

// allows tells whether one more may be placed on the node.
func (d *distinct) allows(num fleet.Num, n *model.Node) bool {
	if d.property == nil {
		return d.hosts[num] < d.limit
	}
	v, ok := d.property.Value(n)
	return ok && d.values[v] < d.limit
}
