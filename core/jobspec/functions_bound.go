package jobspec

import (
	"fmt"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// bound puts functions on the meter whose result or running time can be the product of their arguments' sizes, before
// they make it.
func bound(functions map[string]function.Function, m *meter) {
	for name, cost := range map[string]func([]cty.Value) int64{
		"setproduct":    productCost,
		"replace":       replaceCost,
		"regex_replace": replaceCost,
		"join":          joinCost,
		"indent":        indentCost,
		"format":        formatCost,
		"formatlist":    formatCost,
		"distinct":      distinctCost,
		"bcrypt":        bcryptCost,
		"yamldecode":    yamlCost,
	} {
		functions[name] = boundOne(functions[name], cost, m)
	}
}

func boundOne(f function.Function, cost func([]cty.Value) int64, m *meter) function.Function {
	check := func(args []cty.Value) error {
		for _, a := range args {
			if !a.IsWhollyKnown() || a.IsNull() {
				return nil
			}
		}
		if !m.afford(cost(args)) {
			return fmt.Errorf("the result would be over the limit of %d MB for all values of a job", maxWork>>20)
		}
		return nil
	}
	return function.New(&function.Spec{
		Params: f.Params(), VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := check(args); err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// times multiplies sizes without overflow.
func times(a, b int64) int64 {
	if a > 0 && b > maxWork/a {
		return maxWork + 1
	}
	return a * b
}

func textLen(v cty.Value) int64 {
	if v.Type() != cty.String {
		return valueWork
	}
	return int64(len(v.AsString()))
}

func listLen(v cty.Value) int64 {
	if !v.CanIterateElements() {
		return 1
	}
	return int64(v.LengthInt())
}

func productCost(args []cty.Value) int64 {
	n := int64(valueWork)
	for _, a := range args {
		n = times(n, listLen(a))
	}
	return n
}

// replaceCost: the new text once for each place, and in it parts of the old one.
func replaceCost(args []cty.Value) int64 {
	if len(args) != 3 {
		return 0
	}
	n := textLen(args[0])
	parts := int64(0)
	if args[2].Type() == cty.String {
		parts = int64(strings.Count(args[2].AsString(), "$"))
	}
	places := n + 1
	if old := args[1]; old.Type() == cty.String && old.AsString() != "" {
		places = min(places, int64(strings.Count(args[0].AsString(), old.AsString()))+n*boolToInt(parts > 0 || isPattern(old.AsString())))
	}
	return times(places, textLen(args[2])) + times(n, parts)
}

func isPattern(s string) bool { return strings.ContainsAny(s, `.*+?[](){}|\^$/`) }

func boolToInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func joinCost(args []cty.Value) int64 {
	n := int64(0)
	for _, a := range args[1:] {
		n += listLen(a)
	}
	return times(textLen(args[0]), n)
}

func indentCost(args []cty.Value) int64 {
	if len(args) != 2 || args[0].Type() != cty.Number || args[1].Type() != cty.String {
		return 0
	}
	spaces, _ := args[0].AsBigFloat().Int64()
	return times(max(spaces, 0), int64(strings.Count(args[1].AsString(), "\n")))
}

// formatCost: each verb may print the longest argument again, for each element of the longest list.
func formatCost(args []cty.Value) int64 {
	if args[0].Type() != cty.String {
		return 0
	}
	longest, rounds := int64(0), int64(1)
	for _, a := range args[1:] {
		if !a.CanIterateElements() {
			longest = max(longest, textLen(a))
			continue
		}
		rounds = max(rounds, listLen(a))
		for it := a.ElementIterator(); it.Next(); {
			_, e := it.Element()
			longest = max(longest, textLen(e))
		}
	}
	verbs := int64(strings.Count(args[0].AsString(), "%"))
	return times(rounds, textLen(args[0])+times(verbs, longest))
}

func distinctCost(args []cty.Value) int64 { return times(listLen(args[0]), listLen(args[0])) }

// bcryptCost counts time: about as much as making that many bytes takes.
func bcryptCost(args []cty.Value) int64 {
	cost := int64(10)
	if len(args) == 2 && args[1].Type() == cty.Number {
		cost, _ = args[1].AsBigFloat().Int64()
	}
	return times(1<<10, 1<<max(0, min(cost, maxBcryptCost)))
}

// yamlCost: an alias repeats what it refers to, which may hold aliases. Each may double the whole.
func yamlCost(args []cty.Value) int64 {
	if args[0].Type() != cty.String {
		return 0
	}
	text := args[0].AsString()
	n := textLen(args[0])
	for range strings.Count(text, "&") {
		if strings.Count(text, "*") < 2 || n > maxWork {
			break
		}
		n *= 2
	}
	return n
}
