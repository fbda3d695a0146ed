package model

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Kinds of difference.
const (
	DiffNone    = "None"
	DiffAdded   = "Added"
	DiffDeleted = "Deleted"
	DiffEdited  = "Edited"
)

// JobDiff is how one version of a job differs from another.
type JobDiff struct {
	Type       string
	ID         string
	Fields     []*FieldDiff
	Objects    []*ObjectDiff
	TaskGroups []*TaskGroupDiff
}

// TaskGroupDiff is the part of a JobDiff about one group. Updates counts what a plan does to its instances.
type TaskGroupDiff struct {
	Type    string
	Name    string
	Fields  []*FieldDiff
	Objects []*ObjectDiff
	Tasks   []*TaskDiff
	Updates map[string]uint64
}

// TaskDiff is the part of a JobDiff about one task.
type TaskDiff struct {
	Type        string
	Name        string
	Fields      []*FieldDiff
	Objects     []*ObjectDiff
	Annotations []string
}

// ObjectDiff is a difference in a block.
type ObjectDiff struct {
	Type    string
	Name    string
	Fields  []*FieldDiff
	Objects []*ObjectDiff
}

// FieldDiff is a difference in one value, as text.
type FieldDiff struct {
	Type        string
	Name        string
	Old         string
	New         string
	Annotations []string
}

// DiffJobs compares two versions of a job; either may be nil. With contextual set, unchanged fields of changed objects
// are listed too, with type None.
func DiffJobs(old, new *Job, contextual bool) *JobDiff {
	d := differ{contextual: contextual}
	out := &JobDiff{Type: DiffNone}
	switch {
	case new != nil:
		out.ID = new.ID
	case old != nil:
		out.ID = old.ID
	}
	out.Fields, out.Objects = d.structs(reflect.ValueOf(old), reflect.ValueOf(new), "ID", "TaskGroups", "Update")
	for _, p := range pairByName(groups(old), groups(new), func(g *TaskGroup) string { return g.Name }) {
		if g := d.group(p.old, p.new); g.Type != DiffNone || contextual {
			out.TaskGroups = append(out.TaskGroups, g)
		}
	}
	edited := anyField(out.Fields) || anyObject(out.Objects) ||
		slices.ContainsFunc(out.TaskGroups, func(g *TaskGroupDiff) bool { return g.Type != DiffNone })
	out.Type = diffType(old == nil, new == nil, edited)
	return out
}

func groups(j *Job) []*TaskGroup {
	if j == nil {
		return nil
	}
	return j.TaskGroups
}

func tasks(g *TaskGroup) []*Task {
	if g == nil {
		return nil
	}
	return g.Tasks
}

// differ compares values of the domain by reflection, so that a new field needs no code here.
type differ struct{ contextual bool }

func (d differ) group(old, new *TaskGroup) *TaskGroupDiff {
	out := &TaskGroupDiff{}
	if new != nil {
		out.Name = new.Name
	} else {
		out.Name = old.Name
	}
	out.Fields, out.Objects = d.structs(reflect.ValueOf(old), reflect.ValueOf(new), "Name", "Tasks")
	for _, p := range pairByName(tasks(old), tasks(new), func(t *Task) string { return t.Name }) {
		if t := d.task(p.old, p.new); t.Type != DiffNone || d.contextual {
			out.Tasks = append(out.Tasks, t)
		}
	}
	edited := anyField(out.Fields) || anyObject(out.Objects) ||
		slices.ContainsFunc(out.Tasks, func(t *TaskDiff) bool { return t.Type != DiffNone })
	out.Type = diffType(old == nil, new == nil, edited)
	return out
}

func (d differ) task(old, new *Task) *TaskDiff {
	out := &TaskDiff{}
	if new != nil {
		out.Name = new.Name
	} else {
		out.Name = old.Name
	}
	out.Fields, out.Objects = d.structs(reflect.ValueOf(old), reflect.ValueOf(new), "Name")
	out.Type = diffType(old == nil, new == nil, anyField(out.Fields) || anyObject(out.Objects))
	return out
}

// structs compares two structs or pointers to them (nil = absent), without the fields named.
func (d differ) structs(old, new reflect.Value, without ...string) (fields []*FieldDiff, objects []*ObjectDiff) {
	old, new = reflect.Indirect(old), reflect.Indirect(new)
	shape := old
	if !shape.IsValid() {
		shape = new
	}
	if !shape.IsValid() {
		return nil, nil
	}
	for i := range shape.NumField() {
		name := shape.Type().Field(i).Name
		if slices.Contains(without, name) || isKept(shape.Type(), name) {
			continue
		}
		f, o := d.value(name, shape.Field(i).Type(), fieldOf(old, i), fieldOf(new, i))
		fields, objects = append(fields, f...), append(objects, o...)
	}
	slices.SortFunc(fields, func(a, b *FieldDiff) int { return strings.Compare(a.Name, b.Name) })
	slices.SortStableFunc(objects, func(a, b *ObjectDiff) int { return strings.Compare(a.Name, b.Name) })
	return fields, objects
}

func fieldOf(v reflect.Value, i int) reflect.Value {
	if !v.IsValid() {
		return v
	}
	return v.Field(i)
}

// value compares one field of a struct. An invalid Value stands for absent.
func (d differ) value(name string, t reflect.Type, old, new reflect.Value) ([]*FieldDiff, []*ObjectDiff) {
	switch {
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		return nil, d.object(title(name), notNil(old), notNil(new))
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return nil, d.set(name, old, new)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return nil, d.list(title(name), old, new)
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Pointer:
		return nil, d.keyed(title(name), old, new)
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String:
		return d.flat(name, old, new), nil
	case t.Kind() == reflect.Map:
		f := d.flat("", old, new)
		return nil, d.wrap(name, old, new, f, nil)
	}
	if f := d.field(name, fieldText(old), fieldText(new)); f != nil {
		return []*FieldDiff{f}, nil
	}
	return nil, nil
}

func notNil(v reflect.Value) reflect.Value {
	if v.IsValid() && v.Kind() == reflect.Pointer && v.IsNil() {
		return reflect.Value{}
	}
	return v
}

// field compares two values as text; nil = absent.
func (d differ) field(name string, old, new *string) *FieldDiff {
	f := &FieldDiff{Type: DiffNone, Name: name}
	if old != nil {
		f.Old = *old
	}
	if new != nil {
		f.New = *new
	}
	switch {
	case f.Old == f.New:
		if !d.contextual || f.Old == "" {
			return nil
		}
	case f.Old == "":
		f.Type = DiffAdded
	case f.New == "":
		f.Type = DiffDeleted
	default:
		f.Type = DiffEdited
	}
	return f
}

// object compares two structs of which either may be absent.
func (d differ) object(name string, old, new reflect.Value) []*ObjectDiff {
	if !old.IsValid() && !new.IsValid() {
		return nil
	}
	f, o := d.structs(old, new)
	return d.wrap(name, old, new, f, o)
}

// wrap makes an ObjectDiff of differences, nothing when there is none to show.
func (d differ) wrap(name string, old, new reflect.Value, f []*FieldDiff, o []*ObjectDiff) []*ObjectDiff {
	t := diffType(absent(old), absent(new), anyField(f) || anyObject(o))
	if t == DiffNone && (!d.contextual || len(f)+len(o) == 0) {
		return nil
	}
	return []*ObjectDiff{{Type: t, Name: name, Fields: f, Objects: o}}
}

func absent(v reflect.Value) bool {
	if !v.IsValid() {
		return true
	}
	switch v.Kind() {
	case reflect.Map, reflect.Slice:
		return v.Len() == 0
	}
	return false
}

// list compares two lists of structs: those with a name by name, others by content.
func (d differ) list(name string, old, new reflect.Value) []*ObjectDiff {
	var out []*ObjectDiff
	for _, p := range pairByName(elements(old), elements(new), identity) {
		out = append(out, d.object(name, p.old, p.new)...)
	}
	return out
}

func (d differ) keyed(name string, old, new reflect.Value) []*ObjectDiff {
	var out []*ObjectDiff
	for _, k := range keysOf(old, new) {
		out = append(out, d.object(name, notNil(at(old, k)), notNil(at(new, k)))...)
	}
	return out
}

// set compares two lists of strings as sets.
func (d differ) set(name string, old, new reflect.Value) []*ObjectDiff {
	var f []*FieldDiff
	inOld, inNew := stringSet(old), stringSet(new)
	all := map[string]bool{}
	for s := range inOld {
		all[s] = true
	}
	for s := range inNew {
		all[s] = true
	}
	for _, s := range sortedKeys(all) {
		var o, n *string
		if inOld[s] {
			o = &s
		}
		if inNew[s] {
			n = &s
		}
		if x := d.field(name, o, n); x != nil {
			f = append(f, x)
		}
	}
	if len(f) == 0 && old.IsValid() && new.IsValid() && !same(old.Interface(), new.Interface()) { // another order
		o, n := strings.Join(listOf(old), " "), strings.Join(listOf(new), " ")
		f = append(f, d.field(name, &o, &n))
	}
	return d.wrap(name, old, new, f, nil)
}

// flat compares two maps by the paths of their leaves: name[key], or key[0][inner] when name is empty.
func (d differ) flat(name string, old, new reflect.Value) []*FieldDiff {
	a, b := map[string]string{}, map[string]string{}
	flatten(name, old, a)
	flatten(name, new, b)
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	var out []*FieldDiff
	for _, k := range sortedKeys(all) {
		x, inA := a[k]
		y, inB := b[k]
		f := d.field(k, &x, &y)
		if f == nil && inA != inB { // an empty value came or went
			f = &FieldDiff{Type: diffType(!inA, !inB, true), Name: k}
		}
		if f != nil {
			out = append(out, f)
		}
	}
	return out
}

func flatten(path string, v reflect.Value, out map[string]string) {
	for v.IsValid() && v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	if !v.IsValid() {
		return
	}
	switch v.Kind() {
	case reflect.Map:
		for _, k := range v.MapKeys() {
			p := path + "[" + k.String() + "]"
			if path == "" {
				p = k.String()
			}
			flatten(p, v.MapIndex(k), out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			flatten(path+"["+strconv.Itoa(i)+"]", v.Index(i), out)
		}
	default:
		out[path] = *fieldText(v)
	}
}

// fieldText is a scalar as text, nil for an absent one.
func fieldText(v reflect.Value) *string {
	if !v.IsValid() {
		return nil
	}
	s := ""
	switch {
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return fieldText(v.Elem())
	case v.Kind() == reflect.String:
		s = v.String()
	case v.Kind() == reflect.Slice: // bytes
		s = base64.StdEncoding.EncodeToString(v.Bytes())
	case v.CanInt():
		s = strconv.FormatInt(v.Int(), 10)
	case v.CanUint():
		s = strconv.FormatUint(v.Uint(), 10)
	default:
		s = fmt.Sprint(v.Interface())
	}
	return &s
}
