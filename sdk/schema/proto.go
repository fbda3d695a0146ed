package schema

import (
	"fmt"

	hclspecv1 "github.com/droverhq/drover/sdk/proto/hclspec/v1"
)

// Proto returns the wire form; s may be nil.
func (s *Spec) Proto() *hclspecv1.Spec {
	if s == nil {
		return nil
	}
	switch s.Kind {
	case KindObject:
		o := &hclspecv1.Object{Attributes: make(map[string]*hclspecv1.Spec, len(s.Attributes))}
		for key, sub := range s.Attributes {
			o.Attributes[key] = sub.Proto()
		}
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_Object{Object: o}}
	case KindArray:
		a := &hclspecv1.Array{}
		for _, sub := range s.Values {
			a.Values = append(a.Values, sub.Proto())
		}
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_Array{Array: a}}
	case KindAttr:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_Attr{Attr: &hclspecv1.Attr{Name: s.Name, Type: s.Type, Required: s.Required}}}
	case KindBlock:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_BlockValue{BlockValue: &hclspecv1.Block{Name: s.Name, Required: s.Required, Nested: s.Nested.Proto()}}}
	case KindBlockAttrs:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_BlockAttrs{BlockAttrs: &hclspecv1.BlockAttrs{Name: s.Name, Type: s.Type, Required: s.Required}}}
	case KindBlockList:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_BlockList{BlockList: &hclspecv1.BlockList{Name: s.Name, MinItems: s.MinItems, MaxItems: s.MaxItems, Nested: s.Nested.Proto()}}}
	case KindBlockSet:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_BlockSet{BlockSet: &hclspecv1.BlockSet{Name: s.Name, MinItems: s.MinItems, MaxItems: s.MaxItems, Nested: s.Nested.Proto()}}}
	case KindBlockMap:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_BlockMap{BlockMap: &hclspecv1.BlockMap{Name: s.Name, Labels: s.Labels, Nested: s.Nested.Proto()}}}
	case KindDefault:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_Default{Default: &hclspecv1.Default{Primary: s.Primary.Proto(), Default: s.Default.Proto()}}}
	case KindLiteral:
		return &hclspecv1.Spec{Block: &hclspecv1.Spec_Literal{Literal: &hclspecv1.Literal{Value: s.Value}}}
	}
	return &hclspecv1.Spec{}
}

// FromProto reads the wire form and checks it; nil stays nil. It refuses a spec that is malformed, or larger or deeper
// than the limits: specs come from plugins.
func FromProto(p *hclspecv1.Spec) (*Spec, error) {
	if p == nil {
		return nil, nil
	}
	r := protoReader{left: MaxNodes}
	s, err := r.spec(p, 1)
	if err != nil {
		return nil, err
	}
	return s, s.Check()
}

// protoReader counts what it reads, so that a huge spec is refused before it is copied.
type protoReader struct{ left int }

func (r *protoReader) spec(p *hclspecv1.Spec, depth int) (*Spec, error) {
	if r.left--; r.left < 0 {
		return nil, fmt.Errorf("schema has more than %d parts", MaxNodes)
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("schema is nested deeper than %d levels", MaxDepth)
	}
	s := &Spec{}
	var err error
	sub := func(p *hclspecv1.Spec) *Spec {
		if err != nil || p == nil {
			return nil
		}
		var out *Spec
		out, err = r.spec(p, depth+1)
		return out
	}
	switch b := p.GetBlock().(type) {
	case *hclspecv1.Spec_Object:
		s.Kind = KindObject
		s.Attributes = make(map[string]*Spec, len(b.Object.GetAttributes()))
		for key, p := range b.Object.GetAttributes() {
			s.Attributes[key] = sub(p)
		}
	case *hclspecv1.Spec_Array:
		s.Kind = KindArray
		for _, p := range b.Array.GetValues() {
			s.Values = append(s.Values, sub(p))
		}
	case *hclspecv1.Spec_Attr:
		s.Kind, s.Name, s.Type, s.Required = KindAttr, b.Attr.GetName(), b.Attr.GetType(), b.Attr.GetRequired()
	case *hclspecv1.Spec_BlockValue:
		s.Kind, s.Name, s.Required = KindBlock, b.BlockValue.GetName(), b.BlockValue.GetRequired()
		s.Nested = sub(b.BlockValue.GetNested())
	case *hclspecv1.Spec_BlockAttrs:
		s.Kind, s.Name, s.Type, s.Required = KindBlockAttrs, b.BlockAttrs.GetName(), b.BlockAttrs.GetType(), b.BlockAttrs.GetRequired()
	case *hclspecv1.Spec_BlockList:
		s.Kind, s.Name, s.MinItems, s.MaxItems = KindBlockList, b.BlockList.GetName(), b.BlockList.GetMinItems(), b.BlockList.GetMaxItems()
		s.Nested = sub(b.BlockList.GetNested())
	case *hclspecv1.Spec_BlockSet:
		s.Kind, s.Name, s.MinItems, s.MaxItems = KindBlockSet, b.BlockSet.GetName(), b.BlockSet.GetMinItems(), b.BlockSet.GetMaxItems()
		s.Nested = sub(b.BlockSet.GetNested())
	case *hclspecv1.Spec_BlockMap:
		s.Kind, s.Name, s.Labels = KindBlockMap, b.BlockMap.GetName(), b.BlockMap.GetLabels()
		s.Nested = sub(b.BlockMap.GetNested())
	case *hclspecv1.Spec_Default:
		s.Kind = KindDefault
		s.Primary, s.Default = sub(b.Default.GetPrimary()), sub(b.Default.GetDefault())
	case *hclspecv1.Spec_Literal:
		s.Kind, s.Value = KindLiteral, b.Literal.GetValue()
	default:
		return nil, fmt.Errorf("schema has an empty part")
	}
	return s, err
}
