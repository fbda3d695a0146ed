package schema

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one field of a configuration struct, as its tags describe it:
//
//	`config:"name"`                  an attribute; its type follows from the field's type
//	`config:"name,required"`         must be given
//	`config:"name" default:"5m"`     value if it is not given; text as it is, anything else as HCL
//	`config:"name,block"`            struct: a block; *struct: nil without the block; []struct: any number of blocks;
//	                                 map[string]struct: blocks with a label; map[string]T: free keys in a block
//	`config:"name,block,min=1,max=3"`  how many blocks
//
// Attribute types are string, bool, numbers, time.Duration (text such as "5m"), lists and maps of these, StringMap,
// NumberMap, and any, which takes everything.
type field struct {
	index      []int
	name       string
	typ        reflect.Type
	required   bool
	block      bool
	min, max   uint64
	defaultTag string
	hasDefault bool
}

// fieldsOf lists the configuration fields of a struct; those of embedded structs count as its own.
func fieldsOf(t reflect.Type) ([]field, error) {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("config")
		if f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct {
			inner, err := fieldsOf(f.Type)
			if err != nil {
				return nil, err
			}
			for _, x := range inner {
				x.index = append([]int{i}, x.index...)
				fields = append(fields, x)
			}
			continue
		}
		if !tagged || tag == "-" {
			continue
		}
		parsed, err := parseTag(f, tag)
		if err != nil {
			return nil, fmt.Errorf("field %s of %s: %w", f.Name, t, err)
		}
		parsed.index = []int{i}
		fields = append(fields, parsed)
	}
	return fields, nil
}

func parseTag(f reflect.StructField, tag string) (field, error) {
	parts := strings.Split(tag, ",")
	parsed := field{name: parts[0], typ: f.Type}
	if !f.IsExported() {
		return parsed, fmt.Errorf("it is not exported")
	}
	if parsed.name == "" {
		return parsed, fmt.Errorf("its config tag has no name")
	}
	for _, option := range parts[1:] {
		key, value, _ := strings.Cut(option, "=")
		var err error
		switch key {
		case "required":
			parsed.required = true
		case "block":
			parsed.block = true
		case "min":
			parsed.min, err = strconv.ParseUint(value, 10, 31)
		case "max":
			parsed.max, err = strconv.ParseUint(value, 10, 31)
		default:
			err = fmt.Errorf("unknown option %q in its config tag", option)
		}
		if err != nil {
			return parsed, err
		}
	}
	parsed.defaultTag, parsed.hasDefault = f.Tag.Lookup("default")
	if parsed.hasDefault && parsed.required {
		return parsed, fmt.Errorf("a required field cannot have a default")
	}
	if parsed.hasDefault && parsed.block {
		return parsed, fmt.Errorf("a block cannot have a default; give its fields theirs")
	}
	return parsed, nil
}

// literal is the field's default as an HCL expression.
func (f field) literal() string {
	if f.typ.Kind() == reflect.String || f.typ == durationType() {
		return quoteHCL(f.defaultTag)
	}
	return f.defaultTag
}

func durationType() reflect.Type  { return reflect.TypeFor[time.Duration]() }
func stringMapType() reflect.Type { return reflect.TypeFor[StringMap]() }
func numberMapType() reflect.Type { return reflect.TypeFor[NumberMap]() }

// typeExpression is the schema's type for an attribute of a Go type.
func typeExpression(t reflect.Type) (string, error) {
	switch t {
	case durationType():
		return "string", nil
	case stringMapType():
		return "list(map(string))", nil
	case numberMapType():
		return "list(map(number))", nil
	}
	switch t.Kind() {
	case reflect.String:
		return "string", nil
	case reflect.Bool:
		return "bool", nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return "number", nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return "any", nil
		}
	case reflect.Pointer:
		return typeExpression(t.Elem())
	case reflect.Slice:
		inner, err := typeExpression(t.Elem())
		return "list(" + inner + ")", err
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			inner, err := typeExpression(t.Elem())
			return "map(" + inner + ")", err
		}
	case reflect.Struct:
		return "", fmt.Errorf("a struct must be a block: add ,block to its config tag")
	}
	return "", fmt.Errorf("type %s has no configuration form", t)
}

// quoteHCL writes a text as an HCL literal that means exactly this text.
func quoteHCL(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteRune(r)
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
