// Package attribute holds the typed values that plugins report about a node or a device: a number, text or truth value,
// with an optional unit. The scheduler compares them in constraints and affinities.
package attribute

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Kind says which field of a Value is set.
type Kind uint8

// The kinds a Value can have. Zero is not a valid kind: a Value that was never set is refused by Validate.
const (
	None Kind = iota
	KindInt
	KindFloat
	KindString
	KindBool
)

// Value is one attribute. Only the field named by Kind counts. Unit is empty or one of the units in Units, and only a
// number may carry one.
type Value struct {
	Kind   Kind
	Int    int64
	Float  float64
	String string
	Bool   bool
	Unit   string
}

// Text returns a text attribute.
func Text(s string) Value { return Value{Kind: KindString, String: s} }

// Truth returns a truth value.
func Truth(b bool) Value { return Value{Kind: KindBool, Bool: b} }

// Int returns a whole number with a unit; unit may be empty.
func Int(n int64, unit string) Value { return Value{Kind: KindInt, Int: n, Unit: unit} }

// Float returns a fractional number with a unit; unit may be empty.
func Float(f float64, unit string) Value { return Value{Kind: KindFloat, Float: f, Unit: unit} }

// Format returns the text form: the value followed at once by its unit ("2048MiB"). This is what a node's attribute map
// shows and what constraints on it compare.
func (v Value) Format() string {
	switch v.Kind {
	case KindInt:
		return strconv.FormatInt(v.Int, 10) + v.Unit
	case KindFloat:
		return strconv.FormatFloat(v.Float, 'f', -1, 64) + v.Unit
	case KindBool:
		return strconv.FormatBool(v.Bool)
	case KindString:
		return v.String
	}
	return ""
}

// Validate reports why a host would refuse the value.
func (v Value) Validate() error {
	if v.Kind == None || v.Kind > KindBool {
		return fmt.Errorf("attribute has no value")
	}
	if v.Unit == "" {
		return nil
	}
	if v.Kind != KindInt && v.Kind != KindFloat {
		return fmt.Errorf("attribute %q: only a number may have a unit, not %q", v.Format(), v.Unit)
	}
	if _, ok := unitOf(v.Unit); !ok {
		return fmt.Errorf("attribute %q: unknown unit %q", v.Format(), v.Unit)
	}
	return nil
}

// Parse reads a text form. It takes the first that fits of whole number, fraction, truth value and text; a number that
// is followed by a known unit becomes a number with that unit.
func Parse(s string) Value {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return Int(n, "")
	}
	if f, ok := parseFloat(s); ok {
		return Float(f, "")
	}
	if b, err := strconv.ParseBool(s); err == nil {
		return Truth(b)
	}
	unit := longestUnitSuffix(s)
	if unit == "" {
		return Text(s)
	}
	number := strings.TrimSpace(strings.TrimSuffix(s, unit))
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		return Int(n, unit)
	}
	if f, ok := parseFloat(number); ok {
		return Float(f, unit)
	}
	return Text(s)
}

// Compare orders two values: negative, zero or positive as a is less than, equal to or greater than b. It is not ok
// when they cannot be compared: different kinds, units of different families, or truth values that differ.
func Compare(a, b Value) (order int, ok bool) {
	switch {
	case a.Kind == KindString && b.Kind == KindString:
		return strings.Compare(a.String, b.String), true
	case a.Kind == KindBool && b.Kind == KindBool:
		return 0, a.Bool == b.Bool
	case !a.numeric() || !b.numeric():
		return 0, false
	}
	if a.Kind == KindInt && b.Kind == KindInt && a.Unit == b.Unit {
		return compare(a.Int, b.Int), true
	}
	x, familyA, okA := a.base()
	y, familyB, okB := b.base()
	if !okA || !okB || familyA != familyB {
		return 0, false
	}
	return compare(x, y), true
}

func (v Value) numeric() bool { return v.Kind == KindInt || v.Kind == KindFloat }

// base converts a number to the smallest unit of its family.
func (v Value) base() (amount float64, family string, ok bool) {
	amount = v.Float
	if v.Kind == KindInt {
		amount = float64(v.Int)
	}
	if v.Unit == "" {
		return amount, "", true
	}
	u, ok := unitOf(v.Unit)
	return amount * u.factor, u.family, ok
}

func compare[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// parseFloat leaves words such as "nan", "inf" and "infinity" to be text.
func parseFloat(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}
