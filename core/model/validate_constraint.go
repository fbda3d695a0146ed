package model

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	version "github.com/hashicorp/go-version"
)

// placementRules checks the constraints, affinities and spreads of a job, group or task.
func (c *checker) placementRules(w where, cons []Constraint, affs []Affinity, spreads []Spread) {
	for _, x := range cons {
		if err := x.check(); err != nil {
			c.fail(w.in("constraint"), "%v", err)
		}
	}
	if c.job.Type == JobTypeSystem && len(affs) > 0 {
		c.fail(w.in("affinity"), "a system job runs on every node and has no affinities")
	}
	for _, a := range affs {
		if err := a.check(); err != nil {
			c.fail(w.in("affinity"), "%v", err)
		}
	}
	if c.job.Type == JobTypeSystem && len(spreads) > 0 {
		c.fail(w.in("spread"), "a system job runs on every node and has no spreads")
	}
	for _, s := range spreads {
		c.checkSpread(w.in("spread", s.Attribute), s)
	}
}

// operators of constraints by what they want of the right side.
const (
	wantsValue = iota
	wantsNothing
	wantsRegexp
	wantsVersion
	wantsSemver
	wantsBool
	wantsCount
)

var operators = map[string]int{
	"=": wantsValue, "==": wantsValue, "is": wantsValue, "!=": wantsValue, "not": wantsValue,
	"<": wantsValue, "<=": wantsValue, ">": wantsValue, ">=": wantsValue,
	OpSetContains: wantsValue, OpSetContainsAll: wantsValue, OpSetContainsAny: wantsValue,
	OpRegexp: wantsRegexp, OpVersion: wantsVersion, OpSemver: wantsSemver,
	OpIsSet: wantsNothing, OpIsNotSet: wantsNothing, OpDistinctHosts: wantsBool, OpDistinctProperty: wantsCount,
}

func (x Constraint) check() error {
	want, ok := operators[x.Operand]
	if !ok {
		return fmt.Errorf("unknown operator %q", x.Operand)
	}
	if want == wantsBool {
		if _, err := strconv.ParseBool(x.RTarget); x.RTarget != "" && err != nil {
			return fmt.Errorf("%s takes true or false, got %q", x.Operand, x.RTarget)
		}
		return nil
	}
	if err := checkTarget(x.LTarget); err != nil {
		return err
	}
	return checkOperand(x.Operand, want, x.RTarget)
}

func (a Affinity) check() error {
	want, ok := operators[a.Operand]
	if !ok || slices.Contains([]int{wantsNothing, wantsBool, wantsCount}, want) {
		return fmt.Errorf("operator %q is unknown or of no use in an affinity", a.Operand)
	}
	if a.Weight == 0 || a.Weight < -100 || a.Weight > 100 {
		return fmt.Errorf("weight must be within -100..100 and not 0, got %d", a.Weight)
	}
	if err := checkTarget(a.LTarget); err != nil {
		return err
	}
	return checkOperand(a.Operand, want, a.RTarget)
}

func checkOperand(operand string, want int, value string) error {
	switch {
	case want == wantsNothing && value != "":
		return fmt.Errorf("operator %s takes no value, got %q", operand, value)
	case want == wantsNothing:
		return nil
	case want == wantsCount:
		if n, err := strconv.ParseUint(value, 10, 32); value != "" && (err != nil || n < 1) {
			return fmt.Errorf("%s takes a number from 1, got %q", operand, value)
		}
		return nil
	case value == "":
		return fmt.Errorf("operator %s needs a value", operand)
	case strings.Contains(value, "${"):
		return checkReferences(value) // known on the node only
	}
	var err error
	switch want {
	case wantsRegexp:
		_, err = regexp.Compile(value)
	case wantsVersion:
		_, err = version.NewConstraint(value)
	case wantsSemver:
		err = checkSemver(value)
	}
	if err != nil {
		return fmt.Errorf("%q is no valid %s: %v", value, operand, err)
	}
	return nil
}

// checkSemver checks a comma list of comparisons with strict semantic versions.
func checkSemver(value string) error {
	for part := range strings.SplitSeq(value, ",") {
		part = strings.TrimSpace(part)
		text := strings.TrimSpace(strings.TrimLeft(part, "<>=!"))
		switch part[:len(part)-len(strings.TrimLeft(part, "<>=!"))] {
		case "", "=", "!=", "<", "<=", ">", ">=":
		default:
			return fmt.Errorf("%q begins with no known comparison", part)
		}
		if _, err := version.NewSemver(text); err != nil {
			return fmt.Errorf("%q is no version", text)
		}
	}
	return nil
}

// nodeTargets are references to a node's own properties.
var nodeTargets = []string{"${node.unique.id}", "${node.datacenter}", "${node.unique.name}", "${node.class}", "${node.pool}"}

// checkReferences checks the ${...} in a value that is compared with.
func checkReferences(value string) error {
	for rest := value; ; {
		_, after, found := strings.Cut(rest, "${")
		if !found {
			return nil
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			return fmt.Errorf("%q: a ${ is never closed", value)
		}
		if err := checkTarget("${" + name + "}"); err != nil {
			return err
		}
		rest = behind
	}
}

// checkTarget checks what a constraint, affinity or spread looks at: a reference to a property of a node or device,
// or plain text.
func checkTarget(target string) error {
	if target == "" {
		return fmt.Errorf("attribute is missing: what should be looked at?")
	}
	if !strings.HasPrefix(target, "$") {
		return nil
	}
	known := slices.Contains(nodeTargets, target)
	for _, p := range []string{"${attr.", "${meta.", "${device."} {
		known = known || strings.HasPrefix(target, p) && strings.HasSuffix(target, "}") && len(target) > len(p)+1
	}
	if !known {
		return fmt.Errorf("unsupported attribute %q: it must be ${attr.<key>}, ${meta.<key>}, ${device.<key>} or one of %s",
			target, strings.Join(nodeTargets, ", "))
	}
	return nil
}

func (c *checker) checkSpread(w where, s Spread) {
	if s.Attribute == "" {
		c.fail(w, "attribute is missing: what should be spread over?")
	} else if err := checkTarget(s.Attribute); err != nil {
		c.fail(w, "%v", err)
	}
	if s.Weight < 1 || s.Weight > 100 {
		c.fail(w, "weight must be within 1..100, got %d", s.Weight)
	}
	sum, seen := 0, map[string]bool{}
	for _, t := range s.SpreadTarget {
		if seen[t.Value] {
			c.fail(w, "target %q is written twice", t.Value)
		}
		seen[t.Value] = true
		if t.Percent > 100 {
			c.fail(w, "target %q: percent must be within 0..100, got %d", t.Value, t.Percent)
		}
		sum += int(t.Percent)
	}
	if sum > 100 {
		c.fail(w, "the targets' percentages sum up to %d, at most 100 are there to give", sum)
	}
}
