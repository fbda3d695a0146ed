package state

import (
	"iter"
	"slices"

	"github.com/droverhq/drover/core/model"
)

// Job returns the current version of a job, nil when there is none.
func (s *Snapshot) Job(namespace, id string) *model.Job {
	return one[*model.Job](s, TableJobs, byID, namespace, id)
}

// Jobs lists the jobs of a namespace (or AllNamespaces) whose ID begins with prefix.
func (s *Snapshot) Jobs(namespace, idPrefix string) iter.Seq[*model.Job] {
	return inNamespace(s, TableJobs, byID, namespace, idPrefix, func(j *model.Job) string { return j.ID })
}

// JobChildren lists the jobs that a periodic or parameterized job launched.
func (s *Snapshot) JobChildren(namespace, id string) iter.Seq[*model.Job] {
	return each[*model.Job](s, TableJobs, byParent, namespace, id)
}

// JobVersion returns one version of a job that exists, the current one included.
func (s *Snapshot) JobVersion(namespace, id string, version uint64) *model.Job {
	j := s.Job(namespace, id)
	if j == nil || j.Version == version {
		return j
	}
	return one[*model.Job](s, TableJobVersions, byID, namespace, id, number(j.CreateIndex), number(version))
}

// JobVersions returns the kept versions of a job, newest first.
func (s *Snapshot) JobVersions(namespace, id string) []*model.Job {
	j := s.Job(namespace, id)
	if j == nil {
		return nil
	}
	out := collect(each[*model.Job](s, TableJobVersions, byID+prefix, namespace, id, number(j.CreateIndex)))
	slices.Reverse(out)
	return out
}

// JobOf returns the version of the job that an allocation runs, also when the job is purged or was registered anew
// since.
func (s *Snapshot) JobOf(a *model.Allocation) *model.Job {
	if j := s.JobVersion(a.Namespace, a.JobID, a.JobVersion); j != nil && j.CreateIndex <= a.CreateIndex {
		return j
	}
	var found *model.Job
	for j := range each[*model.Job](s, TableJobVersions, byID+prefix, a.Namespace, a.JobID, "") {
		if j.CreateIndex <= a.CreateIndex && j.Version == a.JobVersion {
			found = j
		}
	}
	return found
}

// JobSubmission returns the text a version was made from.
func (s *Snapshot) JobSubmission(namespace, id string, version uint64) *model.JobSubmission {
	return one[*model.JobSubmission](s, TableJobSubmissions, byID, namespace, id, number(version))
}

// inNamespace lists rows whose first key part is the namespace. With AllNamespaces the second part is compared row by
// row.
func inNamespace[T any](s *Snapshot, t Table, index, namespace, idPrefix string, id func(T) string) iter.Seq[T] {
	if namespace != AllNamespaces {
		return each[T](s, t, index+prefix, namespace, idPrefix)
	}
	all := each[T](s, t, byID)
	if idPrefix == "" {
		return all
	}
	return filter(all, func(row T) bool { return hasPrefix(id(row), idPrefix) })
}

func hasPrefix(s, p string) bool { return len(s) >= len(p) && s[:len(p)] == p }

func filter[T any](seq iter.Seq[T], keep func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for v := range seq {
			if keep(v) && !yield(v) {
				return
			}
		}
	}
}

// UpsertJob stores a new version of a job, or nothing when the job asks for the same as before. It returns what is
// stored now and whether that is new. At most tracked versions are kept, besides tagged ones and those that an
// allocation runs.
func (tx *Txn) UpsertJob(job *model.Job, submission *model.JobSubmission, tracked int) (*model.Job, bool) {
	old := tx.Job(job.Namespace, job.ID)
	if old != nil && !model.SpecChanged(old, job) {
		return old, false
	}
	j := *job
	j.ModifyIndex, j.JobModifyIndex = tx.index, tx.index
	j.Stable, j.VersionTag = false, nil
	if j.SubmitTime == 0 {
		j.SubmitTime = tx.now.UnixNano()
	}
	if old == nil {
		j.CreateIndex, j.Version, j.Status, j.StatusDescription = tx.index, 0, model.JobStatusPending, ""
	} else {
		j.CreateIndex, j.Version = old.CreateIndex, old.Version+1
		j.Status, j.StatusDescription = old.Status, old.StatusDescription
	}
	tx.putJob(&j)
	tx.startSummary(&j, old == nil)
	if submission != nil {
		sub := *submission
		sub.Namespace, sub.JobID, sub.Version, sub.JobModifyIndex = j.Namespace, j.ID, j.Version, j.JobModifyIndex
		tx.insert(TableJobSubmissions, &sub)
	}
	tx.trimVersions(&j, tracked)
	return tx.Job(j.Namespace, j.ID), true
}

// putJob writes a job's current row, which is also its newest version.
func (tx *Txn) putJob(j *model.Job) {
	tx.insert(TableJobs, j)
	tx.insert(TableJobVersions, j)
	tx.jobs[j.Key()] = true
	tx.commit.Jobs = append(tx.commit.Jobs, j.Key())
	tx.event(Event{Topic: TopicJob, Key: j.ID, Namespace: j.Namespace, Payload: JobPayload{Job: j}})
}

// trimVersions removes the oldest versions beyond those tracked.
func (tx *Txn) trimVersions(j *model.Job, tracked int) {
	if tracked < 1 {
		tracked = 1
	}
	versions := tx.JobVersions(j.Namespace, j.ID)
	untagged := 0
	var running map[uint64]bool
	for _, v := range versions {
		if v.VersionTag != nil {
			continue
		}
		if untagged++; untagged <= tracked {
			continue
		}
		if running == nil {
			running = tx.versionsInUse(j)
		}
		if running[v.Version] {
			continue
		}
		tx.remove(TableJobVersions, v)
		if sub := tx.JobSubmission(j.Namespace, j.ID, v.Version); sub != nil {
			tx.remove(TableJobSubmissions, sub)
		}
	}
}

// versionsInUse returns the versions of this incarnation of a job that allocations name.
func (tx *Txn) versionsInUse(j *model.Job) map[uint64]bool {
	used := map[uint64]bool{}
	for _, a := range tx.AllocsByJob(j.Namespace, j.ID) {
		if a.CreateIndex >= j.CreateIndex {
			used[a.JobVersion] = true
		}
	}
	return used
}

// StopJob makes a version of the job that wants nothing to run. It returns nil when there is no such job.
func (tx *Txn) StopJob(namespace, id string, tracked int) *model.Job {
	old := tx.Job(namespace, id)
	if old == nil || old.Stop {
		return old
	}
	j := *old
	j.Stop = true
	j.SubmitTime = tx.now.UnixNano()
	stopped, _ := tx.UpsertJob(&j, nil, tracked)
	return stopped
}

// DeleteJob forgets a job. Versions that allocations still run are kept for as long as those allocations are.
func (tx *Txn) DeleteJob(namespace, id string) {
	j := tx.Job(namespace, id)
	if j == nil {
		return
	}
	used := tx.versionsInUse(j)
	for _, v := range tx.JobVersions(namespace, id) {
		if !used[v.Version] {
			tx.remove(TableJobVersions, v)
		}
	}
	for _, sub := range collect(each[*model.JobSubmission](tx.Snapshot, TableJobSubmissions, byID+prefix, namespace, id, "")) {
		tx.remove(TableJobSubmissions, sub)
	}
	tx.remove(TableJobs, j)
	tx.deleteSummary(j)
	if sc := tx.scaling(namespace, id); sc != nil {
		tx.remove(TableScaling, sc)
	}
	if p := tx.PeriodicLaunch(namespace, id); p != nil {
		tx.remove(TablePeriodic, p)
	}
	tx.commit.Jobs = append(tx.commit.Jobs, j.Key())
	tx.event(Event{Topic: TopicJob, Key: j.ID, Namespace: j.Namespace, Payload: JobPayload{Job: j, Deleted: true}})
}

// dropOrphanVersion removes the version an allocation ran when the allocation is gone, the job too, and no other
// allocation needs it.
func (tx *Txn) dropOrphanVersion(a *model.Allocation) {
	v := tx.JobOf(a)
	if v == nil {
		return
	}
	if j := tx.Job(a.Namespace, a.JobID); j != nil && j.CreateIndex == v.CreateIndex {
		return
	}
	for other := range tx.allocsBy(allocsByJob, allocJob(a.Namespace, a.JobID)) { // mostly the first tells
		if tx.JobOf(other) == v {
			return
		}
	}
	tx.remove(TableJobVersions, v)
}

// changeVersion replaces a kept version by what change makes of a copy.
func (tx *Txn) changeVersion(namespace, id string, version uint64, change func(*model.Job)) *model.Job {
	old := tx.JobVersion(namespace, id, version)
	if old == nil {
		return nil
	}
	j := *old
	change(&j)
	if cur := tx.Job(namespace, id); cur != nil && cur.Version == version {
		j.ModifyIndex = tx.index
		tx.putJob(&j)
	} else {
		tx.insert(TableJobVersions, &j)
	}
	return &j
}

// SetJobStable marks a version as one that may be reverted to. It returns nil when it is not kept.
func (tx *Txn) SetJobStable(namespace, id string, version uint64, stable bool) *model.Job {
	return tx.changeVersion(namespace, id, version, func(j *model.Job) { j.Stable = stable })
}

// TagJobVersion sets or, with a nil tag, removes a version's tag.
func (tx *Txn) TagJobVersion(namespace, id string, version uint64, tag *model.JobVersionTag) *model.Job {
	return tx.changeVersion(namespace, id, version, func(j *model.Job) { j.VersionTag = tag })
}

// PeriodicLaunch is when a periodic job last launched a child.
type PeriodicLaunch struct {
	Namespace string
	JobID     string
	Launch    int64 // nanoseconds
	Index     uint64
}

// PeriodicLaunch returns a periodic job's last launch, nil when there was none.
func (s *Snapshot) PeriodicLaunch(namespace, id string) *PeriodicLaunch {
	return one[*PeriodicLaunch](s, TablePeriodic, byID, namespace, id)
}

// SetPeriodicLaunch remembers a launch.
func (tx *Txn) SetPeriodicLaunch(namespace, id string, at int64) {
	if old := tx.PeriodicLaunch(namespace, id); old != nil && old.Launch >= at {
		return
	}
	tx.insert(TablePeriodic, &PeriodicLaunch{namespace, id, at, tx.index})
}
