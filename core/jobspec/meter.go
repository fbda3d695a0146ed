package jobspec

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// maxWork bounds what the expressions of one job file may make, in bytes of text and valueWork for each value. A few
// lines of a file that comes over the network could otherwise ask for more memory than the machine has: each local
// twice the one before, or loops inside loops.
const (
	maxWork   = 32 << 20
	valueWork = 64
)

// meter adds up the work of evaluating one job file.
type meter struct {
	spent   int64
	said    bool // that the limit was passed; see overWork
	metered map[hclsyntax.Expression]*metered
}

// tooMuch is the panic that ends an evaluation over the limit: loops of the HCL library go on after errors.
type tooMuch struct{}

// spend adds to the sum and reports whether there is room left.
func (m *meter) spend(n int64) bool {
	if n < 0 || n > maxWork {
		n = maxWork + 1
	}
	m.spent = min(m.spent+n, 2*maxWork)
	return m.spent <= maxWork
}

// afford spends a large amount at once, if there is room for it. A refusal costs a little, for loops go on after it.
func (m *meter) afford(n int64) bool {
	if n < 0 || m.spent+n > maxWork {
		m.spend(16 * valueWork)
		return false
	}
	return m.spend(n)
}

// value evaluates an expression within the limit. ctx may be nil, as for any expression.
func (m *meter) value(expr hcl.Expression, ctx *hcl.EvalContext) (v cty.Value, diags hcl.Diagnostics) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case tooMuch:
			v, diags = cty.DynamicVal, m.refusal(expr)
		default:
			panic(r)
		}
	}()
	if native, ok := expr.(hclsyntax.Expression); ok {
		return m.wrap(native).Value(ctx)
	}
	// The JSON profile keeps its expressions to itself. Without variables it gives the text of its templates, which are
	// tried first.
	if ctx != nil {
		if literal, diags := expr.Value(nil); !diags.HasErrors() {
			m.templates(literal, ctx)
		}
	}
	v, diags = expr.Value(ctx)
	m.charge(v)
	return v, diags
}

// overWork is the summary of the error; it is reported once, though nothing is evaluated any more after it.
const overWork = "Too much to evaluate"

func (m *meter) refusal(expr hcl.Expression) hcl.Diagnostics {
	rng := expr.Range()
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: overWork, Subject: &rng,
		Detail: fmt.Sprintf("The expressions of the job make values of more than %d MB, which is the limit.", maxWork>>20)}
	return hcl.Diagnostics{d}
}

// charge adds a value, or ends the evaluation.
func (m *meter) charge(v cty.Value) {
	m.size(v)
	if m.spent > maxWork {
		panic(tooMuch{})
	}
}

// size adds what a value takes. It looks no further than the limit goes: values that share parts can be small in memory
// and endless to walk.
func (m *meter) size(v cty.Value) {
	if !m.spend(valueWork) || v == cty.NilVal || v.IsNull() || !v.IsKnown() || v.IsMarked() {
		return
	}
	switch {
	case v.Type() == cty.String:
		m.spend(int64(len(v.AsString())))
	case v.Type() == cty.Number:
		f := v.AsBigFloat()
		digits := (int64(f.MinPrec()) + abs(int64(f.MantExp(nil)))) / 3
		m.spend(times(digits, 1+digits/valueWork)) // the time it takes to make text of it
	case v.CanIterateElements():
		for it := v.ElementIterator(); m.spent <= maxWork && it.Next(); {
			k, e := it.Element()
			if k.Type() == cty.String {
				m.spend(int64(len(k.AsString())))
			}
			m.size(e)
		}
	}
}

func abs(n int64) int64 { return max(n, -n) }

// templates evaluates the templates in the texts of a literal.
func (m *meter) templates(v cty.Value, ctx *hcl.EvalContext) {
	switch {
	case v.IsNull() || !v.IsKnown():
	case v.Type() == cty.String:
		expr, diags := hclsyntax.ParseTemplate([]byte(v.AsString()), "", hcl.InitialPos)
		if !diags.HasErrors() {
			_, _ = m.wrap(expr).Value(ctx)
		}
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			if k.Type() == cty.String {
				m.templates(k, ctx)
			}
			m.templates(e, ctx)
		}
	}
}

// metered is an expression whose value is charged each time it is evaluated. It poses as parentheses, which every walk
// over a syntax tree passes through.
type metered struct {
	*hclsyntax.ParenthesesExpr
	meter *meter
}

// Value evaluates the expression, unless there has been too much before.
func (e *metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if !e.meter.spend(1) {
		panic(tooMuch{})
	}
	v, diags := e.Expression.Value(ctx)
	e.meter.charge(v)
	return v, diags
}

// UnwrapExpression lets static analysis, as of type names, see what is inside.
func (e *metered) UnwrapExpression() hcl.Expression { return e.Expression }

// wrap puts an expression and all below it on the meter, once.
func (m *meter) wrap(e hclsyntax.Expression) hclsyntax.Expression {
	if e == nil {
		return nil
	}
	if _, ok := e.(*metered); ok {
		return e
	}
	if known := m.metered[e]; known != nil {
		return known
	}
	if l, ok := e.(*hclsyntax.LiteralValueExpr); ok {
		m.charge(l.Val)
		return e // looked for by type, to tell texts from templates
	}
	m.below(e)
	w := &metered{&hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}, m}
	if m.metered == nil {
		m.metered = map[hclsyntax.Expression]*metered{}
	}
	m.metered[e] = w
	return w
}

// below wraps the parts of an expression in place.
func (m *meter) below(e hclsyntax.Expression) {
	put := func(parts ...*hclsyntax.Expression) {
		for _, p := range parts {
			*p = m.wrap(*p)
		}
	}
	list := func(parts []hclsyntax.Expression) {
		for i := range parts {
			put(&parts[i])
		}
	}
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		put(&e.Expression)
	case *hclsyntax.TemplateExpr:
		list(e.Parts)
	case *hclsyntax.TemplateWrapExpr:
		put(&e.Wrapped)
	case *hclsyntax.TemplateJoinExpr:
		put(&e.Tuple)
	case *hclsyntax.FunctionCallExpr:
		list(e.Args)
	case *hclsyntax.ConditionalExpr:
		put(&e.Condition, &e.TrueResult, &e.FalseResult)
	case *hclsyntax.BinaryOpExpr:
		put(&e.LHS, &e.RHS)
	case *hclsyntax.UnaryOpExpr:
		put(&e.Val)
	case *hclsyntax.IndexExpr:
		put(&e.Collection, &e.Key)
	case *hclsyntax.RelativeTraversalExpr:
		put(&e.Source)
	case *hclsyntax.TupleConsExpr:
		list(e.Exprs)
	case *hclsyntax.ObjectConsExpr:
		for i := range e.Items {
			put(&e.Items[i].KeyExpr, &e.Items[i].ValueExpr)
		}
	case *hclsyntax.ObjectConsKeyExpr:
		m.below(e.Wrapped) // itself it is looked at by type, for names without quotes
	case *hclsyntax.ForExpr:
		put(&e.CollExpr, &e.KeyExpr, &e.ValExpr, &e.CondExpr)
	case *hclsyntax.SplatExpr:
		put(&e.Source, &e.Each)
	}
}
