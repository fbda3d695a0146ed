package feasible

import (
	"fmt"
	"strconv"

	"github.com/droverhq/drover/core/model"
)

// placed is a constraint and the block it stands in.
type placed struct {
	model.Constraint
	path  string
	match matcher
}

// Impossible lists the constraints of a job that no node can ever meet: those between literals that do not hold, and
// those of the job, a group and its tasks that contradict each other. It finds plain contradictions, not all there are.
func Impossible(job *model.Job) (out []model.Problem) {
	var ofJob []placed
	ofJob, out = gather(ofJob, out, "constraint", job.Constraints)
	out = append(out, contradictions(ofJob, 0)...)
	for _, g := range job.TaskGroups {
		path := fmt.Sprintf("group %q", g.Name)
		all := append([]placed(nil), ofJob...)
		all, out = gather(all, out, path+" > constraint", g.Constraints)
		for _, t := range g.Tasks {
			all, out = gather(all, out, fmt.Sprintf("%s > task %q > constraint", path, t.Name), t.Constraints)
		}
		out = append(out, contradictions(all, len(ofJob))...)
	}
	return out
}

// gather adds the constraints that one node alone answers, and reports those between literals that do not hold.
func gather(into []placed, problems []model.Problem, path string, list []model.Constraint) ([]placed, []model.Problem) {
	for _, c := range list {
		match, err := operand(c.Operand)
		if err != nil {
			continue // distinct_*, or refused elsewhere
		}
		p := placed{c, path, match}
		left, right := ParseTarget(c.LTarget), ParseTarget(c.RTarget)
		if left.source != literal {
			into = append(into, p)
			continue
		}
		if right.source == literal && !match(side{c.LTarget, true}, side{c.RTarget, true}) {
			problems = append(problems, model.Problem{Path: path, Message: fmt.Sprintf(
				"%q never holds: %q is plain text; write ${attr.<key>}, ${meta.<key>} or ${node.<property>} for what a node has", c, c.LTarget)})
		}
	}
	return into, problems
}

// contradictions reports each constraint from fresh on that cannot hold together with an earlier one.
func contradictions(all []placed, fresh int) (out []model.Problem) {
	for i := fresh; i < len(all); i++ {
		for _, other := range all[:i] {
			if other.LTarget != all[i].LTarget || !excludes(other, all[i]) && !excludes(all[i], other) {
				continue
			}
			out = append(out, model.Problem{Path: all[i].path, Message: fmt.Sprintf(
				"%q can never hold together with %q (%s): no node meets both", all[i].Constraint, other.Constraint, other.path)})
			break
		}
	}
	return out
}

// excludes tells whether a, which fixes or bounds the value of a property, leaves none that b accepts.
func excludes(a, b placed) bool {
	if ParseTarget(a.RTarget).source != literal || ParseTarget(b.RTarget).source != literal {
		return false
	}
	switch a.Operand {
	case "", "=", "==", "is":
		return !b.match(side{a.RTarget, true}, side{b.RTarget, true})
	case model.OpIsNotSet:
		return b.Operand != "!=" && b.Operand != "not" && b.Operand != model.OpIsNotSet
	case ">", ">=":
		if b.Operand != "<" && b.Operand != "<=" {
			return false
		}
		low, err1 := strconv.ParseFloat(a.RTarget, 64)
		high, err2 := strconv.ParseFloat(b.RTarget, 64)
		touch := a.Operand == ">=" && b.Operand == "<="
		return err1 == nil && err2 == nil && (low > high || low == high && !touch)
	}
	return false
}
