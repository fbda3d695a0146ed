package state

import (
	"maps"

	"github.com/droverhq/drover/core/model"
)

// JobSummary returns the counts of a job's allocations.
func (s *Snapshot) JobSummary(namespace, id string) *model.JobSummary {
	return one[*model.JobSummary](s, TableJobSummaries, byID, namespace, id)
}

// changing returns a copy of the summary that this transaction may change; nil when the job has none.
func (tx *Txn) changing(key model.JobID) *model.JobSummary {
	if s, ok := tx.summary[key]; ok {
		return s
	}
	old := tx.JobSummary(key.Namespace, key.ID)
	if old == nil {
		return nil
	}
	s := *old
	s.Summary = maps.Clone(old.Summary)
	if s.Summary == nil {
		s.Summary = map[string]model.TaskGroupSummary{}
	}
	if old.Children != nil {
		c := *old.Children
		s.Children = &c
	}
	tx.summary[key] = &s
	return &s
}

// startSummary makes sure that a job has a summary with all its groups.
func (tx *Txn) startSummary(j *model.Job, fresh bool) {
	key := j.Key()
	if tx.changing(key) == nil {
		tx.summary[key] = &model.JobSummary{
			JobID: j.ID, Namespace: j.Namespace, Summary: map[string]model.TaskGroupSummary{}, CreateIndex: tx.index,
		}
	}
	s := tx.summary[key]
	for _, g := range j.TaskGroups {
		if _, ok := s.Summary[g.Name]; !ok {
			s.Summary[g.Name] = model.TaskGroupSummary{}
		}
	}
	if (j.IsPeriodic() || j.IsParameterized()) && s.Children == nil {
		s.Children = &model.JobChildrenSummary{}
		for child := range tx.JobChildren(j.Namespace, j.ID) { // of an earlier job of the same name
			tx.countChild(j.Namespace, j.ID, "", child.Status)
		}
	}
	if fresh {
		tx.countChild(j.Namespace, j.ParentID, "", j.Status)
		tx.adopt(j)
	}
}

// adopt counts allocations and evaluations that outlived an earlier job of the same name. Allocations that have ended
// belong to that job's history only.
func (tx *Txn) adopt(j *model.Job) {
	c := tx.count(j.Key())
	*c = jobCounts{Namespace: j.Namespace, JobID: j.ID}
	for _, a := range tx.AllocsByJob(j.Namespace, j.ID) {
		if !a.ClientTerminal() {
			tx.countAlloc(nil, a)
		}
	}
	for e := range tx.EvalsByJob(j.Namespace, j.ID) {
		c.addEval(e, 1)
	}
	for d := range tx.DeploymentsByJob(j.Namespace, j.ID) {
		if d.Active() {
			c.Deployments++
		}
	}
}

func (tx *Txn) deleteSummary(j *model.Job) {
	key := j.Key()
	delete(tx.summary, key)
	if s := tx.JobSummary(j.Namespace, j.ID); s != nil {
		tx.remove(TableJobSummaries, s)
	}
	delete(tx.counts, key)
	if c := one[*jobCounts](tx.Snapshot, tableCounts, byID, j.Namespace, j.ID); c != nil {
		tx.remove(tableCounts, c)
	}
	tx.countChild(j.Namespace, j.ParentID, j.Status, "")
}

func (tx *Txn) flushSummaries() {
	for _, s := range tx.summary {
		if s == nil {
			continue
		}
		s.ModifyIndex = tx.index
		tx.insert(TableJobSummaries, s)
	}
}

// summarize moves an allocation from what it was counted as to what it is now.
func (tx *Txn) summarize(old, new *model.Allocation) {
	a := new
	if a == nil {
		a = old
	}
	s := tx.changing(a.JobKey())
	if s == nil {
		return
	}
	g := s.Summary[a.TaskGroup]
	if old != nil {
		if n := bucket(&g, old.ClientStatus); n != nil && *n > 0 {
			*n--
		}
	}
	if new != nil {
		if n := bucket(&g, new.ClientStatus); n != nil {
			*n++
		}
	}
	s.Summary[a.TaskGroup] = g
}

func bucket(g *model.TaskGroupSummary, clientStatus string) *int {
	switch clientStatus {
	case model.AllocClientPending:
		return &g.Starting
	case model.AllocClientRunning:
		return &g.Running
	case model.AllocClientComplete:
		return &g.Complete
	case model.AllocClientFailed:
		return &g.Failed
	case model.AllocClientLost:
		return &g.Lost
	case model.AllocClientUnknown:
		return &g.Unknown
	}
	return nil
}

// queue takes over how many allocations an evaluation could not place.
func (tx *Txn) queue(e *model.Evaluation) {
	if e.QueuedAllocations == nil {
		return
	}
	s := tx.changing(e.JobKey())
	if s == nil {
		return
	}
	for group, n := range e.QueuedAllocations {
		if g, ok := s.Summary[group]; ok && g.Queued != n {
			g.Queued = n
			s.Summary[group] = g
		}
	}
}

// countChild moves a child job between its parent's counters; "" is none.
func (tx *Txn) countChild(namespace, parent, from, to string) {
	if parent == "" || from == to {
		return
	}
	s := tx.changing(model.JobID{Namespace: namespace, ID: parent})
	if s == nil || s.Children == nil {
		return
	}
	add := func(status string, n int64) {
		switch status {
		case model.JobStatusPending:
			s.Children.Pending += n
		case model.JobStatusRunning:
			s.Children.Running += n
		case model.JobStatusDead:
			s.Children.Dead += n
		}
	}
	add(from, -1)
	add(to, 1)
}

// ReconcileSummaries counts all summaries anew from the allocations that are kept.
func (tx *Txn) ReconcileSummaries() {
	for _, j := range collect(tx.Jobs(AllNamespaces, "")) {
		s := tx.changing(j.Key())
		if s == nil {
			tx.startSummary(j, false)
			s = tx.summary[j.Key()]
		}
		for name, g := range s.Summary {
			s.Summary[name] = model.TaskGroupSummary{Queued: g.Queued}
		}
		for _, a := range tx.AllocsByJob(j.Namespace, j.ID) {
			tx.summarize(nil, a)
		}
		if s.Children == nil {
			continue
		}
		*s.Children = model.JobChildrenSummary{}
		for child := range tx.JobChildren(j.Namespace, j.ID) {
			tx.countChild(j.Namespace, j.ID, "", child.Status)
		}
	}
}
