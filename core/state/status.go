package state

import "github.com/droverhq/drover/core/model"

// jobCounts is what a job's status is derived from, counted as rows change so that no entry has to read all of a job's
// allocations.
type jobCounts struct {
	Namespace, JobID string

	Allocs      int // not terminal
	OpenEvals   int // not terminal
	Evals       int // kept
	Deployments int // active
}

func (c *jobCounts) addEval(e *model.Evaluation, n int) {
	c.Evals += n
	if !e.Terminal() {
		c.OpenEvals += n
	}
}

// count returns the counts of a job for this transaction to change.
func (tx *Txn) count(key model.JobID) *jobCounts {
	if c := tx.counts[key]; c != nil {
		return c
	}
	c := &jobCounts{Namespace: key.Namespace, JobID: key.ID}
	if old := one[*jobCounts](tx.Snapshot, tableCounts, byID, key.Namespace, key.ID); old != nil {
		*c = *old
	}
	tx.counts[key] = c
	tx.jobs[key] = true
	return c
}

func (tx *Txn) flushCounts() {
	for key, c := range tx.counts {
		if tx.Job(key.Namespace, key.ID) != nil {
			tx.insert(tableCounts, c)
		}
	}
}

// countAlloc keeps the counts when an allocation changes; either side may be nil.
func (tx *Txn) countAlloc(old, new *model.Allocation) {
	a := new
	if a == nil {
		a = old
	}
	was, is := old != nil && !old.Terminal(), new != nil && !new.Terminal()
	if was != is {
		c := tx.count(a.JobKey())
		if is {
			c.Allocs++
		} else {
			c.Allocs--
		}
	}
	// A collected allocation stays counted in the summary: it says what became of the job.
	if new != nil && (old == nil || old.ClientStatus != new.ClientStatus) {
		tx.summarize(old, new)
	}
}

// deriveStatuses brings the status of every touched job up to date.
func (tx *Txn) deriveStatuses() {
	for key := range tx.jobs {
		j := tx.Job(key.Namespace, key.ID)
		if j == nil {
			continue
		}
		c := one[*jobCounts](tx.Snapshot, tableCounts, byID, key.Namespace, key.ID)
		if c == nil {
			c = &jobCounts{}
		}
		status := jobStatus(j, c)
		if status == j.Status {
			continue
		}
		tx.countChild(j.Namespace, j.ParentID, j.Status, status)
		changed := *j
		changed.Status = status
		changed.ModifyIndex = tx.index
		tx.insert(TableJobs, &changed)
		tx.insert(TableJobVersions, &changed)
		tx.commit.Jobs = append(tx.commit.Jobs, key)
	}
}

func jobStatus(j *model.Job, c *jobCounts) string {
	if j.Type == model.JobTypeSystem || j.IsPeriodic() || j.IsParameterized() {
		if j.Stop {
			return model.JobStatusDead
		}
		return model.JobStatusRunning
	}
	switch {
	case c.Allocs > 0 || c.Deployments > 0:
		return model.JobStatusRunning
	case c.OpenEvals > 0:
		return model.JobStatusPending
	case c.Evals > 0 || j.Stop || j.Status != model.JobStatusPending:
		return model.JobStatusDead
	}
	return model.JobStatusPending
}
