package model

import "testing"

func TestSame(t *testing.T) {
	config := func(v any) *Task { return &Task{Config: map[string]any{"x": v}} }
	for name, tc := range map[string]struct {
		a, b any
		want bool
	}{
		"nil and empty list":       {&Job{}, &Job{Constraints: []Constraint{}}, true},
		"nil and empty map":        {&Job{}, &Job{Meta: map[string]string{}}, true},
		"what servers fill in":     {&Job{}, &Job{Version: 3, Status: "running", ModifyIndex: 9}, true},
		"scaling policy's id":      {&Scaling{Max: 1}, &Scaling{Max: 1, ID: "x"}, true},
		"stopped":                  {&Job{}, &Job{Stop: true}, false},
		"nil job":                  {(*Job)(nil), &Job{}, false},
		"numbers after storage":    {config(int64(5)), config(uint8(5)), true},
		"whole numbers":            {config(int64(5)), config(5.0), true},
		"other number":             {config(int64(5)), config(5.5), false},
		"number and text":          {config(int64(5)), config("5"), false},
		"list in config":           {config([]any{int64(1)}), config([]any{int8(1)}), true},
		"map value missing":        {config(nil), &Task{Config: map[string]any{"y": nil}}, false},
		"empty block and no block": {&TaskGroup{}, &TaskGroup{Consul: &Consul{}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := same(tc.a, tc.b); got != tc.want {
				t.Errorf("same = %v, want %v", got, tc.want)
			}
			if got := same(tc.b, tc.a); got != tc.want {
				t.Errorf("the other way round same = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAdmitTwiceChangesNothing(t *testing.T) {
	job := func() *Job {
		return &Job{Region: DefaultRegion, TaskGroups: []*TaskGroup{{
			Name:     "g",
			Networks: []*Network{{Mode: NetworkModeBridge}},
			Services: []*Service{{Name: "s", Provider: ProviderConsul, Checks: []*ServiceCheck{{}}}},
			Tasks:    []*Task{{Name: "t", KillSignal: "SIGUSR1"}, {Name: "u", KillSignal: "SIGINT"}},
		}}}
	}
	once, twice := job(), job()
	if w := once.Admit(Site{Region: "eu"}); len(w) != 1 {
		t.Errorf("warnings %q, want one about the catalog", w)
	}
	twice.Admit(Site{Region: "eu"})
	if w := twice.Admit(Site{Region: "eu"}); len(w) != 0 {
		t.Errorf("the second time it warned %q", w)
	}
	if SpecChanged(once, twice) {
		t.Errorf("admitting twice gave %+v, once %+v", twice.TaskGroups[0], once.TaskGroups[0])
	}
	g := once.TaskGroups[0]
	if once.Region != "eu" || g.Services[0].Provider != ProviderCatalog {
		t.Errorf("region %q, provider %q", once.Region, g.Services[0].Provider)
	}
	want := Constraint{"${attr.os.signals}", OpSetContains, "SIGINT,SIGUSR1"}
	if got := g.Constraints[len(g.Constraints)-1]; got != want {
		t.Errorf("last implied constraint %v, want %v", got, want)
	}
	if len(g.Constraints) != 3 { // catalog, its checks, signals; the bridge is a matter of the mode's health
		t.Errorf("%d implied constraints: %v", len(g.Constraints), g.Constraints)
	}
}
