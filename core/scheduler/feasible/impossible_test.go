package feasible

import (
	"testing"

	"github.com/droverhq/drover/core/model"
)

func TestImpossible(t *testing.T) {
	c := func(l, op, r string) model.Constraint { return model.Constraint{LTarget: l, Operand: op, RTarget: r} }
	job := func(ofJob, ofGroup, ofTask []model.Constraint) *model.Job {
		return &model.Job{Constraints: ofJob, TaskGroups: []*model.TaskGroup{{
			Name: "g", Constraints: ofGroup, Tasks: []*model.Task{{Name: "t", Constraints: ofTask}},
		}}}
	}
	list := func(cs ...model.Constraint) []model.Constraint { return cs }
	for name, x := range map[string]struct {
		job  *model.Job
		want string // "" for none
	}{
		"nothing":              {job(nil, nil, nil), ""},
		"same twice":           {job(list(c("${attr.a}", "=", "1")), list(c("${attr.a}", "=", "1")), nil), ""},
		"other property":       {job(list(c("${attr.a}", "=", "1"), c("${attr.b}", "=", "2")), nil, nil), ""},
		"references":           {job(list(c("${attr.a}", "=", "${meta.x}"), c("${attr.a}", "=", "2")), nil, nil), ""},
		"version range":        {job(list(c("${attr.a}", "semver", ">= 1.4.0"), c("${attr.a}", "semver", "< 2.0.0")), nil, nil), ""},
		"touching bounds":      {job(list(c("${attr.a}", ">=", "4"), c("${attr.a}", "<=", "4")), nil, nil), ""},
		"not and unset":        {job(list(c("${attr.a}", "!=", "4"), c("${attr.a}", "is_not_set", "")), nil, nil), ""},
		"value and set":        {job(list(c("${attr.a}", "=", "4"), c("${attr.a}", "is_set", "")), nil, nil), ""},
		"distinct":             {job(list(c("", model.OpDistinctHosts, "")), nil, nil), ""},
		"literals that hold":   {job(list(c("a", "=", "a")), nil, nil), ""},
		"mixed text":           {job(list(c("${attr.a}", "=", "x-${meta.b}"), c("${attr.a}", "=", "x-1")), nil, nil), ""},
		"two values, one job":  {job(list(c("${attr.a}", "=", "1"), c("${attr.a}", "=", "2")), nil, nil), `constraint: "${attr.a} = 2" can never hold together with "${attr.a} = 1" (constraint): no node meets both`},
		"job and group":        {job(list(c("${attr.a}", "=", "1")), list(c("${attr.a}", "is", "2")), nil), `group "g" > constraint: "${attr.a} is 2" can never hold together with "${attr.a} = 1" (constraint): no node meets both`},
		"group and task":       {job(nil, list(c("${attr.a}", "regexp", "^x")), list(c("${attr.a}", "=", "y"))), `group "g" > task "t" > constraint: "${attr.a} = y" can never hold together with "${attr.a} regexp ^x" (group "g" > constraint): no node meets both`},
		"version":              {job(list(c("${attr.a}", "version", ">= 2"), c("${attr.a}", "=", "1.9")), nil, nil), `constraint: "${attr.a} = 1.9" can never hold together with "${attr.a} version >= 2" (constraint): no node meets both`},
		"value and not":        {job(list(c("${attr.a}", "=", "1"), c("${attr.a}", "!=", "1")), nil, nil), `constraint: "${attr.a} != 1" can never hold together with "${attr.a} = 1" (constraint): no node meets both`},
		"bounds":               {job(list(c("${attr.a}", "<", "4"), c("${attr.a}", ">", "4.5")), nil, nil), `constraint: "${attr.a} > 4.5" can never hold together with "${attr.a} < 4" (constraint): no node meets both`},
		"set and unset":        {job(list(c("${attr.a}", "is_set", ""), c("${attr.a}", "is_not_set", "")), nil, nil), `constraint: "${attr.a} is_not_set" can never hold together with "${attr.a} is_set" (constraint): no node meets both`},
		"value and unset":      {job(list(c("${attr.a}", "=", "1"), c("${attr.a}", "is_not_set", "")), nil, nil), `constraint: "${attr.a} is_not_set" can never hold together with "${attr.a} = 1" (constraint): no node meets both`},
		"plain text":           {job(nil, list(c("attr.kernel.name", "=", "linux")), nil), `group "g" > constraint: "attr.kernel.name = linux" never holds: "attr.kernel.name" is plain text; write ${attr.<key>}, ${meta.<key>} or ${node.<property>} for what a node has`},
		"set without the item": {job(list(c("${attr.a}", "set_contains", "x,y"), c("${attr.a}", "=", "x")), nil, nil), `constraint: "${attr.a} = x" can never hold together with "${attr.a} set_contains x,y" (constraint): no node meets both`},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, p := range Impossible(x.job) {
				got += p.Error()
			}
			if got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
		})
	}
}
