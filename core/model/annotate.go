package model

// Annotate adds to a diff what a plan would do about it: the number of instances per group, and to counts and tasks
// what their change brings about. old and new are the jobs that were compared.
func (d *JobDiff) Annotate(old, new *Job, plan *PlanAnnotations) {
	for _, g := range d.TaskGroups {
		if plan != nil && plan.DesiredTGUpdates[g.Name] != nil {
			g.Updates = plan.DesiredTGUpdates[g.Name].counts()
		}
		for _, f := range g.Fields {
			if f.Name == "Count" {
				f.annotateCount()
			}
		}
		for _, t := range g.Tasks {
			t.annotate(g, old, new)
		}
	}
}

// counts names the numbers that are not zero.
func (u *DesiredUpdates) counts() map[string]uint64 {
	out := map[string]uint64{}
	for name, n := range map[string]uint64{"ignore": u.Ignore, "create": u.Place, "migrate": u.Migrate, "destroy": u.Stop,
		"in-place update": u.InPlaceUpdate, "create/destroy update": u.DestructiveUpdate, "canary": u.Canary} {
		if n > 0 {
			out[name] = n
		}
	}
	return out
}

func (f *FieldDiff) annotateCount() {
	// Both are numbers without a sign: the longer is the larger, else the order of the text decides.
	more := len(f.New) > len(f.Old) || len(f.New) == len(f.Old) && f.New > f.Old
	switch {
	case f.Type == DiffNone:
	case more:
		f.Annotations = append(f.Annotations, "forces create")
	default:
		f.Annotations = append(f.Annotations, "forces destroy")
	}
}

func (t *TaskDiff) annotate(g *TaskGroupDiff, old, new *Job) {
	switch {
	case t.Type == DiffNone:
	case g.Type == DiffAdded:
		t.Annotations = append(t.Annotations, "forces create")
	case g.Type == DiffDeleted:
		t.Annotations = append(t.Annotations, "forces destroy")
	case t.Type == DiffEdited && !taskUpdated(old, new, g.Name, t.Name):
		t.Annotations = append(t.Annotations, "forces in-place update")
	default:
		t.Annotations = append(t.Annotations, "forces create/destroy update")
	}
}

// taskUpdated tells whether the task's own change needs a new instance.
func taskUpdated(old, new *Job, group, task string) bool {
	if old == nil || new == nil {
		return true
	}
	ga, gb := old.Group(group), new.Group(group)
	if ga == nil || gb == nil || ga.Task(task) == nil || gb.Task(task) == nil {
		return true
	}
	return !same(taskRun(old, ga, ga.Task(task)), taskRun(new, gb, gb.Task(task)))
}
