package schema

import (
	"fmt"
	"reflect"
)

// Of makes the schema of a configuration struct from its tags, which are described at Decode. A struct without tagged
// fields makes a schema that takes nothing. It checks what a host would: an author's mistake shows in the first test.
func Of[C any]() (*Spec, error) {
	t := reflect.TypeFor[C]()
	spec, err := structSpec(t, nil)
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	if err := spec.Check(); err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t, err)
	}
	return spec, nil
}

// structSpec makes an object of a struct. within holds the structs it is part of.
func structSpec(t reflect.Type, within []reflect.Type) (*Spec, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct", t)
	}
	for _, outer := range within {
		if outer == t {
			return nil, fmt.Errorf("%s contains itself", t)
		}
	}
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	spec := &Spec{Kind: KindObject, Attributes: make(map[string]*Spec, len(fields))}
	for _, f := range fields {
		if spec.Attributes[f.name] != nil {
			return nil, fmt.Errorf("two fields are named %q", f.name)
		}
		if spec.Attributes[f.name], err = f.spec(append(within, t)); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return spec, nil
}

func (f field) spec(within []reflect.Type) (*Spec, error) {
	if f.block {
		return f.blockSpec(within)
	}
	expression, err := typeExpression(f.typ)
	if err != nil {
		return nil, err
	}
	attr := &Spec{Kind: KindAttr, Name: f.name, Type: expression, Required: f.required}
	if !f.hasDefault {
		return attr, nil
	}
	return &Spec{Kind: KindDefault, Primary: attr, Default: &Spec{Kind: KindLiteral, Value: f.literal()}}, nil
}

func (f field) blockSpec(within []reflect.Type) (*Spec, error) {
	t := f.typ
	switch {
	case t.Kind() == reflect.Struct:
		nested, err := structSpec(t, within)
		return &Spec{Kind: KindBlock, Name: f.name, Required: f.required, Nested: nested}, err
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		nested, err := structSpec(t.Elem(), within)
		return &Spec{Kind: KindBlock, Name: f.name, Required: f.required, Nested: nested}, err
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		nested, err := structSpec(t.Elem(), within)
		least := f.min
		if f.required {
			least = max(least, 1)
		}
		return &Spec{Kind: KindBlockList, Name: f.name, MinItems: least, MaxItems: f.max, Nested: nested}, err
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String && t.Elem().Kind() == reflect.Struct:
		nested, err := structSpec(t.Elem(), within)
		return &Spec{Kind: KindBlockMap, Name: f.name, Labels: []string{"name"}, Nested: nested}, err
	case t.Kind() == reflect.Map && t.Key().Kind() == reflect.String:
		inner, err := typeExpression(t.Elem())
		return &Spec{Kind: KindBlockAttrs, Name: f.name, Type: inner, Required: f.required}, err
	}
	return nil, fmt.Errorf("type %s cannot be a block", t)
}
