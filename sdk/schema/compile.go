package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// maxExpression bounds a type expression or a literal.
const maxExpression = 64 << 10

// Check reports why a spec cannot be used: it is malformed, too large or too deep. What passes can be decoded with.
func (s *Spec) Check() error {
	_, err := s.compile()
	return err
}

// Digest identifies a schema: equal schemas have equal digests. It is the SHA-256 of its JSON in hex.
func (s *Spec) Digest() string {
	data, err := json.Marshal(s)
	if err != nil { // a Spec is plain data
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// compile makes HCL's own decoder of the spec. Specs come from plugins, so a panic of the decoder's library counts as a
// malformed spec.
func (s *Spec) compile() (spec hcldec.Spec, err error) {
	defer func() {
		if r := recover(); r != nil {
			spec, err = nil, fmt.Errorf("schema is malformed: %v", r)
		}
	}()
	c := &compiler{left: MaxNodes}
	spec, err = c.compile(s, "", 1)
	if err != nil {
		return nil, fmt.Errorf("schema is malformed: %w", err)
	}
	hcldec.ImpliedType(spec)
	return spec, nil
}

// compiler counts the parts it has made.
type compiler struct{ left int }

// compile makes one part. implied is the key of the object around it, and the name of a part without one.
func (c *compiler) compile(s *Spec, implied string, depth int) (hcldec.Spec, error) {
	if s == nil {
		return nil, errors.New("a part is missing")
	}
	if c.left--; c.left < 0 {
		return nil, fmt.Errorf("more than %d parts", MaxNodes)
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", MaxDepth)
	}
	name := s.Name
	if name == "" {
		name = implied
	}
	switch s.Kind {
	case KindObject:
		return c.object(s, depth)
	case KindArray:
		tuple := hcldec.TupleSpec{}
		for i, sub := range s.Values {
			part, err := c.compile(sub, "", depth+1)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			tuple = append(tuple, part)
		}
		return tuple, nil
	case KindDefault:
		primary, err := c.compile(s.Primary, "", depth+1)
		if err != nil {
			return nil, err
		}
		fallback, err := c.compile(s.Default, "", depth+1)
		return &hcldec.DefaultSpec{Primary: primary, Default: fallback}, err
	case KindLiteral:
		v, err := literal(s.Value)
		return &hcldec.LiteralSpec{Value: v}, err
	}
	if name == "" {
		return nil, fmt.Errorf("a part of kind %q has no name", s.Kind)
	}
	part, err := c.named(s, name, depth)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return part, nil
}

func (c *compiler) object(s *Spec, depth int) (hcldec.Spec, error) {
	object := make(hcldec.ObjectSpec, len(s.Attributes))
	keys := make([]string, 0, len(s.Attributes))
	for key := range s.Attributes {
		keys = append(keys, key)
	}
	sort.Strings(keys) // the first mistake named is always the same
	for _, key := range keys {
		part, err := c.compile(s.Attributes[key], key, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		object[key] = part
	}
	return object, nil
}

// named makes the parts that stand for something written in the configuration.
func (c *compiler) named(s *Spec, name string, depth int) (hcldec.Spec, error) {
	switch s.Kind {
	case KindAttr:
		t, err := typeOf(s.Type)
		return &hcldec.AttrSpec{Name: name, Type: t, Required: s.Required}, err
	case KindBlockAttrs:
		t, err := typeOf(s.Type)
		return &hcldec.BlockAttrsSpec{TypeName: name, ElementType: t, Required: s.Required}, err
	}
	nested, err := c.compile(s.Nested, "", depth+1)
	if err != nil {
		return nil, err
	}
	switch s.Kind {
	case KindBlock:
		return &hcldec.BlockSpec{TypeName: name, Nested: nested, Required: s.Required}, nil
	case KindBlockList:
		return &hcldec.BlockListSpec{TypeName: name, Nested: nested, MinItems: count(s.MinItems), MaxItems: count(s.MaxItems)}, nil
	case KindBlockSet:
		return &hcldec.BlockSetSpec{TypeName: name, Nested: nested, MinItems: count(s.MinItems), MaxItems: count(s.MaxItems)}, nil
	case KindBlockMap:
		if len(s.Labels) == 0 {
			return nil, errors.New("a block map needs at least one label")
		}
		if hcldec.ImpliedType(nested).HasDynamicTypes() {
			// A map wants one type for all; an object takes any and looks the same on the wire.
			return &hcldec.BlockObjectSpec{TypeName: name, LabelNames: s.Labels, Nested: nested}, nil
		}
		return &hcldec.BlockMapSpec{TypeName: name, LabelNames: s.Labels, Nested: nested}, nil
	}
	return nil, fmt.Errorf("unknown kind %q", s.Kind)
}

func count(n uint64) int { return int(min(n, math.MaxInt32)) }

// typeOf reads a type expression such as list(map(string)).
func typeOf(expression string) (cty.Type, error) {
	if len(expression) > maxExpression {
		return cty.NilType, errors.New("its type is too long")
	}
	e, diags := hclsyntax.ParseExpression([]byte(expression), "type", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilType, fmt.Errorf("type %q: %s", expression, diags[0].Summary)
	}
	t, diags := typeexpr.TypeConstraint(e)
	if diags.HasErrors() {
		return cty.NilType, fmt.Errorf("type %q: %s", expression, diags[0].Summary)
	}
	return t, nil
}

// literal evaluates a constant expression. Loops are refused: a short text could run for ever.
func literal(expression string) (cty.Value, error) {
	if len(expression) > maxExpression {
		return cty.NilVal, errors.New("a literal is too long")
	}
	e, diags := hclsyntax.ParseExpression([]byte(expression), "literal", hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("literal %q: %s", expression, diags[0].Summary)
	}
	if hasLoop(e) {
		return cty.NilVal, fmt.Errorf("literal %q: loops are not allowed", expression)
	}
	v, diags := e.Value(&hcl.EvalContext{Functions: functions()})
	if diags.HasErrors() {
		return cty.NilVal, fmt.Errorf("literal %q: %s", expression, diags[0].Summary)
	}
	return v, nil
}

func hasLoop(e hclsyntax.Expression) bool {
	found := false
	hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if _, ok := n.(*hclsyntax.ForExpr); ok {
			found = true
		}
		return nil
	})
	return found
}

// evalLiteral evaluates a constant expression into a generic tree.
func evalLiteral(expression string) (any, error) {
	v, err := literal(expression)
	if err != nil {
		return nil, err
	}
	data, err := marshal(v)
	if err != nil {
		return nil, err
	}
	return parseMsgpack(data)
}
