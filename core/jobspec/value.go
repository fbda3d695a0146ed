package jobspec

import (
	"fmt"
	"math/big"
	"time"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// fromCty makes the tree's form of a value for a field of that kind. A nil result without an error means null, which
// counts as not written.
func fromCty(kind Kind, v cty.Value) (any, error) {
	if kind == Duration && v.IsNull() {
		return nil, fmt.Errorf("expected a duration such as \"30s\", got null")
	}
	if v.IsNull() {
		return nil, nil
	}
	if !v.IsWhollyKnown() {
		return nil, fmt.Errorf("the value is not known")
	}
	switch kind {
	case String:
		return ctyScalar(v, cty.String, "a string")
	case Int:
		return ctyInt(v)
	case Bool:
		return ctyScalar(v, cty.Bool, "true or false")
	case Duration:
		return ctyDuration(v)
	case Strings:
		return ctyStrings(v)
	case StringMap:
		return ctyMap(v, func(e cty.Value) (any, error) { return ctyScalar(e, cty.String, "a string") })
	case ListMap:
		return ctyMap(v, ctyOneOrMore)
	case Free, Config:
		if !v.Type().IsObjectType() && !v.Type().IsMapType() {
			return nil, fmt.Errorf("expected an object, got %s", describe(v))
		}
		m := plain(v).(map[string]any)
		if kind == Config {
			wrapObjects(m)
		}
		return m, nil
	}
	return nil, fmt.Errorf("expected %s, got %s", kind, describe(v))
}

func ctyScalar(v cty.Value, want cty.Type, name string) (any, error) {
	c, err := convert.Convert(v, want)
	if err != nil || c.IsNull() {
		return nil, fmt.Errorf("expected %s, got %s", name, describe(v))
	}
	if want == cty.Bool {
		return c.True(), nil
	}
	return c.AsString(), nil
}

func ctyInt(v cty.Value) (any, error) {
	c, err := convert.Convert(v, cty.Number)
	if err != nil || c.IsNull() {
		return nil, fmt.Errorf("expected a number, got %s", describe(v))
	}
	f := c.AsBigFloat()
	n, acc := f.Int64()
	if !f.IsInt() {
		return nil, fmt.Errorf("expected a whole number, got %s", describe(v))
	}
	if acc != big.Exact {
		return nil, fmt.Errorf("the number %s is too large", f.Text('f', 0))
	}
	return n, nil
}

func ctyDuration(v cty.Value) (any, error) {
	if v.Type() == cty.Number {
		n, err := ctyInt(v)
		if err != nil {
			return nil, fmt.Errorf("expected a duration such as \"30s\" or a number of nanoseconds, got %s", describe(v))
		}
		return n, nil
	}
	if v.Type() != cty.String {
		return nil, fmt.Errorf("expected a duration such as \"30s\", got %s", describe(v))
	}
	d, err := time.ParseDuration(v.AsString())
	if err != nil {
		return nil, fmt.Errorf("expected a duration such as \"30s\" or \"1h30m\", got %q", v.AsString())
	}
	return int64(d), nil
}

func ctyStrings(v cty.Value) (any, error) {
	if !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
		return nil, fmt.Errorf("expected a list of strings, got %s", describe(v))
	}
	out := []any{}
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		s, err := ctyScalar(e, cty.String, "a string")
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", len(out), err)
		}
		out = append(out, s)
	}
	return out, nil
}

func ctyOneOrMore(v cty.Value) (any, error) {
	if v.Type().IsPrimitiveType() {
		s, err := ctyScalar(v, cty.String, "a string")
		return []any{s}, err
	}
	return ctyStrings(v)
}

// ctyMap reads a map; entries that are null are left out, so that a condition can drop them.
func ctyMap(v cty.Value, elem func(cty.Value) (any, error)) (any, error) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		return nil, fmt.Errorf("expected a map, got %s", describe(v))
	}
	out := map[string]any{}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if e.IsNull() {
			continue
		}
		x, err := elem(e)
		if err != nil {
			return nil, fmt.Errorf("key %q: %w", k.AsString(), err)
		}
		out[k.AsString()] = x
	}
	return out, nil
}

// plain makes Go values of anything: string, bool, int64 or float64, []any, map[string]any, nil.
func plain(v cty.Value) any {
	if v.IsNull() || !v.IsKnown() {
		return nil
	}
	t := v.Type()
	switch {
	case t == cty.String:
		return v.AsString()
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		return plainNumber(v.AsBigFloat())
	case t.IsObjectType() || t.IsMapType():
		out := map[string]any{}
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			out[k.AsString()] = plain(e)
		}
		return out
	case v.CanIterateElements():
		out := []any{}
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			out = append(out, plain(e))
		}
		return out
	}
	return nil
}

func plainNumber(f *big.Float) any {
	if n, acc := f.Int64(); acc == big.Exact {
		return n
	}
	x, _ := f.Float64()
	return x
}

// wrapObjects turns each object in m into a list of that one object, which is what driver schemas expect of a block.
// Objects further inside stay.
func wrapObjects(m map[string]any) {
	for k, v := range m {
		if o, ok := v.(map[string]any); ok {
			m[k] = []any{o}
		}
	}
}

// describe shows a wrong value in an error: scalars as written, the rest by their type.
func describe(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	if !v.IsKnown() {
		return "an unknown value"
	}
	switch t := v.Type(); {
	case t == cty.String:
		s := v.AsString()
		if len(s) > 60 {
			s = s[:60] + "..."
		}
		return fmt.Sprintf("%q", s)
	case t == cty.Number:
		return v.AsBigFloat().Text('g', 20)
	case t == cty.Bool:
		return fmt.Sprint(v.True())
	case t.IsObjectType() || t.IsMapType():
		return "an object"
	default:
		return "a list"
	}
}
