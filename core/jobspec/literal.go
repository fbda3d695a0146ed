package jobspec

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// eval evaluates an expression. References whose root is not known here, such as ${attr.kernel.name} or
// ${NOMAD_PORT_http}, are for the scheduler or the node: they evaluate to their own text, with ${ and } around it.
func (c *collector) eval(expr hcl.Expression, ctx *hcl.EvalContext, files map[string][]byte) (cty.Value, hcl.Diagnostics) {
	literals := map[string]*literal{}
	for _, tr := range expr.Variables() {
		if known(ctx, tr.RootName()) {
			continue
		}
		root := literals[tr.RootName()]
		if root == nil {
			root = &literal{}
			literals[tr.RootName()] = root
		}
		root.add(tr[1:], "${"+traversalText(tr, files)+"}")
	}
	if len(literals) > 0 {
		ctx = ctx.NewChild()
		ctx.Variables = map[string]cty.Value{}
		for name, l := range literals {
			ctx.Variables[name] = l.value()
		}
	}
	return c.work.value(expr, ctx)
}

// known tells whether evaluation would find the variable.
func known(ctx *hcl.EvalContext, name string) bool {
	for ; ctx != nil; ctx = ctx.Parent() {
		if _, ok := ctx.Variables[name]; ok {
			return true
		}
	}
	return false
}

// literal is a value under which every reference below one root finds its own text: an object for roots that are
// looked into, the text for what is referred to itself.
type literal struct {
	text  string
	below map[string]*literal
}

func (l *literal) add(steps hcl.Traversal, text string) {
	if len(steps) == 0 {
		l.text = text
		return
	}
	key := ""
	switch s := steps[0].(type) {
	case hcl.TraverseAttr:
		key = s.Name
	case hcl.TraverseIndex:
		key = indexText(s.Key)
	default: // a splat: what comes after it cannot be looked up
		l.text = text
		return
	}
	if l.below == nil {
		l.below = map[string]*literal{}
	}
	if l.below[key] == nil {
		l.below[key] = &literal{}
	}
	l.below[key].add(steps[1:], text)
}

func (l *literal) value() cty.Value {
	if len(l.below) == 0 {
		return cty.StringVal(l.text)
	}
	m := map[string]cty.Value{}
	for k, b := range l.below {
		m[k] = b.value()
	}
	return cty.ObjectVal(m)
}

// traversalText is the reference as it was written. Without the text of its file (in the JSON profile ranges do not
// fit the text) it is put together from its parts.
func traversalText(tr hcl.Traversal, files map[string][]byte) string {
	rng := tr.SourceRange()
	src := files[rng.Filename]
	if rng.CanSliceBytes(src) && bytes.HasPrefix(rng.SliceBytes(src), []byte(tr.RootName())) {
		return string(rng.SliceBytes(src))
	}
	var b strings.Builder
	b.WriteString(tr.RootName())
	for _, s := range tr[1:] {
		switch s := s.(type) {
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			if s.Key.Type() == cty.Number {
				b.WriteString("[" + indexText(s.Key) + "]")
			} else {
				b.WriteString("[" + strconv.Quote(indexText(s.Key)) + "]")
			}
		}
	}
	return b.String()
}

func indexText(key cty.Value) string {
	if key.Type() == cty.Number {
		return key.AsBigFloat().Text('f', -1)
	}
	return key.AsString()
}
