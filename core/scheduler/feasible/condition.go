package feasible

import (
	"github.com/droverhq/drover/core/model"
)

// Condition is a constraint or affinity that one node alone answers.
type Condition struct {
	left, right Target
	match       matcher
}

// NewCondition compiles a condition. An operand that does not exist gives a condition that never holds: submitting such
// a job is refused, so this is only met in jobs of other releases.
func NewCondition(left, op, right string) Condition {
	match, err := operand(op)
	if err != nil {
		match = func(l, r side) bool { return false }
	}
	return Condition{left: ParseTarget(left), right: ParseTarget(right), match: match}
}

// Unique tells whether nodes of one computed class may answer differently.
func (c Condition) Unique() bool { return c.left.Unique() || c.right.Unique() }

// Holds tells whether the node meets the condition.
func (c Condition) Holds(n *model.Node) bool {
	l, lok := c.left.Value(n)
	r, rok := c.right.Value(n)
	return c.match(side{l, lok}, side{r, rok})
}
