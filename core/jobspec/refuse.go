package jobspec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
)

// Refuse returns an error for every block and attribute that the job sets and that Drover does not act on yet, by name
// and path: what a job asks for is done or refused, never ignored. It works on complete jobs, wherever they come from.
func Refuse(job *model.Job) []error {
	var out []error
	refuse(grammar(), reflect.ValueOf(job).Elem(), place{}, job.Type, &out)
	return out
}

// Refused joins what Refuse returns into one error, nil when the job asks for nothing that is not acted on.
func Refused(job *model.Job) error { return errors.Join(Refuse(job)...) }

func refuse(b *Block, v reflect.Value, at place, jobType string, out *[]error) {
	for i := range b.Fields {
		f := &b.Fields[i]
		fv := v.FieldByName(f.JSON)
		if !fv.IsValid() || empty(fv) {
			continue
		}
		if !f.Acted && !isDefault(f, fv, jobType) {
			*out = append(*out, fmt.Errorf("%sthis release of Drover does not act on %s yet; remove it", prefix(at), f.title(fv)))
			continue
		}
		if f.ActedValues != nil && !slices.Contains(f.ActedValues, fv.String()) {
			*out = append(*out, fmt.Errorf("%sthis release of Drover does not act on %s = %q yet, only on \"%s\"",
				prefix(at), f.title(fv), fv.String(), strings.Join(f.ActedValues, `", "`)))
			continue
		}
		if f.Kind.isBlock() {
			refuseInside(f, fv, at, jobType, out)
		}
	}
}

func refuseInside(f *Field, v reflect.Value, at place, jobType string, out *[]error) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Elem().Kind() == reflect.Struct {
			refuse(f.Of, v.Elem(), at.in(f.Of.Name), jobType, out)
		}
	case reflect.Slice:
		for i := range v.Len() {
			e := reflect.Indirect(v.Index(i))
			refuse(f.Of, e, at.in(f.Of.Name, labelOf(f, e)...), jobType, out)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if e := reflect.Indirect(v.MapIndex(k)); e.Kind() == reflect.Struct {
				refuse(f.Of, e, at.in(f.Of.Name, k.String()), jobType, out)
			}
		}
	}
}

func labelOf(f *Field, e reflect.Value) []string {
	name := e.FieldByName("Name")
	if f.Label != "" {
		name = e.FieldByName(f.Label)
	}
	if !name.IsValid() || name.Kind() != reflect.String || name.String() == "" {
		return nil
	}
	return []string{name.String()}
}

func prefix(at place) string {
	if len(at) == 0 {
		return ""
	}
	return at.String() + ": "
}

// title is how people know the field, with its label where it has just one.
func (f *Field) title(v reflect.Value) string {
	name := f.HCL
	if name == "" && f.Of != nil {
		name = f.Of.Name
	}
	if name == "" {
		name = f.JSON
	}
	if v.Kind() == reflect.Slice && v.Len() == 1 && f.Kind == Many {
		if l := labelOf(f, reflect.Indirect(v.Index(0))); l != nil {
			return fmt.Sprintf("%s %q", name, l[0])
		}
	}
	return name
}

// empty tells whether a field holds nothing.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return v.IsZero()
}

// isDefault tells whether a scalar field holds what it would hold had it not been written.
func isDefault(f *Field, v reflect.Value, jobType string) bool {
	switch def := f.defaultFor(jobType).(type) {
	case string:
		return v.Kind() == reflect.String && v.String() == def
	case int64:
		return v.CanInt() && v.Int() == def
	case bool:
		return v.Kind() == reflect.Bool && v.Bool() == def
	}
	return false
}
