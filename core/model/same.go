package model

import "reflect"

// kept are fields that the servers fill in; they say nothing about what a job asks for.
var kept = map[reflect.Type][]string{
	reflect.TypeFor[Job](): {"Status", "StatusDescription", "Stable", "Version", "SubmitTime", "CreateIndex", "ModifyIndex",
		"JobModifyIndex", "NomadTokenID", "VersionTag", "DispatchIdempotencyToken"},
	reflect.TypeFor[Scaling](): {"ID", "Target", "CreateIndex", "ModifyIndex"},
}

// isKept tells whether the servers fill in that field of t.
func isKept(t reflect.Type, field string) bool {
	for _, k := range kept[t] {
		if k == field {
			return true
		}
	}
	return false
}

// same tells whether two values mean the same: nil and empty lists do, and so do numbers of different Go types in
// driver configs, which change type on their way through storage. Fields that servers fill in are not looked at.
func same(a, b any) bool { return sameValue(reflect.ValueOf(a), reflect.ValueOf(b)) }

func sameValue(a, b reflect.Value) bool {
	if a.IsValid() && a.Kind() == reflect.Interface {
		a = a.Elem()
	}
	if b.IsValid() && b.Kind() == reflect.Interface {
		b = b.Elem()
	}
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Type() != b.Type() {
		x, okA := number(a)
		y, okB := number(b)
		return okA && okB && x == y
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return sameValue(a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			if !isKept(a.Type(), a.Type().Field(i).Name) && !sameValue(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameValue(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for _, k := range a.MapKeys() {
			other := b.MapIndex(k)
			if !other.IsValid() || !sameValue(a.MapIndex(k), other) {
				return false
			}
		}
		return true
	}
	return a.Interface() == b.Interface()
}

func number(v reflect.Value) (float64, bool) {
	switch {
	case v.CanInt():
		return float64(v.Int()), true
	case v.CanUint():
		return float64(v.Uint()), true
	case v.CanFloat():
		return v.Float(), true
	}
	return 0, false
}
