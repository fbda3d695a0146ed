package jobspec

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// variable is a declared input of a job file.
type variable struct {
	name        string
	rng         hcl.Range
	typ         cty.Type // cty.DynamicPseudoType when anything will do
	typed       bool     // a type was written
	defaults    *typeexpr.Defaults
	value       cty.Value // cty.NilVal until something sets it
	broken      bool      // a mistake was reported: its lack of a value is none of its own
	validations []validation
}

type validation struct {
	condition hcl.Expression
	message   string
	rng       hcl.Range
}

// variables are the inputs of one file while their values are gathered.
type variables struct {
	*collector
	strict bool
	byName map[string]*variable
	order  []string
}

func (vs *variables) declare(v *variable) {
	if v.name == "" {
		return
	}
	if !hclsyntax.ValidIdentifier(v.name) {
		vs.at(v.rng, nil, "%q is no name for a variable: it must begin with a letter or _ and hold letters, digits, _ and -", v.name)
		return
	}
	if _, twice := vs.byName[v.name]; twice {
		vs.at(v.rng, nil, "variable %q is declared twice", v.name)
		return
	}
	vs.byName[v.name] = v
	vs.order = append(vs.order, v.name)
}

// declareBlock reads a variable block.
func (vs *variables) declareBlock(blk *hcl.Block) {
	at := place{}.in("variable", blk.Labels...)
	content, diags := blk.Body.Content(&hcl.BodySchema{
		Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}},
		Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
	})
	vs.hcl(diags, at)
	v := &variable{name: blk.Labels[0], rng: blk.DefRange, typ: cty.DynamicPseudoType}
	if a := content.Attributes["type"]; a != nil {
		t, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
		vs.hcl(diags, at)
		v.broken = diags.HasErrors()
		if !v.broken {
			v.typ, v.defaults, v.typed = t, defaults, true
		}
	}
	if a := content.Attributes["default"]; a != nil {
		val, diags := vs.work.value(a.Expr, nil)
		vs.hcl(diags, at)
		if diags.HasErrors() {
			v.broken = true
		} else {
			vs.setDefault(v, val, a.Expr.Range(), at)
		}
	}
	if a := content.Attributes["description"]; a != nil {
		val, diags := vs.work.value(a.Expr, nil)
		if vs.hcl(diags, at); !diags.HasErrors() && (val.IsNull() || val.Type() != cty.String) {
			vs.at(a.Expr.Range(), at, "description: expected a string, got %s", describe(val))
		}
	}
	for _, b := range content.Blocks {
		vs.readValidation(v, b, at)
	}
	vs.declare(v)
}

func (vs *variables) setDefault(v *variable, val cty.Value, rng hcl.Range, at place) {
	if v.defaults != nil && !val.IsNull() {
		val = v.defaults.Apply(val)
	}
	c, err := convert.Convert(val, v.typ)
	if err != nil {
		v.broken = true
		vs.at(rng, at, "the default does not fit type %s: %v", typeexpr.TypeString(v.typ), err)
		return
	}
	if !v.typed && !c.IsNull() {
		v.typ = c.Type()
	}
	v.value = c
}

func (vs *variables) readValidation(v *variable, b *hcl.Block, at place) {
	at = at.in("validation")
	content, diags := b.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{
		{Name: "condition", Required: true}, {Name: "error_message", Required: true}}})
	vs.hcl(diags, at)
	if diags.HasErrors() {
		return
	}
	cond, msg := content.Attributes["condition"].Expr, content.Attributes["error_message"].Expr
	text, diags := vs.work.value(msg, nil)
	vs.hcl(diags, at)
	if diags.HasErrors() {
		return
	}
	if text.IsNull() || text.Type() != cty.String || strings.TrimSpace(text.AsString()) == "" {
		vs.at(msg.Range(), at, "error_message must be a text that is not blank")
		return
	}
	own := false
	for _, tr := range cond.Variables() {
		name := ""
		if len(tr) > 1 && tr.RootName() == "var" {
			if a, ok := tr[1].(hcl.TraverseAttr); ok {
				name = a.Name
			}
		}
		if name != v.name {
			vs.at(tr.SourceRange(), at, "condition may only refer to var.%s", v.name)
			return
		}
		own = true
	}
	if !own {
		vs.at(cond.Range(), at, "condition must refer to var.%s", v.name)
		return
	}
	v.validations = append(v.validations, validation{cond, text.AsString(), cond.Range()})
}

// declareShort reads a variables block, in which each attribute declares a variable by its default.
func (vs *variables) declareShort(blk *hcl.Block) {
	attrs, diags := blk.Body.JustAttributes()
	vs.hcl(diags, place{"variables"})
	for _, name := range attributeOrder(attrs) {
		a := attrs[name]
		val, diags := vs.work.value(a.Expr, nil)
		vs.hcl(diags, place{"variables"})
		if !diags.HasErrors() {
			vs.declare(&variable{name: name, rng: a.NameRange, typ: val.Type(), value: val})
		}
	}
}

// setEnv takes values from environment variables. Names that are not declared are somebody else's.
func (vs *variables) setEnv(env map[string]string) {
	for _, prefix := range []string{"NOMAD_VAR_", "DROVER_VAR_"} {
		for _, name := range vs.order {
			if text, ok := env[prefix+name]; ok {
				vs.setText(vs.byName[name], text, prefix+name)
			}
		}
	}
}

// setFlag takes one name=value from the command line.
func (vs *variables) setFlag(flag string) {
	name, text, ok := strings.Cut(flag, "=")
	if !ok {
		vs.list = append(vs.list, Diagnostic{Message: fmt.Sprintf("-var %q: expected name=value", flag)})
		return
	}
	name = strings.TrimSpace(name)
	v := vs.byName[name]
	if v == nil {
		vs.undeclared(hcl.Range{}, name, "-var")
		return
	}
	vs.setText(v, text, "-var "+name)
}

func (vs *variables) undeclared(rng hcl.Range, name, source string) {
	d := Diagnostic{Warning: !vs.strict, Suggestion: nearest(name, vs.order),
		Message: fmt.Sprintf("%s sets variable %q, which the job file does not declare", source, name)}
	vs.add(rng, d)
}

// setText sets a variable from text: strings and numbers are taken as they are, everything else is an expression.
func (vs *variables) setText(v *variable, text, source string) {
	fail := func(format string, args ...any) {
		v.broken = true
		vs.list = append(vs.list, Diagnostic{Message: source + ": " + fmt.Sprintf(format, args...)})
	}
	if v.typ == cty.String || v.typ == cty.Number || v.typ == cty.DynamicPseudoType {
		val, err := convert.Convert(cty.StringVal(text), v.typ)
		if err != nil {
			fail("expected a number, got %q", text)
			return
		}
		v.value = val
		return
	}
	if err := checkNesting(source, []byte(text)); err != nil {
		fail("%v", err)
		return
	}
	expr, diags := hclsyntax.ParseExpression([]byte(text), source, hcl.InitialPos)
	if diags.HasErrors() {
		fail("expected an expression of type %s: %s", typeexpr.TypeString(v.typ), reason(diags))
		return
	}
	val, diags := vs.work.value(expr, nil)
	if diags.HasErrors() {
		fail("expected an expression of type %s: %s", typeexpr.TypeString(v.typ), reason(diags))
		return
	}
	if err := vs.assign(v, val); err != nil {
		fail("%v", err)
	}
}

// reason is the first of the HCL library's findings as a part of a sentence.
func reason(diags hcl.Diagnostics) string {
	return strings.TrimSuffix(lowerFirst(diags[0].Detail), ".")
}

// assign sets a variable to a value of its type.
func (vs *variables) assign(v *variable, val cty.Value) error {
	if v.defaults != nil && !val.IsNull() {
		val = v.defaults.Apply(val)
	}
	typ := v.typ
	if !v.typed && !typ.IsPrimitiveType() {
		typ = cty.DynamicPseudoType // the type of a default, such as a list of two, binds no one
	}
	c, err := convert.Convert(val, typ)
	if err != nil {
		return fmt.Errorf("the value does not fit type %s: %v", typeexpr.TypeString(v.typ), err)
	}
	v.value = c
	return nil
}

// setFile takes values from a variable file, HCL or JSON.
func (vs *variables) setFile(f VarFile) {
	vs.files[f.Filename] = f.Source
	body, err := parseBody(f.Filename, f.Source, filepath.Ext(f.Filename) == ".json" || startsWithBrace(f.Source))
	if err != nil {
		vs.list = append(vs.list, err...)
		return
	}
	if native, ok := body.(*hclsyntax.Body); ok {
		for _, blk := range native.Blocks {
			vs.at(blk.TypeRange, nil, "a variable file holds name = value lines only; declare variables in the job file")
		}
		if len(native.Blocks) > 0 {
			return
		}
	}
	attrs, diags := body.JustAttributes()
	vs.hcl(diags, nil)
	for _, name := range attributeOrder(attrs) {
		a := attrs[name]
		v := vs.byName[name]
		if v == nil {
			vs.undeclared(a.NameRange, name, "the file")
			continue
		}
		val, diags := vs.work.value(a.Expr, nil)
		vs.hcl(diags, nil)
		if diags.HasErrors() {
			continue
		}
		if err := vs.assign(v, val); err != nil {
			v.broken = true
			vs.at(a.Expr.Range(), nil, "variable %q: %v", name, err)
		}
	}
}

// finish checks that every variable has a value that its validations accept and returns var's attributes.
func (vs *variables) finish(functions map[string]function.Function) cty.Value {
	out := map[string]cty.Value{}
	for _, name := range vs.order {
		v := vs.byName[name]
		if v.value == cty.NilVal && v.broken {
			out[name] = cty.DynamicVal
			continue
		}
		if v.value == cty.NilVal {
			vs.at(v.rng, nil, "variable %q has no value and no default: set it with -var %s=..., a variable file or "+
				"DROVER_VAR_%s", name, name, name)
			out[name] = cty.DynamicVal
			continue
		}
		out[name] = v.value
		for _, val := range v.validations {
			vs.validate(v, val, functions)
		}
	}
	return cty.ObjectVal(out)
}

func (vs *variables) validate(v *variable, val validation, functions map[string]function.Function) {
	at := place{}.in("variable", v.name)
	ctx := &hcl.EvalContext{Functions: functions, Variables: map[string]cty.Value{
		"var": cty.ObjectVal(map[string]cty.Value{v.name: v.value})}}
	ok, diags := vs.work.value(val.condition, ctx)
	vs.hcl(diags, at)
	if diags.HasErrors() {
		return
	}
	b, err := convert.Convert(ok, cty.Bool)
	if err != nil || b.IsNull() || !b.IsKnown() {
		vs.at(val.rng, at, "condition must give true or false, got %s", describe(ok))
		return
	}
	if b.False() {
		vs.at(val.rng, at, "invalid value: %s", val.message)
	}
}

func startsWithBrace(src []byte) bool {
	return strings.HasPrefix(strings.TrimLeft(string(src[:min(len(src), 4096)]), " \t\r\n\ufeff"), "{")
}

// parseBody parses a whole file of either syntax.
func parseBody(name string, src []byte, isJSON bool) (hcl.Body, Diagnostics) {
	c := &collector{files: map[string][]byte{name: src}}
	var file *hcl.File
	var diags hcl.Diagnostics
	if isJSON {
		if err := checkJSONNesting(name, src); err != nil {
			return nil, err.(Diagnostics)
		}
		file, diags = hcljson.Parse(src, name)
	} else {
		if err := checkNesting(name, src); err != nil {
			return nil, err.(Diagnostics)
		}
		file, diags = hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	}
	c.hcl(diags, nil)
	if diags.HasErrors() {
		return nil, c.result()
	}
	return file.Body, nil
}
