package model

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// The functions here find what belongs together in two versions of a job, and name it.

// identity is what makes an element of a list the same element in both versions.
func identity(v reflect.Value) string {
	v = reflect.Indirect(v)
	for _, name := range []string{"Name", "Label", "Volume", "DestPath", "Value"} {
		if f := v.FieldByName(name); f.IsValid() && f.Kind() == reflect.String && f.String() != "" {
			return f.String()
		}
	}
	if _, isNetwork := v.Interface().(Network); isNetwork {
		return "network" // a group has one
	}
	return fmt.Sprintf("%+v", v.Interface())
}

// title is the name under which a list's elements are shown.
func title(field string) string {
	switch field {
	case "DynamicPorts":
		return "Dynamic Port"
	case "ReservedPorts":
		return "Static Port"
	case "Affinities":
		return "Affinity"
	case "Identities":
		return "Identity"
	case "ScalingPolicies":
		return "Scaling"
	case "Networks", "Constraints", "Spreads", "Services", "Checks", "Volumes", "VolumeMounts", "Templates", "Artifacts",
		"Devices", "Secrets", "Actions", "Links", "Regions":
		return strings.TrimSuffix(field, "s")
	}
	return field
}

func diffType(oldAbsent, newAbsent, edited bool) string {
	switch {
	case oldAbsent && newAbsent:
		return DiffNone
	case oldAbsent:
		return DiffAdded
	case newAbsent:
		return DiffDeleted
	case edited:
		return DiffEdited
	}
	return DiffNone
}

func anyField(f []*FieldDiff) bool {
	return slices.ContainsFunc(f, func(x *FieldDiff) bool { return x.Type != DiffNone })
}

func anyObject(o []*ObjectDiff) bool {
	return slices.ContainsFunc(o, func(x *ObjectDiff) bool { return x.Type != DiffNone })
}

type pair[T any] struct{ old, new T }

// pairByName matches two lists by name, in the order of names; a missing partner is the zero value.
func pairByName[T any](old, new []T, name func(T) string) []pair[T] {
	byName := map[string]*pair[T]{}
	count := map[string]int{}
	add := func(items []T, set func(*pair[T], T)) {
		clear(count)
		for _, x := range items {
			n := name(x)
			count[n]++
			key := n + "\x00" + strconv.Itoa(count[n]) // equal names pair up in their order
			if byName[key] == nil {
				byName[key] = &pair[T]{}
			}
			set(byName[key], x)
		}
	}
	add(old, func(p *pair[T], x T) { p.old = x })
	add(new, func(p *pair[T], x T) { p.new = x })
	out := make([]pair[T], 0, len(byName))
	for _, k := range sortedKeys(byName) {
		out = append(out, *byName[k])
	}
	return out
}

func elements(v reflect.Value) []reflect.Value {
	var out []reflect.Value
	if v.IsValid() {
		for i := range v.Len() {
			out = append(out, v.Index(i))
		}
	}
	return out
}

func at(m, k reflect.Value) reflect.Value {
	if !m.IsValid() {
		return m
	}
	return m.MapIndex(k)
}

func keysOf(maps ...reflect.Value) []reflect.Value {
	seen := map[string]bool{}
	for _, m := range maps {
		if m.IsValid() {
			for _, k := range m.MapKeys() {
				seen[k.String()] = true
			}
		}
	}
	var out []reflect.Value
	for _, k := range sortedKeys(seen) {
		out = append(out, reflect.ValueOf(k))
	}
	return out
}

func listOf(v reflect.Value) []string {
	var out []string
	if v.IsValid() {
		for i := range v.Len() {
			out = append(out, v.Index(i).String())
		}
	}
	return out
}

func stringSet(v reflect.Value) map[string]bool {
	out := map[string]bool{}
	for _, s := range listOf(v) {
		out[s] = true
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
