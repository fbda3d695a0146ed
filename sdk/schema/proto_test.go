package schema

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/droverhq/drover/sdk/internal/prototest"
	hclspecv1 "github.com/droverhq/drover/sdk/proto/hclspec/v1"
)

// TestSpecLosesNoField sends each kind of spec through the Go type and back. Check is not asked: filled specs are not
// meaningful.
func TestSpecLosesNoField(t *testing.T) {
	spec := (&hclspecv1.Spec{}).ProtoReflect().Descriptor()
	for variant := range spec.Fields().Len() {
		field := spec.Fields().Get(variant)
		t.Run(string(field.Name()), func(t *testing.T) {
			sent := &hclspecv1.Spec{}
			// The specs below are attributes, so that the message is finite and complete.
			prototest.Fill(sent, variant, func(f protoreflect.FieldDescriptor) bool {
				return f.Message() != nil && f.Message().FullName() == spec.FullName() || f.IsMap()
			})
			setChildren(sent.ProtoReflect().Mutable(field).Message(), spec)
			r := protoReader{left: MaxNodes}
			read, err := r.spec(sent, 1)
			if err != nil {
				t.Fatal(err)
			}
			if back := read.Proto(); !proto.Equal(sent, back) {
				t.Errorf("sent %v\nback %v", sent, back)
			}
		})
	}
}

func setChildren(m protoreflect.Message, spec protoreflect.MessageDescriptor) {
	child := func(name string) protoreflect.Value {
		return protoreflect.ValueOfMessage((&hclspecv1.Spec{Block: &hclspecv1.Spec_Attr{Attr: &hclspecv1.Attr{Name: name, Type: "string", Required: true}}}).ProtoReflect())
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		switch f := fields.Get(i); {
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("k").MapKey(), child("k"))
		case f.Message() == nil || f.Message().FullName() != spec.FullName():
		case f.IsList():
			m.Mutable(f).List().Append(child("a"))
			m.Mutable(f).List().Append(child("b"))
		default:
			m.Set(f, child(string(f.Name())))
		}
	}
}
