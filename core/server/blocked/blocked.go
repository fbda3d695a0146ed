// Package blocked keeps the evaluations that found no room until something changes that may give them some.
package blocked

import (
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
)

// pruneAfter is how long an unblocking is remembered for evaluations that were being worked on while it happened.
const pruneAfter = 15 * time.Minute

// Tracker decides which blocked evaluations to try again. It is pure and not safe for concurrent use.
//
// An evaluation knows which classes of nodes it could use (ClassEligibility). A change on a node of a class that it
// could not use is of no interest to it; every other change, one on a class it never saw included, lets it try again.
// An evaluation whose rules look at single nodes has escaped the classes and tries again on every change. A job has at
// most one blocked evaluation: a newer one replaces the older.
type Tracker struct {
	evals      map[string]*model.Evaluation
	byJob      map[model.JobID]string
	unblocked  map[string]unblock // by class, the last one
	duplicates []*model.Evaluation
}

type unblock struct {
	index uint64
	at    time.Time
}

// New returns an empty tracker.
func New() *Tracker {
	return &Tracker{evals: map[string]*model.Evaluation{}, byJob: map[model.JobID]string{}, unblocked: map[string]unblock{}}
}

// Block keeps an evaluation. It returns true, and keeps nothing, when a change that it did not see has already made it
// worth another try.
func (t *Tracker) Block(e *model.Evaluation) (again bool) {
	job := e.JobKey()
	if id, ok := t.byJob[job]; ok && id != e.ID {
		old := t.evals[id]
		if old.CreateIndex > e.CreateIndex {
			t.cancel(e)
			return false
		}
		t.remove(id)
		t.cancel(old)
	}
	if t.missed(e) {
		t.remove(e.ID)
		return true
	}
	t.evals[e.ID] = e
	t.byJob[job] = e.ID
	return false
}

func (t *Tracker) cancel(e *model.Evaluation) {
	c := e.Copy()
	c.Status = model.EvalCanceled
	c.StatusDescription = "existing blocked evaluation exists for this job"
	t.duplicates = append(t.duplicates, c)
}

func (t *Tracker) missed(e *model.Evaluation) bool {
	for class, u := range t.unblocked {
		if u.index > e.SnapshotIndex && interested(e, class) {
			return true
		}
	}
	return false
}

func interested(e *model.Evaluation, class string) bool {
	if e.EscapedComputedClass || len(e.ClassEligibility) == 0 {
		return true
	}
	eligible, seen := e.ClassEligibility[class]
	return eligible || !seen
}

// Unblock gives back the evaluations that a change on nodes of a class may help. index is that of the change.
func (t *Tracker) Unblock(class string, index uint64, now time.Time) []*model.Evaluation {
	t.unblocked[class] = unblock{index, now}
	return t.take(func(e *model.Evaluation) bool { return interested(e, class) })
}

// UnblockFailed gives back those that are blocked because their plans kept colliding.
func (t *Tracker) UnblockFailed() []*model.Evaluation {
	return t.take(func(e *model.Evaluation) bool { return e.TriggeredBy == model.TriggerMaxPlans })
}

// TakeAll gives back everything: what a new leader does, because it does not know what changed before it led.
func (t *Tracker) TakeAll() []*model.Evaluation {
	return t.take(func(*model.Evaluation) bool { return true })
}

func (t *Tracker) take(which func(*model.Evaluation) bool) []*model.Evaluation {
	var out []*model.Evaluation
	for _, id := range slices.Sorted(maps.Keys(t.evals)) {
		if e := t.evals[id]; which(e) {
			out = append(out, e)
			t.remove(id)
		}
	}
	return out
}

// Untrack drops what is blocked for a job, which was stopped or has all it wants.
func (t *Tracker) Untrack(job model.JobID) {
	if id, ok := t.byJob[job]; ok {
		t.remove(id)
	}
}

// Forget drops an evaluation that has ended.
func (t *Tracker) Forget(id string) { t.remove(id) }

func (t *Tracker) remove(id string) {
	e := t.evals[id]
	if e == nil {
		return
	}
	delete(t.evals, id)
	if t.byJob[e.JobKey()] == id {
		delete(t.byJob, e.JobKey())
	}
}

// TakeDuplicates returns the evaluations that were replaced, canceled.
func (t *Tracker) TakeDuplicates() []*model.Evaluation {
	out := t.duplicates
	t.duplicates = nil
	return out
}

// Prune forgets unblockings that no evaluation can have missed.
func (t *Tracker) Prune(now time.Time) {
	maps.DeleteFunc(t.unblocked, func(_ string, u unblock) bool { return now.Sub(u.at) > pruneAfter })
}

// Stats counts the blocked evaluations, and those among them that have escaped the classes.
func (t *Tracker) Stats() (total, escaped int) {
	for _, e := range t.evals {
		if e.EscapedComputedClass {
			escaped++
		}
	}
	return len(t.evals), escaped
}
