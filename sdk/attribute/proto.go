package attribute

import (
	"math"
	"strings"

	structsv1 "github.com/droverhq/drover/sdk/proto/structs/v1"
)

// Proto returns the wire form. Text that is not UTF-8 is mended: the wire refuses it.
func (v Value) Proto() *structsv1.Attribute {
	p := &structsv1.Attribute{Unit: v.Unit}
	switch v.Kind {
	case KindInt:
		p.Value = &structsv1.Attribute_IntVal{IntVal: v.Int}
	case KindFloat:
		p.Value = &structsv1.Attribute_FloatVal{FloatVal: v.Float}
	case KindString:
		p.Value = &structsv1.Attribute_StringVal{StringVal: strings.ToValidUTF8(v.String, "\uFFFD")}
	case KindBool:
		p.Value = &structsv1.Attribute_BoolVal{BoolVal: v.Bool}
	}
	return p
}

// FromProto reads the wire form. A value that JSON cannot carry (NaN, infinity) becomes text.
func FromProto(p *structsv1.Attribute) Value {
	switch x := p.GetValue().(type) {
	case *structsv1.Attribute_IntVal:
		return Int(x.IntVal, p.Unit)
	case *structsv1.Attribute_FloatVal:
		if math.IsNaN(x.FloatVal) || math.IsInf(x.FloatVal, 0) {
			return Text(Float(x.FloatVal, p.Unit).Format())
		}
		return Float(x.FloatVal, p.Unit)
	case *structsv1.Attribute_StringVal:
		return Value{Kind: KindString, String: x.StringVal, Unit: p.Unit}
	case *structsv1.Attribute_BoolVal:
		return Value{Kind: KindBool, Bool: x.BoolVal, Unit: p.Unit}
	}
	return Value{}
}

// MapProto returns the wire form of named attributes.
func MapProto(m map[string]Value) map[string]*structsv1.Attribute {
	if m == nil {
		return nil
	}
	out := make(map[string]*structsv1.Attribute, len(m))
	for name, v := range m {
		out[strings.ToValidUTF8(name, "\uFFFD")] = v.Proto()
	}
	return out
}

// MapFromProto reads the wire form of named attributes. Entries without a value are left out.
func MapFromProto(m map[string]*structsv1.Attribute) map[string]Value {
	if m == nil {
		return nil
	}
	out := make(map[string]Value, len(m))
	for name, p := range m {
		if v := FromProto(p); v.Kind != None {
			out[name] = v
		}
	}
	return out
}
