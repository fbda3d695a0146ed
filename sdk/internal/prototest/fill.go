// Package prototest fills protobuf messages for tests that no field is lost on the way through Go types.
package prototest

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxDepth ends messages that contain themselves.
const maxDepth = 4

// Fill sets every field of a message, each to a value of its own. Of a oneof it sets the member whose turn it is: call
// it with rising variant until every member had its turn. Fields for which skip is true stay unset; skip may be nil.
func Fill(m proto.Message, variant int, skip func(protoreflect.FieldDescriptor) bool) {
	f := &filler{variant: variant, skip: skip}
	f.message(m.ProtoReflect(), 1)
}

type filler struct {
	next    int64
	variant int
	skip    func(protoreflect.FieldDescriptor) bool
}

func (f *filler) message(m protoreflect.Message, depth int) {
	if m.Descriptor().FullName() == "google.protobuf.Timestamp" || m.Descriptor().FullName() == "google.protobuf.Duration" {
		f.next++
		m.Set(m.Descriptor().Fields().ByName("seconds"), protoreflect.ValueOfInt64(f.next))
		m.Set(m.Descriptor().Fields().ByName("nanos"), protoreflect.ValueOfInt32(int32(f.next)))
		return
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if f.skip != nil && f.skip(field) || !f.turn(field) || depth > maxDepth && isMessage(field) {
			continue
		}
		switch {
		case field.IsMap():
			entries := m.Mutable(field).Map()
			for range 2 {
				key := f.scalar(field.MapKey()).MapKey()
				value := entries.NewValue()
				if field.MapValue().Message() != nil {
					f.message(value.Message(), depth+1)
				} else {
					value = f.scalar(field.MapValue())
				}
				entries.Set(key, value)
			}
		case field.IsList():
			list := m.Mutable(field).List()
			for range 2 {
				value := list.NewElement()
				if field.Message() != nil {
					f.message(value.Message(), depth+1)
				} else {
					value = f.scalar(field)
				}
				list.Append(value)
			}
		case field.Message() != nil:
			f.message(m.Mutable(field).Message(), depth+1)
		default:
			m.Set(field, f.scalar(field))
		}
	}
}

// turn reports whether the field is not part of a oneof, or the member to set.
func (f *filler) turn(field protoreflect.FieldDescriptor) bool {
	oneof := field.ContainingOneof()
	if oneof == nil || oneof.IsSynthetic() {
		return true
	}
	members := oneof.Fields()
	return members.Get(f.variant%members.Len()).Number() == field.Number()
}

func (f *filler) scalar(field protoreflect.FieldDescriptor) protoreflect.Value {
	f.next++
	switch field.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(values.Len() - 1).Number())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(f.next))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(f.next)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(f.next))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(uint64(f.next))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(f.next) + 0.5)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(fmt.Sprint("s", f.next))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{byte(f.next), 0xff})
	}
	panic(fmt.Sprintf("%s: kind %s is not used in the contracts", field.FullName(), field.Kind()))
}

func isMessage(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && !field.IsMap() || field.IsMap() && field.MapValue().Message() != nil
}
