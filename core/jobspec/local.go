package jobspec

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// locals evaluates named expressions that may refer to variables and to each other in any order.
type locals struct {
	*collector
	attrs hcl.Attributes
}

func (ls *locals) declare(blk *hcl.Block) {
	attrs, diags := blk.Body.JustAttributes()
	ls.hcl(diags, place{"locals"})
	for _, name := range attributeOrder(attrs) {
		if _, twice := ls.attrs[name]; twice {
			ls.at(attrs[name].NameRange, place{"locals"}, "local %q is written twice", name)
			continue
		}
		ls.attrs[name] = attrs[name]
	}
}

// resolve evaluates all locals, each after those it refers to, and returns local's attributes. ctx holds var.
func (ls *locals) resolve(ctx *hcl.EvalContext, sources map[string][]byte) cty.Value {
	done := map[string]cty.Value{}
	waiting := attributeOrder(ls.attrs)
	for len(waiting) > 0 {
		var later []string
		for _, name := range waiting {
			a := ls.attrs[name]
			if slices.ContainsFunc(ls.needs(a), func(n string) bool { _, ok := done[n]; return !ok && ls.attrs[n] != nil }) {
				later = append(later, name)
				continue
			}
			ctx.Variables["local"] = cty.ObjectVal(done)
			v, diags := ls.eval(a.Expr, ctx, sources)
			ls.hcl(diags, place{"locals"})
			if diags.HasErrors() {
				v = cty.DynamicVal
			}
			done[name] = v
		}
		if len(later) == len(waiting) {
			ls.at(ls.attrs[later[0]].NameRange, place{"locals"}, "locals refer to each other in a circle: %s", strings.Join(later, ", "))
			for _, name := range later {
				done[name] = cty.DynamicVal
			}
			break
		}
		waiting = later
	}
	return cty.ObjectVal(done)
}

// needs lists the locals that an expression refers to.
func (ls *locals) needs(a *hcl.Attribute) []string {
	var out []string
	for _, tr := range a.Expr.Variables() {
		if tr.RootName() != "local" || len(tr) < 2 {
			continue
		}
		switch s := tr[1].(type) {
		case hcl.TraverseAttr:
			out = append(out, s.Name)
		case hcl.TraverseIndex:
			if s.Key.Type() == cty.String {
				out = append(out, s.Key.AsString())
			}
		}
	}
	return out
}
