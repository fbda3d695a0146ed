package jobspec

import (
	"reflect"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// notInModel are fields that completing a tree merges into others.
var notInModel = map[string]bool{
	"job.Reschedule": true, "job.Migrate": true, "logs.Enabled": true, "service.CheckRestart": true,
}

// TestGrammarFitsModel checks that the grammar and the domain model have the same fields: what can be written has a
// place to go to, and what the model has can be written.
func TestGrammarFitsModel(t *testing.T) {
	fits(t, grammar(), reflect.TypeFor[model.Job](), map[*Block]bool{})
}

// byServers are fields of the model that nobody writes in a job.
var byServers = map[string]bool{
	"job.Status": true, "job.StatusDescription": true, "job.Stable": true, "job.Version": true, "job.SubmitTime": true,
	"job.CreateIndex": true, "job.ModifyIndex": true, "job.JobModifyIndex": true, "job.VersionTag": true,
	"scaling.CreateIndex": true, "scaling.ModifyIndex": true,
}

func fits(t *testing.T, b *Block, typ reflect.Type, done map[*Block]bool) {
	if done[b] {
		return
	}
	done[b] = true
	written := map[string]bool{}
	for _, f := range b.Fields {
		if f.Doc == "" {
			t.Errorf("%s.%s has no doc line", b.Name, f.HCL)
		}
		if f.JSON == "" || notInModel[b.Name+"."+f.JSON] {
			continue
		}
		if written[f.JSON] {
			t.Errorf("%s.%s is in the grammar twice", b.Name, f.JSON)
		}
		written[f.JSON] = true
		sf, ok := typ.FieldByName(f.JSON)
		if !ok {
			t.Errorf("the model has no field for %s.%s", b.Name, f.JSON)
			continue
		}
		inner := sf.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			inner = inner.Elem()
		}
		if f.Kind.isBlock() && inner.Kind() == reflect.Struct {
			fits(t, f.Of, inner, done)
		}
	}
	for i := range typ.NumField() {
		if name := typ.Field(i).Name; !written[name] && !byServers[b.Name+"."+name] {
			t.Errorf("%s.%s of the model cannot be written", b.Name, name)
		}
	}
}
