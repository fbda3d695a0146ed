package jobspec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// reader reads HCL bodies by the grammar into trees.
type reader struct {
	*collector
	sources map[string][]byte // text of native files; nil in the JSON profile
	file    string
	root    *Block // the whole grammar, to tell where a misplaced name belongs
	steps   int    // blocks made so far, see maxBlocks
}

// maxBlocks bounds how many blocks dynamic blocks may make of one job.
const maxBlocks = 50000

// body reads the content of one block.
func (r *reader) body(b *Block, body hcl.Body, ctx *hcl.EvalContext, at place) tree {
	t := tree{}
	native, isNative := body.(*hclsyntax.Body)
	if isNative {
		r.unknownNames(b, native, at)
	}
	content, _, diags := body.PartialContent(b.schema())
	if !isNative {
		content, diags = body.Content(b.schema())
	}
	r.hcl(diags, at)
	for _, name := range attributeOrder(content.Attributes) {
		r.attribute(b.hclField(name), content.Attributes[name], ctx, at, t)
	}
	for _, blk := range content.Blocks {
		if blk.Type == "dynamic" {
			r.dynamic(b, blk, ctx, at, t)
			continue
		}
		f := b.hclField(blk.Type)
		r.nested(f, blk.Labels, blk.Body, blk.TypeRange, ctx, at, t)
	}
	for i := range b.Fields {
		f := &b.Fields[i]
		if _, ok := t[f.key()]; f.Required && !ok {
			r.at(body.MissingItemRange(), at, "%q is required", f.HCL)
		}
	}
	if b.fold != nil {
		b.fold(r, t, at)
	}
	return t
}

// schema is the block's grammar in the form the HCL library wants.
func (b *Block) schema() *hcl.BodySchema {
	s := &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "dynamic", LabelNames: []string{"type"}}}}
	for _, f := range b.Fields {
		if f.HCL == "" {
			continue
		}
		if !f.Kind.isBlock() {
			s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: f.HCL})
		}
		if f.Kind.isBlock() || f.Kind.mapLike() {
			h := hcl.BlockHeaderSchema{Type: f.HCL}
			if f.Label != "" {
				h.LabelNames = []string{"name"}
			}
			s.Blocks = append(s.Blocks, h)
		}
	}
	return s
}

// unknownNames reports what the grammar does not have, and blocks written as attributes or the other way round.
func (r *reader) unknownNames(b *Block, body *hclsyntax.Body, at place) {
	for _, a := range body.Attributes {
		f := b.hclField(a.Name)
		if f != nil && f.Kind.isBlock() {
			r.at(a.NameRange, at, "%q is a block: write it as %s { ... }, without =", a.Name, headerText(f))
		}
		if f == nil {
			r.near(a.NameRange, at, a.Name, b.names(), "unknown attribute %q in %s%s", a.Name, b.Name, r.belongs(b, a.Name))
		}
	}
	for _, blk := range body.Blocks {
		f := b.hclField(blk.Type)
		if blk.Type == "dynamic" {
			continue
		}
		if f != nil && !f.Kind.isBlock() && !f.Kind.mapLike() {
			r.at(blk.TypeRange, at, "%q is an attribute: write it as %s = ..., it is %s", blk.Type, blk.Type, f.Kind)
		}
		if f == nil {
			r.near(blk.TypeRange, at, blk.Type, b.names(), "unknown block %q in %s%s", blk.Type, b.Name, r.belongs(b, blk.Type))
		}
	}
}

// belongs tells in which of the main blocks a name that is misplaced in b can stand.
func (r *reader) belongs(b *Block, name string) string {
	for _, candidate := range []string{"job", "group", "task", "service", "network", "resources"} {
		if other := r.root.find(candidate); other != nil && other != b && other.hclField(name) != nil {
			return fmt.Sprintf("; it belongs in a %s block", candidate)
		}
	}
	return ""
}

// find returns the block of that name in the grammar below b, nil when there is none.
func (b *Block) find(name string) *Block {
	if b.Name == name {
		return b
	}
	for _, f := range b.Fields {
		if f.Of == nil {
			continue
		}
		if found := f.Of.find(name); found != nil {
			return found
		}
	}
	return nil
}

// fail adds an error about a block as a whole.
func (r *reader) fail(at place, format string, args ...any) {
	r.list = append(r.list, Diagnostic{File: r.file, Path: at.String(), Message: fmt.Sprintf(format, args...)})
}

func headerText(f *Field) string {
	if f.Label != "" {
		return f.HCL + ` "name"`
	}
	return f.HCL
}

// names lists what may be written in the block.
func (b *Block) names() []string {
	var out []string
	for _, f := range b.Fields {
		if f.HCL != "" {
			out = append(out, f.HCL)
		}
	}
	return out
}

// attribute reads one attribute into t.
func (r *reader) attribute(f *Field, a *hcl.Attribute, ctx *hcl.EvalContext, at place, t tree) {
	v, diags := r.eval(a.Expr, ctx, r.sources)
	r.hcl(diags, at)
	if diags.HasErrors() {
		return
	}
	x, err := fromCty(f.Kind, v)
	if err != nil {
		r.at(a.Expr.Range(), at, "%s: %v", a.Name, err)
		return
	}
	if n, ok := x.(int64); ok && f.Kind == Int && (f.Lo != 0 || f.Hi != 0) && (n < f.Lo || n > f.Hi) {
		r.at(a.Expr.Range(), at, "%s: %d is not within %d..%d", a.Name, n, f.Lo, f.Hi)
		return
	}
	if x != nil {
		t[f.key()] = x
	}
}

// nested reads one block inside another into t.
func (r *reader) nested(f *Field, labels []string, body hcl.Body, rng hcl.Range, ctx *hcl.EvalContext, at place, t tree) {
	if r.steps++; r.steps > maxBlocks {
		if r.steps == maxBlocks+1 {
			r.at(rng, at, "the job has more than %d blocks, which is the limit", maxBlocks)
		}
		return
	}
	if f.Label != "" && len(labels) != 1 {
		return // reported by the HCL library
	}
	inner := at.in(f.HCL, labels...)
	key := f.key()
	if _, twice := t[key]; twice && (f.Kind == One || f.Kind.mapLike()) {
		r.at(rng, at, "%q is written twice, as blocks or as block and attribute; join them into one", f.HCL)
		return
	}
	switch f.Kind {
	case StringMap, ListMap, Free, Config:
		t[key] = r.mapBlock(f, body, ctx, inner)
		return
	}
	sub := r.body(f.Of, body, ctx, inner)
	if f.Label != "" {
		sub[f.Label] = labels[0]
	}
	switch f.Kind {
	case One:
		t[key] = sub
	case Many:
		list, _ := t[key].([]any)
		t[key] = append(list, sub)
	case Keyed:
		m, _ := t[key].(tree)
		if m == nil {
			m = tree{}
		}
		if _, twice := m[labels[0]]; twice {
			r.at(rng, at, "%s %q is written twice", f.HCL, labels[0])
		}
		m[labels[0]] = sub
		t[key] = m
	}
}

// mapBlock reads a block whose attributes are data: meta, env, config and the like.
func (r *reader) mapBlock(f *Field, body hcl.Body, ctx *hcl.EvalContext, at place) map[string]any {
	if f.Kind == Free || f.Kind == Config {
		m := r.free(body, ctx, at)
		if f.Kind == Config {
			wrapObjects(m)
		}
		return m
	}
	attrs, diags := body.JustAttributes()
	r.hcl(diags, at)
	out := map[string]any{}
	for _, name := range attributeOrder(attrs) {
		a := attrs[name]
		v, diags := r.eval(a.Expr, ctx, r.sources)
		r.hcl(diags, at)
		if diags.HasErrors() || v.IsNull() {
			continue
		}
		x, err := fromCty(f.Kind, cty.ObjectVal(map[string]cty.Value{name: v}))
		if err != nil {
			r.at(a.Expr.Range(), at, "%v", err)
			continue
		}
		out[name] = x.(map[string]any)[name]
	}
	return out
}

// free reads a body without a grammar: attributes by their names, blocks as lists of objects.
func (r *reader) free(body hcl.Body, ctx *hcl.EvalContext, at place) map[string]any {
	out := map[string]any{}
	native, ok := body.(*hclsyntax.Body)
	if !ok {
		attrs, diags := body.JustAttributes()
		r.hcl(diags, at)
		for _, name := range attributeOrder(attrs) {
			r.freeAttribute(name, attrs[name].Expr, ctx, at, out)
		}
		return out
	}
	for _, a := range native.Attributes {
		r.freeAttribute(a.Name, a.Expr, ctx, at, out)
	}
	for _, blk := range native.Blocks {
		if _, isAttr := native.Attributes[blk.Type]; isAttr {
			r.at(blk.TypeRange, at, "%q is written as an attribute and as a block", blk.Type)
			continue
		}
		if blk.Type != "dynamic" {
			r.freeBlock(blk.Type, blk.Labels, blk.Body, ctx, at, out)
			continue
		}
		r.expand(blk.AsHCLBlock(), ctx, at, func(name string, labels []string, content hcl.Body, ctx *hcl.EvalContext) {
			r.freeBlock(name, labels, content, ctx, at, out)
		})
	}
	return out
}

func (r *reader) freeAttribute(name string, expr hcl.Expression, ctx *hcl.EvalContext, at place, out map[string]any) {
	v, diags := r.eval(expr, ctx, r.sources)
	r.hcl(diags, at)
	if !diags.HasErrors() && !v.IsNull() {
		out[name] = plain(v)
	}
}

// freeBlock adds one block to a list of objects; labels become objects around its content.
func (r *reader) freeBlock(name string, labels []string, body hcl.Body, ctx *hcl.EvalContext, at place, out map[string]any) {
	if r.steps++; r.steps > maxBlocks {
		return
	}
	m := r.free(body, ctx, at.in(name, labels...))
	for _, l := range slices.Backward(labels) {
		m = map[string]any{l: []any{m}}
	}
	list, _ := out[name].([]any)
	out[name] = append(list, m)
}

// attributeOrder sorts attributes by where they are written, so that messages come in that order.
func attributeOrder(attrs hcl.Attributes) []string {
	var names []string
	for n := range attrs {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := attrs[a].Range.Start.Byte - attrs[b].Range.Start.Byte; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return names
}

// dynamic reads the blocks that a dynamic block stands for.
func (r *reader) dynamic(b *Block, blk *hcl.Block, ctx *hcl.EvalContext, at place, t tree) {
	f := b.hclField(blk.Labels[0])
	if f == nil || !(f.Kind.isBlock() || f.Kind.mapLike()) {
		r.near(blk.LabelRanges[0], at, blk.Labels[0], b.names(), "there is no block %q in %s to make", blk.Labels[0], b.Name)
		return
	}
	r.expand(blk, ctx, at, func(_ string, labels []string, content hcl.Body, ctx *hcl.EvalContext) {
		if f.Label != "" && len(labels) != 1 {
			r.at(blk.DefRange, at, "dynamic %q needs labels = [...] with one name", f.HCL)
			return
		}
		r.nested(f, labels, content, blk.TypeRange, ctx, at, t)
	})
}

// expand calls made for each block that a dynamic block stands for.
func (r *reader) expand(blk *hcl.Block, ctx *hcl.EvalContext, at place,
	made func(name string, labels []string, content hcl.Body, ctx *hcl.EvalContext)) {
	name := blk.Labels[0]
	content, diags := blk.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "for_each", Required: true}, {Name: "iterator"}, {Name: "labels"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "content"}},
	})
	at = at.in("dynamic", name)
	r.hcl(diags, at)
	if diags.HasErrors() {
		return
	}
	if len(content.Blocks) != 1 {
		r.at(blk.DefRange, at, "exactly one content block is needed, there are %d", len(content.Blocks))
		return
	}
	iterator := name
	if a := content.Attributes["iterator"]; a != nil {
		if iterator = hcl.ExprAsKeyword(a.Expr); iterator == "" {
			r.at(a.Expr.Range(), at, "iterator must be a name")
			return
		}
	}
	each := content.Attributes["for_each"].Expr
	v, diags := r.eval(each, ctx, r.sources)
	r.hcl(diags, at)
	if diags.HasErrors() {
		return
	}
	if v.IsNull() || !v.IsKnown() || !v.CanIterateElements() {
		r.at(each.Range(), at, "for_each: expected a list, set or map, got %s", describe(v))
		return
	}
	for it := v.ElementIterator(); it.Next() && r.steps <= maxBlocks; {
		k, e := it.Element()
		if v.Type().IsSetType() {
			k = e
		}
		inner := ctx.NewChild()
		inner.Variables = map[string]cty.Value{iterator: cty.ObjectVal(map[string]cty.Value{"key": k, "value": e})}
		labels, err := r.dynamicLabels(content.Attributes["labels"], inner)
		if err != nil {
			r.at(content.Attributes["labels"].Expr.Range(), at, "labels: %v", err)
			return
		}
		made(name, labels, content.Blocks[0].Body, inner)
	}
}

func (r *reader) dynamicLabels(a *hcl.Attribute, ctx *hcl.EvalContext) ([]string, error) {
	if a == nil {
		return nil, nil
	}
	v, diags := r.eval(a.Expr, ctx, r.sources)
	if diags.HasErrors() {
		return nil, fmt.Errorf("%s", diags[0].Detail)
	}
	x, err := fromCty(Strings, v)
	if err != nil || x == nil {
		return nil, fmt.Errorf("expected a list of strings, got %s", describe(v))
	}
	var out []string
	for _, s := range x.([]any) {
		out = append(out, s.(string))
	}
	return out, nil
}
