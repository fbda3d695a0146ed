// Package explain puts into words why instances of a group were not placed: what was against how many nodes, which nodes
// missed by least, and what would help. It knows nothing but the counts that the scheduler left in an AllocMetric, so
// everything that shows a failure (status, plan and run commands) says the same.
package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// Failure returns one line per fact, the counts first, then the nearest misses, then what would help.
func Failure(m *model.AllocMetric) []string {
	t := &text{m: m}
	t.counts()
	t.misses()
	t.help()
	return t.lines
}

// Placement returns the lines for an instance that was placed: how much of the fleet was looked at and left out.
func Placement(m *model.AllocMetric) []string {
	t := &text{m: m}
	t.say("%s evaluated, %d filtered, %d exhausted", nodes(m.NodesEvaluated), m.NodesFiltered, m.NodesExhausted)
	t.reasons()
	return t.lines
}

// text gathers lines.
type text struct {
	m     *model.AllocMetric
	lines []string
}

func (t *text) say(format string, args ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, args...))
}

func (t *text) counts() {
	m := t.m
	if m.NodesEvaluated == 0 {
		t.say("No nodes were eligible for evaluation")
	}
	for _, dc := range keys(m.NodesAvailable) {
		if m.NodesAvailable[dc] == 0 {
			t.say("No nodes are available in datacenter %q", dc)
		}
	}
	t.reasons()
}

// reasons are the counts per reason and dimension.
func (t *text) reasons() {
	m := t.m
	for _, k := range keys(m.ClassFiltered) {
		t.say("Class %q: %s excluded by filter", k, nodes(m.ClassFiltered[k]))
	}
	for _, k := range keys(m.ConstraintFiltered) {
		t.say("Constraint %q: %s excluded by filter", k, nodes(m.ConstraintFiltered[k]))
	}
	if m.NodesExhausted > 0 {
		t.say("Resources exhausted on %s", nodes(m.NodesExhausted))
	}
	for _, k := range keys(m.ClassExhausted) {
		t.say("Class %q exhausted on %s", k, nodes(m.ClassExhausted[k]))
	}
	for _, k := range keys(m.DimensionExhausted) {
		t.say("Dimension %q exhausted on %s", k, nodes(m.DimensionExhausted[k]))
	}
	for _, q := range m.QuotaExhausted {
		t.say("Quota limit hit %q", q)
	}
}

func (t *text) misses() {
	for i, n := range t.m.NearMisses {
		head := "Nearest miss"
		if i > 0 {
			head = "Next"
		}
		var what []string
		if lacks := amounts(n.Lacks); lacks != "" {
			what = append(what, verb(n.Nodes, "lacks", "lack")+" "+lacks)
		}
		if len(n.Reasons) > 0 {
			what = append(what, verb(n.Nodes, "is", "are")+" refused by "+quoted(n.Reasons))
		}
		where := " (" + n.NodeName
		if n.Nodes > 1 {
			where = " (such as " + n.NodeName
		}
		if n.Detail != "" {
			where += ": " + n.Detail
		}
		t.say("%s: %s %s%s)", head, nodes(n.Nodes), strings.Join(what, " and "), where)
	}
}

// units of the dimensions; those without count pieces.
var units = map[string]string{"cpu": " MHz of cpu", "memory": " MB of memory", "disk": " MB of disk"}

// amounts reads "200 MB of memory and 1 core".
func amounts(lacks map[string]int64) string {
	var parts []string
	for _, d := range keys(lacks) {
		unit, ok := units[d]
		switch {
		case ok:
		case d == "allocations":
			unit = " place (node_max_allocs)"
		case d == "ports" && lacks[d] == 1:
			unit = " dynamic port"
		case d == "ports":
			unit = " dynamic ports"
		case d == "cores" && lacks[d] == 1:
			unit = " core"
		default:
			unit = " " + d
		}
		parts = append(parts, fmt.Sprintf("%d%s", lacks[d], unit))
	}
	return strings.Join(parts, " and ")
}

func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

// tally reads "dc1 (5), dc2 (1)".
func tally(m map[string]int) string {
	var out []string
	for _, k := range keys(m) {
		out = append(out, fmt.Sprintf("%s (%d)", k, m[k]))
	}
	return strings.Join(out, ", ")
}

// tallied reads "2 down, 1 draining".
func tallied(m map[string]int) string {
	var out []string
	for _, k := range keys(m) {
		out = append(out, fmt.Sprintf("%d %s", m[k], k))
	}
	return strings.Join(out, ", ")
}

func total(m map[string]int) (sum int) {
	for _, n := range m {
		sum += n
	}
	return sum
}

func keys[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
