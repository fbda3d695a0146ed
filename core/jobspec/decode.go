package jobspec

import (
	"encoding/base64"
	"fmt"
	"reflect"
)

// decode fills the struct that out points to from a tree whose keys are the struct's field names.
func decode(t tree, out any) error { return decodeValue(t, reflect.ValueOf(out).Elem(), "Job") }

func decodeValue(v any, out reflect.Value, path string) error {
	if v == nil {
		return nil
	}
	mismatch := func() error { return fmt.Errorf("%s: %T does not fit %s", path, v, out.Type()) }
	switch out.Kind() {
	case reflect.Pointer:
		out.Set(reflect.New(out.Type().Elem()))
		return decodeValue(v, out.Elem(), path)
	case reflect.Struct:
		m, ok := v.(tree)
		if !ok {
			return mismatch()
		}
		for name, x := range m {
			f := out.FieldByName(name)
			if !f.IsValid() {
				return fmt.Errorf("%s: the job has no field %s", path, name)
			}
			if err := decodeValue(x, f, path+"."+name); err != nil {
				return err
			}
		}
	case reflect.Slice:
		return decodeSlice(v, out, path)
	case reflect.Map:
		m, ok := v.(tree)
		if !ok {
			return mismatch()
		}
		if out.Type().Elem().Kind() == reflect.Interface {
			out.Set(reflect.ValueOf(m))
			return nil
		}
		out.Set(reflect.MakeMapWithSize(out.Type(), len(m)))
		for k, x := range m {
			e := reflect.New(out.Type().Elem()).Elem()
			if err := decodeValue(x, e, fmt.Sprintf("%s[%q]", path, k)); err != nil {
				return err
			}
			out.SetMapIndex(reflect.ValueOf(k), e)
		}
	case reflect.String:
		s, ok := v.(string)
		if !ok {
			return mismatch()
		}
		out.SetString(s)
	case reflect.Bool:
		b, ok := v.(bool)
		if !ok {
			return mismatch()
		}
		out.SetBool(b)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, ok := v.(int64)
		if !ok {
			return mismatch()
		}
		if out.OverflowInt(n) {
			return fmt.Errorf("%s: %d is out of range", path, n)
		}
		out.SetInt(n)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, ok := v.(int64)
		if !ok {
			return mismatch()
		}
		if n < 0 || out.OverflowUint(uint64(n)) {
			return fmt.Errorf("%s: %d is out of range", path, n)
		}
		out.SetUint(uint64(n))
	default:
		return mismatch()
	}
	return nil
}

func decodeSlice(v any, out reflect.Value, path string) error {
	if s, ok := v.(string); ok && out.Type().Elem().Kind() == reflect.Uint8 {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			return fmt.Errorf("%s: expected base64 text: %v", path, err)
		}
		out.SetBytes(b)
		return nil
	}
	items, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s: %T does not fit %s", path, v, out.Type())
	}
	out.Set(reflect.MakeSlice(out.Type(), len(items), len(items)))
	for i, x := range items {
		if err := decodeValue(x, out.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return err
		}
	}
	return nil
}
