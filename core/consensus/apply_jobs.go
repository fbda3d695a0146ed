package consensus

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

func (e *RegisterJob) apply(tx *state.Txn) (any, error) {
	old := tx.Job(e.Job.Namespace, e.Job.ID)
	if e.EnforceIndex {
		if err := enforce(old, e.JobModifyIndex); err != nil {
			return nil, err
		}
	}
	if err := sameNature(old, e.Job); err != nil {
		return nil, err
	}
	job := e.Job
	if old != nil && (e.PreserveCounts || e.PreserveResources) {
		job = preserve(old, job, e.PreserveCounts, e.PreserveResources)
	}
	stored, changed := tx.UpsertJob(job, e.Submission, e.Tracked)
	if e.Launch != 0 {
		tx.SetPeriodicLaunch(job.Namespace, job.ParentID, e.Launch)
	}
	return registered(tx, stored, changed, e.Eval), nil
}

// enforce refuses a change that was made on another version than the present one.
func enforce(old *model.Job, index uint64) error {
	switch {
	case index == 0 && old != nil:
		return rpc.Errorf(rpc.ErrConflict, "Enforcing job modify index 0: job already exists")
	case index != 0 && old == nil:
		return rpc.Errorf(rpc.ErrConflict, "Enforcing job modify index %d: job does not exist", index)
	case old != nil && old.JobModifyIndex != index:
		return rpc.Errorf(rpc.ErrConflict, "Enforcing job modify index %d: job exists with conflicting job modify index: %d", index, old.JobModifyIndex)
	}
	return nil
}

// sameNature refuses to make another kind of job out of one.
func sameNature(old, job *model.Job) error {
	switch {
	case old == nil:
	case old.Type != job.Type:
		return rpc.Errorf(rpc.ErrInvalid, "cannot update job from type %q to %q: stop and purge it first, or give the new one another ID", old.Type, job.Type)
	case old.IsPeriodic() != job.IsPeriodic():
		return rpc.Errorf(rpc.ErrInvalid, "cannot update a periodic job to be non-periodic or the reverse: stop and purge it first")
	case (old.ParameterizedJob != nil) != (job.ParameterizedJob != nil):
		return rpc.Errorf(rpc.ErrInvalid, "cannot update a parameterized job to be non-parameterized or the reverse: stop and purge it first")
	}
	return nil
}

// preserve returns job with the counts or resources that the running version's groups and tasks of the same name have.
func preserve(old, job *model.Job, counts, resources bool) *model.Job {
	j := *job
	j.TaskGroups = make([]*model.TaskGroup, len(job.TaskGroups))
	for i, group := range job.TaskGroups {
		g := *group
		j.TaskGroups[i] = &g
		before := old.Group(g.Name)
		if before == nil {
			continue
		}
		if counts {
			g.Count = before.Count
		}
		if !resources {
			continue
		}
		g.Tasks = make([]*model.Task, len(group.Tasks))
		for k, task := range group.Tasks {
			t := *task
			if b := before.Task(t.Name); b != nil {
				t.Resources = b.Resources
			}
			g.Tasks[k] = &t
		}
	}
	return &j
}

// registered stores the evaluation of a job that was written.
func registered(tx *state.Txn, job *model.Job, changed bool, eval *model.Evaluation) *Registered {
	r := &Registered{Job: job, Changed: changed}
	if eval == nil {
		return r
	}
	e := eval.Copy()
	if job != nil {
		e.JobModifyIndex = job.JobModifyIndex
	}
	tx.UpsertEvals(e)
	r.Eval = tx.Eval(e.ID)
	return r
}

func (e *DeregisterJob) apply(tx *state.Txn) (any, error) {
	old := tx.Job(e.Namespace, e.JobID)
	if old == nil {
		return &Registered{}, nil
	}
	if e.NoShutdownDelay {
		yes := true
		var live []string
		for _, a := range tx.AllocsByJob(e.Namespace, e.JobID) {
			if !a.Terminal() {
				live = append(live, a.ID)
			}
		}
		tx.SetTransition(live, model.DesiredTransition{NoShutdownDelay: &yes})
	}
	job := old
	if e.Purge {
		tx.DeleteJob(e.Namespace, e.JobID)
	} else {
		job = tx.StopJob(e.Namespace, e.JobID, e.Tracked)
	}
	return registered(tx, job, true, e.Eval), nil
}

func (e *JobStability) apply(tx *state.Txn) (any, error) {
	if tx.SetJobStable(e.Namespace, e.JobID, e.Version, e.Stable) == nil {
		return nil, versionNotFound(e.JobID, e.Version)
	}
	return nil, nil
}

func versionNotFound(job string, version uint64) error {
	return rpc.Errorf(rpc.ErrNotFound, "job %q at version %d not found", job, version)
}

func (e *TagJobVersion) apply(tx *state.Txn) (any, error) {
	if e.Tag != nil {
		for _, v := range tx.JobVersions(e.Namespace, e.JobID) {
			if v.VersionTag != nil && v.VersionTag.Name == e.Tag.Name && v.Version != e.Version {
				return nil, rpc.Errorf(rpc.ErrConflict, "tag %q already exists on a different version of job %q: version %d", e.Tag.Name, e.JobID, v.Version)
			}
		}
	}
	if tx.TagJobVersion(e.Namespace, e.JobID, e.Version, e.Tag) == nil {
		return nil, versionNotFound(e.JobID, e.Version)
	}
	return nil, nil
}

func (e *ScaleJob) apply(tx *state.Txn) (any, error) {
	old := tx.Job(e.Namespace, e.JobID)
	if old == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "job %q not found", e.JobID)
	}
	if e.EnforceIndex {
		if err := enforce(old, e.JobModifyIndex); err != nil {
			return nil, err
		}
	}
	before := old.Group(e.Group)
	if before == nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "task group %q does not exist in job", e.Group)
	}
	if e.Event != nil {
		ev := *e.Event
		ev.PreviousCount = int64(before.Count)
		tx.AddScalingEvent(e.Namespace, e.JobID, e.Group, &ev)
	}
	if e.Count == nil {
		return &Registered{Job: old}, nil
	}
	job := *old
	job.TaskGroups = append([]*model.TaskGroup(nil), old.TaskGroups...)
	for i, g := range job.TaskGroups {
		if g.Name == e.Group {
			scaled := *g
			scaled.Count = *e.Count
			job.TaskGroups[i] = &scaled
		}
	}
	job.SubmitTime = 0
	stored, changed := tx.UpsertJob(&job, nil, e.Tracked)
	return registered(tx, stored, changed, e.Eval), nil
}

func (e *SkipLaunch) apply(tx *state.Txn) (any, error) {
	if tx.Job(e.Namespace, e.JobID) != nil {
		tx.SetPeriodicLaunch(e.Namespace, e.JobID, e.Launch)
	}
	return nil, nil
}
