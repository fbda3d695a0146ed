package model

import (
	"reflect"
	"testing"
)

func TestAnnotate(t *testing.T) {
	job := func(count int, user string, leader bool, extra ...string) *Job {
		g := &TaskGroup{Name: "g", Count: count, Tasks: []*Task{{Name: "t", User: user, Leader: leader}}}
		j := &Job{ID: "a", TaskGroups: []*TaskGroup{g}}
		for _, name := range extra {
			j.TaskGroups = append(j.TaskGroups, &TaskGroup{Name: name, Tasks: []*Task{{Name: "t"}}})
		}
		return j
	}
	for name, tc := range map[string]struct {
		old, new  *Job
		count     []string
		task      []string
		extraTask []string
	}{
		"user":    {job(1, "a", false), job(1, "b", false), nil, []string{"forces create/destroy update"}, nil},
		"leader":  {job(1, "a", false), job(1, "a", true), nil, []string{"forces in-place update"}, nil},
		"more":    {job(9, "a", false), job(10, "a", true), []string{"forces create"}, []string{"forces in-place update"}, nil},
		"less":    {job(10, "a", false), job(9, "b", true), []string{"forces destroy"}, []string{"forces create/destroy update"}, nil},
		"added":   {job(1, "a", false), job(1, "b", false, "x"), nil, []string{"forces create/destroy update"}, []string{"forces create"}},
		"deleted": {job(1, "a", false, "x"), job(1, "b", false), nil, []string{"forces create/destroy update"}, []string{"forces destroy"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := DiffJobs(tc.old, tc.new, false)
			d.Annotate(tc.old, tc.new, &PlanAnnotations{DesiredTGUpdates: map[string]*DesiredUpdates{"g": {Place: 2, Ignore: 1}}})
			g := d.TaskGroups[0]
			if want := map[string]uint64{"create": 2, "ignore": 1}; !reflect.DeepEqual(g.Updates, want) {
				t.Errorf("updates %v, want %v", g.Updates, want)
			}
			var count []string
			for _, f := range g.Fields {
				if f.Name == "Count" {
					count = f.Annotations
				}
			}
			if !reflect.DeepEqual(count, tc.count) {
				t.Errorf("count %v, want %v", count, tc.count)
			}
			if got := g.Tasks[0].Annotations; !reflect.DeepEqual(got, tc.task) {
				t.Errorf("task %v, want %v", got, tc.task)
			}
			if tc.extraTask != nil {
				if got := d.TaskGroups[1].Tasks[0].Annotations; !reflect.DeepEqual(got, tc.extraTask) {
					t.Errorf("task of the other group %v, want %v", got, tc.extraTask)
				}
			}
		})
	}
}
