package feasible

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	version "github.com/hashicorp/go-version"

	"github.com/droverhq/drover/core/model"
)

// side is a resolved target; ok is false when the node has no such property.
type side struct {
	value string
	ok    bool
}

// matcher tells whether an operand holds between two resolved sides.
type matcher func(l, r side) bool

// operand returns the matcher of a constraint's or affinity's operand. The distinct_* operands look at more than one
// node and are not among them.
func operand(name string) (matcher, error) {
	switch name {
	case "", "=", "==", "is":
		return func(l, r side) bool { return l.ok && r.ok && l.value == r.value }, nil
	case "!=", "not":
		return func(l, r side) bool { return l != r }, nil
	case "<":
		return ordered(func(c int) bool { return c < 0 }), nil
	case "<=":
		return ordered(func(c int) bool { return c <= 0 }), nil
	case ">":
		return ordered(func(c int) bool { return c > 0 }), nil
	case ">=":
		return ordered(func(c int) bool { return c >= 0 }), nil
	case model.OpIsSet:
		return func(l, _ side) bool { return l.ok }, nil
	case model.OpIsNotSet:
		return func(l, _ side) bool { return !l.ok }, nil
	case model.OpSetContains, model.OpSetContainsAll:
		return both(containsAll), nil
	case model.OpSetContainsAny:
		return both(containsAny), nil
	case model.OpRegexp:
		return parsed(parseRegexp, (*regexp.Regexp).MatchString), nil
	case model.OpVersion:
		return parsed(version.NewConstraint, matchVersion), nil
	case model.OpSemver:
		return parsed(parseSemver, matchSemver), nil
	}
	return nil, fmt.Errorf("unknown operator %q", name)
}

// both is a matcher that needs both sides.
func both(f func(l, r string) bool) matcher {
	return func(l, r side) bool { return l.ok && r.ok && f(l.value, r.value) }
}

// parsed is a matcher whose right side is parsed first. A right side is nearly always the same text for all nodes, so
// the last one is kept. What does not parse matches nothing.
func parsed[T any](parse func(string) (T, error), match func(T, string) bool) matcher {
	var text string
	var value T
	var err error
	first := true
	return both(func(l, r string) bool {
		if first || r != text {
			text, first = r, false
			value, err = parse(r)
		}
		return err == nil && match(value, l)
	})
}

func parseRegexp(s string) (*regexp.Regexp, error) { return regexp.Compile(s) }

// ordered compares whole numbers as such, else fractions as such, else text.
func ordered(holds func(int) bool) matcher {
	return both(func(l, r string) bool { return holds(compare(l, r)) })
}

func compare(l, r string) int {
	li, err1 := strconv.ParseInt(l, 10, 64)
	ri, err2 := strconv.ParseInt(r, 10, 64)
	if err1 == nil && err2 == nil {
		return cmp.Compare(li, ri)
	}
	lf, err1 := strconv.ParseFloat(l, 64)
	rf, err2 := strconv.ParseFloat(r, 64)
	if err1 == nil && err2 == nil {
		return cmp.Compare(lf, rf)
	}
	return strings.Compare(l, r)
}

// items calls each for every item of a comma list until it returns false.
func items(list string, each func(string) bool) {
	for item := range strings.SplitSeq(list, ",") {
		if !each(strings.TrimSpace(item)) {
			return
		}
	}
}

func contains(list, item string) bool {
	found := false
	items(list, func(i string) bool { found = i == item; return !found })
	return found
}

func containsAll(list, wanted string) bool {
	all := true
	items(wanted, func(i string) bool { all = contains(list, i); return all })
	return all
}

func containsAny(list, wanted string) bool {
	found := false
	items(wanted, func(i string) bool { found = contains(list, i); return !found })
	return found
}

func matchVersion(c version.Constraints, s string) bool {
	v, err := version.NewVersion(s)
	return err == nil && c.Check(v)
}

// semverRule is one comparison of a semver constraint.
type semverRule struct {
	op string
	v  *version.Version
}

// parseSemver reads "op version, op version"; there is no pessimistic operator. Pre-releases are ordered as Semantic
// Versioning 2.0 says, and are not kept out otherwise.
func parseSemver(s string) ([]semverRule, error) {
	var rules []semverRule
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		end := strings.IndexFunc(part, func(r rune) bool { return !strings.ContainsRune("<>=!", r) })
		if end < 0 {
			return nil, fmt.Errorf("semver constraint %q has no version", part)
		}
		op := part[:end]
		switch op {
		case "", "=", "!=", "<", "<=", ">", ">=":
		default:
			return nil, fmt.Errorf("semver constraint %q: unknown operator %q", part, op)
		}
		v, err := version.NewSemver(strings.TrimSpace(part[end:]))
		if err != nil {
			return nil, fmt.Errorf("semver constraint %q: %w", part, err)
		}
		rules = append(rules, semverRule{op, v})
	}
	return rules, nil
}

func matchSemver(rules []semverRule, s string) bool {
	v, err := version.NewSemver(s)
	if err != nil {
		return false
	}
	for _, r := range rules {
		c := v.Compare(r.v)
		var holds bool
		switch r.op {
		case "", "=":
			holds = c == 0
		case "!=":
			holds = c != 0
		case "<":
			holds = c < 0
		case "<=":
			holds = c <= 0
		case ">":
			holds = c > 0
		case ">=":
			holds = c >= 0
		}
		if !holds {
			return false
		}
	}
	return true
}
