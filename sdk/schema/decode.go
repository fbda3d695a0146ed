package schema

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// Decode reads a configuration as it arrives from a host, msgpack, into the struct that into points to. Its fields carry
// tags:
//
//	Image   string             `config:"image,required"`
//	Args    []string           `config:"args"`
//	Timeout time.Duration      `config:"timeout" default:"5m"`
//	Labels  schema.StringMap   `config:"labels"`
//	GC      struct{ ... }      `config:"gc,block"`        // defaults of its fields apply without the block too
//	Auth    *auth              `config:"auth,block"`      // nil without the block
//	Mounts  []mount            `config:"mount,block,max=8"`
//	Free    map[string]string  `config:"options,block"`   // any keys
//	Entry   any                `config:"entrypoint"`      // text, list, ...
//
// What is nil or missing leaves its default, or else the zero value; keys without a field are ignored. Numbers may
// arrive as decimal text, as hosts send fractions that a float64 cannot hold exactly.
func Decode(data []byte, into any) error {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("decode configuration: %T is not a pointer to a struct", into)
	}
	var tree any
	if len(data) > 0 {
		var err error
		if tree, err = parseMsgpack(data); err != nil {
			return fmt.Errorf("decode configuration: %w", err)
		}
	}
	return setStruct(v.Elem(), tree, "")
}

// setStruct sets the fields of a struct from a map; without a map they get their defaults.
func setStruct(v reflect.Value, tree any, path string) error {
	values, isMap := tree.(map[string]any)
	if !isMap && tree != nil {
		return typeError(path, "a block", tree)
	}
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return err
	}
	for _, f := range fields {
		at := joinPath(path, f.name)
		target, value := v.FieldByIndex(f.index), values[f.name]
		if value == nil && f.hasDefault {
			if value, err = evalLiteral(f.literal()); err != nil {
				return fmt.Errorf("%s: default: %w", at, err)
			}
		}
		if value == nil && !(f.block && f.typ.Kind() == reflect.Struct) {
			continue
		}
		if err := set(target, value, at); err != nil {
			return err
		}
	}
	return nil
}

// set puts a value of the generic tree into a Go value.
func set(v reflect.Value, x any, path string) error {
	switch v.Type() {
	case durationType():
		return setDuration(v, x, path)
	case stringMapType(), numberMapType():
		return setMerged(v, x, path)
	}
	switch v.Kind() {
	case reflect.Struct:
		return setStruct(v, x, path)
	case reflect.Pointer:
		if x == nil {
			return nil
		}
		v.Set(reflect.New(v.Type().Elem()))
		return set(v.Elem(), x, path)
	case reflect.Interface:
		if x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return nil
	}
	if x == nil {
		return nil
	}
	switch v.Kind() {
	case reflect.Slice:
		return setSlice(v, x, path)
	case reflect.Map:
		return setMap(v, x, path)
	case reflect.String:
		s, ok := x.(string)
		if !ok {
			return typeError(path, "text", x)
		}
		v.SetString(s)
		return nil
	case reflect.Bool:
		b, ok := x.(bool)
		if !ok {
			return typeError(path, "true or false", x)
		}
		v.SetBool(b)
		return nil
	}
	return setNumber(v, x, path)
}

func setDuration(v reflect.Value, x any, path string) error {
	s, ok := x.(string)
	if !ok {
		return typeError(path, `a duration such as "5m"`, x)
	}
	if s == "" {
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%s: %q is not a duration such as \"5m\" or \"1h30m\"", path, s)
	}
	v.SetInt(int64(d))
	return nil
}

// setMerged merges a list of maps; a single map counts as a list of one.
func setMerged(v reflect.Value, x any, path string) error {
	list, ok := x.([]any)
	if !ok {
		list = []any{x}
	}
	merged := reflect.MakeMap(v.Type())
	for i, entry := range list {
		if err := setMap(merged, entry, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	v.Set(merged)
	return nil
}

func setSlice(v reflect.Value, x any, path string) error {
	if s, ok := x.(string); ok && v.Type().Elem().Kind() == reflect.Uint8 {
		v.SetBytes([]byte(s))
		return nil
	}
	list, ok := x.([]any)
	if !ok {
		return typeError(path, "a list", x)
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, entry := range list {
		if err := set(out.Index(i), entry, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

// setMap adds to a map, or makes one.
func setMap(v reflect.Value, x any, path string) error {
	entries, ok := x.(map[string]any)
	if !ok {
		if x == nil {
			return nil
		}
		return typeError(path, "a map", x)
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	}
	for key, entry := range entries {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := set(element, entry, joinPath(path, key)); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), element)
	}
	return nil
}

var errRange = errors.New("out of range")

func setNumber(v reflect.Value, x any, path string) error {
	var err error
	switch v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		var n int64
		if n, err = toInt(x); err == nil && v.OverflowInt(n) {
			err = errRange
		}
		v.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		var n uint64
		if n, err = toUint(x); err == nil && v.OverflowUint(n) {
			err = errRange
		}
		v.SetUint(n)
	case reflect.Float32, reflect.Float64:
		var f float64
		f, err = toFloat(x)
		v.SetFloat(f)
	default:
		return fmt.Errorf("%s: type %s has no configuration form", path, v.Type())
	}
	if errors.Is(err, errRange) {
		return fmt.Errorf("%s: %v is out of range", path, x)
	}
	if err != nil {
		return typeError(path, "a number", x)
	}
	return nil
}

func toInt(x any) (int64, error) {
	switch n := x.(type) {
	case int64:
		return n, nil
	case uint64:
		if n > math.MaxInt64 {
			return 0, errRange
		}
		return int64(n), nil
	case float64:
		if n != math.Trunc(n) {
			return 0, errors.New("not a whole number")
		}
		if n < math.MinInt64 || n >= math.MaxInt64 {
			return 0, errRange
		}
		return int64(n), nil
	case string:
		return strconv.ParseInt(n, 10, 64)
	}
	return 0, errors.New("not a number")
}

func toUint(x any) (uint64, error) {
	switch n := x.(type) {
	case uint64:
		return n, nil
	case string:
		return strconv.ParseUint(n, 10, 64)
	}
	n, err := toInt(x)
	if err == nil && n < 0 {
		err = errRange
	}
	return uint64(n), err
}

func toFloat(x any) (float64, error) {
	switch n := x.(type) {
	case float64:
		return n, nil
	case int64:
		return float64(n), nil
	case uint64:
		return float64(n), nil
	case string:
		return strconv.ParseFloat(n, 64)
	}
	return 0, errors.New("not a number")
}

func typeError(path, want string, got any) error {
	if path == "" {
		path = "configuration"
	}
	return fmt.Errorf("%s: want %s, got %s", path, want, kindOf(got))
}

func kindOf(x any) string {
	switch x := x.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("text %q", x)
	case bool:
		return strconv.FormatBool(x)
	case []any:
		return "a list"
	case map[string]any:
		return "a map"
	}
	return fmt.Sprintf("%v", x)
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
