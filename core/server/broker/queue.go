package broker

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
)

// Limits are the queue's patience.
type Limits struct {
	NackTimeout  time.Duration // how long a worker may take for an evaluation before another one gets it
	MaxDelivery  int           // how often an evaluation is handed out before it is given up
	FirstDelay   time.Duration // before the second delivery
	RepeatDelay  time.Duration // before each later one, times the number of those
	CancelReason string
}

// DefaultLimits are what users of such job files know.
func DefaultLimits() Limits {
	return Limits{
		NackTimeout: 60 * time.Second, MaxDelivery: 3, FirstDelay: time.Second, RepeatDelay: 20 * time.Second,
		CancelReason: "canceled after more recent eval was processed",
	}
}

// Delivery is an evaluation in the hands of a worker.
type Delivery struct {
	Eval  *model.Evaluation
	Token string // proves that the worker still has it
}

// Queue decides which evaluation is worked on next. It is pure: time and tokens come in with each call, nothing happens
// between calls. An evaluation is in one place:
//
//	delayed   its time has not come (WaitUntil, Wait, or a delay after a failed delivery)
//	ready     waits for a worker: by type, highest priority first, then oldest first
//	pending   another evaluation of the same job is ready or out; newest first
//	out       a worker has it and must Ack or Nack it in time
//	failed    handed out too often: TakeFailed gives it to whoever ends it
//
// When an evaluation is acknowledged, only the newest of those pending behind it is of use: it sees the same state. The
// others are canceled.
type Queue struct {
	limits     Limits
	where      map[string]place // by evaluation ID
	ready      map[string][]*model.Evaluation
	pending    map[model.JobID][]*model.Evaluation
	busy       map[model.JobID]string // the evaluation that is ready or out for the job
	delayed    map[string]delay
	out        map[string]*handed
	deliveries map[string]int
	failed     []*model.Evaluation
	canceled   []*model.Evaluation
}

type place int

const (
	inDelayed place = iota + 1
	inReady
	inPending
	inOut
	inFailed
)

type delay struct {
	eval  *model.Evaluation
	until time.Time
}

type handed struct {
	Delivery
	deadline time.Time // zero while the clock stands still
	again    *model.Evaluation
}

// NewQueue returns an empty queue.
func NewQueue(limits Limits) *Queue {
	return &Queue{
		limits:     limits,
		where:      map[string]place{},
		ready:      map[string][]*model.Evaluation{},
		pending:    map[model.JobID][]*model.Evaluation{},
		busy:       map[model.JobID]string{},
		delayed:    map[string]delay{},
		out:        map[string]*handed{},
		deliveries: map[string]int{},
	}
}

// Enqueue adds an evaluation. One that is already here stays where it is; one that is out comes again when it is
// acknowledged, because what called for it may have happened after the worker looked.
func (q *Queue) Enqueue(e *model.Evaluation, now time.Time) {
	switch q.where[e.ID] {
	case 0:
	case inOut:
		q.out[e.ID].again = e
		return
	default:
		return
	}
	until := e.WaitUntil
	if until.IsZero() && e.Wait > 0 {
		until = now.Add(e.Wait)
	}
	if until.After(now) {
		q.delay(e, until)
		return
	}
	q.admit(e)
}

func (q *Queue) delay(e *model.Evaluation, until time.Time) {
	q.where[e.ID] = inDelayed
	q.delayed[e.ID] = delay{e, until}
}

// admit makes an evaluation ready, or pending when its job has another.
func (q *Queue) admit(e *model.Evaluation) {
	job := e.JobKey()
	if other, ok := q.busy[job]; ok && other != e.ID && e.JobID != "" {
		q.where[e.ID] = inPending
		q.pending[job] = insert(q.pending[job], e, newestFirst)
		return
	}
	q.busy[job] = e.ID
	q.where[e.ID] = inReady
	q.ready[e.Type] = insert(q.ready[e.Type], e, oldestFirst)
}

func oldestFirst(a, b *model.Evaluation) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.CreateIndex, b.CreateIndex), cmp.Compare(a.ID, b.ID))
}

func newestFirst(a, b *model.Evaluation) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.ModifyIndex, a.ModifyIndex), cmp.Compare(b.ID, a.ID))
}

func insert(list []*model.Evaluation, e *model.Evaluation, order func(a, b *model.Evaluation) int) []*model.Evaluation {
	i, _ := slices.BinarySearchFunc(list, e, order)
	return slices.Insert(list, i, e)
}

// Dequeue hands out the most important ready evaluation of the given types; nil when there is none. token must be new.
func (q *Queue) Dequeue(types []string, token string, now time.Time) *Delivery {
	var best *model.Evaluation
	for _, t := range types {
		if list := q.ready[t]; len(list) > 0 && (best == nil || oldestFirst(list[0], best) < 0) {
			best = list[0]
		}
	}
	if best == nil {
		return nil
	}
	q.ready[best.Type] = q.ready[best.Type][1:]
	h := &handed{Delivery: Delivery{best, token}, deadline: now.Add(q.limits.NackTimeout)}
	q.out[best.ID] = h
	q.where[best.ID] = inOut
	q.deliveries[best.ID]++
	return &h.Delivery
}

// held returns what is out under that token.
func (q *Queue) held(id, token string) (*handed, error) {
	h := q.out[id]
	if h == nil {
		return nil, fmt.Errorf("evaluation %s is not outstanding", id)
	}
	if h.Token != token {
		return nil, fmt.Errorf("evaluation %s was handed to another worker meanwhile", id)
	}
	return h, nil
}

// Outstanding tells whether the worker with that token still has the evaluation.
func (q *Queue) Outstanding(id, token string) bool {
	_, err := q.held(id, token)
	return err == nil
}

// Pause stops an evaluation's clock: it waits for something that the worker cannot hurry. Resume starts it anew.
func (q *Queue) Pause(id, token string) {
	if h, err := q.held(id, token); err == nil {
		h.deadline = time.Time{}
	}
}

// Resume ends Pause.
func (q *Queue) Resume(id, token string, now time.Time) {
	if h, err := q.held(id, token); err == nil {
		h.deadline = now.Add(q.limits.NackTimeout)
	}
}

// Ack says that an evaluation is done with.
func (q *Queue) Ack(id, token string, now time.Time) error {
	h, err := q.held(id, token)
	if err != nil {
		return err
	}
	q.remove(h.Eval)
	q.promote(h.Eval.JobKey())
	if h.again != nil {
		q.Enqueue(h.again, now)
	}
	return nil
}

// promote makes the newest pending evaluation of a job ready and cancels the others.
func (q *Queue) promote(job model.JobID) {
	list := q.pending[job]
	if len(list) == 0 {
		return
	}
	delete(q.pending, job)
	q.admit(list[0])
	for _, old := range list[1:] {
		delete(q.where, old.ID)
		delete(q.deliveries, old.ID)
		c := old.Copy()
		c.Status, c.StatusDescription = model.EvalCanceled, q.limits.CancelReason
		q.canceled = append(q.canceled, c)
	}
}

// remove forgets an evaluation that was busy with its job.
func (q *Queue) remove(e *model.Evaluation) {
	delete(q.out, e.ID)
	delete(q.where, e.ID)
	delete(q.deliveries, e.ID)
	if q.busy[e.JobKey()] == e.ID {
		delete(q.busy, e.JobKey())
	}
}

// Nack says that a worker could not do it. The evaluation comes again after a while, or fails for good. Its job stays
// busy until then, so that the order of its evaluations is kept.
func (q *Queue) Nack(id, token string, now time.Time) error {
	h, err := q.held(id, token)
	if err != nil {
		return err
	}
	e := h.Eval
	delete(q.out, id)
	n := q.deliveries[id]
	if n >= q.limits.MaxDelivery {
		q.remove(e)
		q.where[id] = inFailed
		q.failed = append(q.failed, e)
		q.promote(e.JobKey())
		return nil
	}
	wait := q.limits.FirstDelay
	if n > 1 {
		wait = q.limits.RepeatDelay * time.Duration(n-1)
	}
	q.delay(e, now.Add(wait))
	return nil
}

// Tick does what is due by now and returns when to call it next; the zero time when nothing is to come.
func (q *Queue) Tick(now time.Time) (next time.Time) {
	due := func(t time.Time) bool {
		if t.After(now) {
			if next.IsZero() || t.Before(next) {
				next = t
			}
			return false
		}
		return true
	}
	var ready []*model.Evaluation
	for id, d := range q.delayed {
		if due(d.until) {
			delete(q.delayed, id)
			ready = append(ready, d.eval)
		}
	}
	slices.SortFunc(ready, oldestFirst)
	for _, e := range ready {
		q.admit(e)
	}
	var late []*handed
	for _, h := range q.out {
		if !h.deadline.IsZero() && due(h.deadline) {
			late = append(late, h)
		}
	}
	slices.SortFunc(late, func(a, b *handed) int { return oldestFirst(a.Eval, b.Eval) })
	for _, h := range late {
		q.Nack(h.Eval.ID, h.Token, now)
		if d, ok := q.delayed[h.Eval.ID]; ok {
			due(d.until)
		}
	}
	return next
}

// Forget drops an evaluation that was deleted or ended by somebody else. One that is out stays until its worker is done.
func (q *Queue) Forget(id string) {
	switch q.where[id] {
	case inDelayed:
		e := q.delayed[id].eval
		delete(q.delayed, id)
		q.remove(e)
		q.promote(e.JobKey())
	case inReady:
		for t, list := range q.ready {
			if i := slices.IndexFunc(list, func(e *model.Evaluation) bool { return e.ID == id }); i >= 0 {
				e := list[i]
				q.ready[t] = slices.Delete(list, i, i+1)
				q.remove(e)
				q.promote(e.JobKey())
				return
			}
		}
	case inPending:
		for job, list := range q.pending {
			if i := slices.IndexFunc(list, func(e *model.Evaluation) bool { return e.ID == id }); i >= 0 {
				q.pending[job] = slices.Delete(list, i, i+1)
				delete(q.where, id)
				return
			}
		}
	}
}

// TakeCanceled returns the evaluations that are of no use any more since the last call.
func (q *Queue) TakeCanceled() []*model.Evaluation {
	out := q.canceled
	q.canceled = nil
	return out
}

// TakeFailed returns the evaluations that were handed out too often since the last call.
func (q *Queue) TakeFailed() []*model.Evaluation {
	out := q.failed
	q.failed = nil
	for _, e := range out {
		delete(q.where, e.ID)
		delete(q.deliveries, e.ID)
	}
	return out
}

// Stats counts the evaluations in each place.
type Stats struct {
	Ready, Unacked, Pending, Waiting, Cancelable int
	ReadyByType                                  map[string]int
	UnackedByType                                map[string]int
}

// Stats counts.
func (q *Queue) Stats() Stats {
	s := Stats{
		Unacked: len(q.out), Waiting: len(q.delayed), Cancelable: len(q.canceled),
		ReadyByType: map[string]int{}, UnackedByType: map[string]int{},
	}
	for t, list := range q.ready {
		s.ReadyByType[t] = len(list)
		s.Ready += len(list)
	}
	for _, list := range q.pending {
		s.Pending += len(list)
	}
	for _, h := range q.out {
		s.UnackedByType[h.Eval.Type]++
	}
	return s
}
