package state

import (
	"fmt"
	"iter"

	"github.com/droverhq/drover/core/model"
)

// Eval returns an evaluation, nil when there is none with that full ID.
func (s *Snapshot) Eval(id string) *model.Evaluation {
	return one[*model.Evaluation](s, TableEvals, byID, id)
}

// Evals lists the evaluations of a namespace (or AllNamespaces) whose ID begins with idPrefix.
func (s *Snapshot) Evals(namespace, idPrefix string) iter.Seq[*model.Evaluation] {
	all := each[*model.Evaluation](s, TableEvals, byID+prefix, idPrefix)
	if namespace == AllNamespaces {
		return all
	}
	return filter(all, func(e *model.Evaluation) bool { return e.Namespace == namespace })
}

// EvalsByJob lists a job's evaluations.
func (s *Snapshot) EvalsByJob(namespace, id string) iter.Seq[*model.Evaluation] {
	return each[*model.Evaluation](s, TableEvals, byJob, namespace, id)
}

// UpsertEvals writes evaluations. One that completed with nothing left to place cancels the job's blocked ones.
func (tx *Txn) UpsertEvals(evals ...*model.Evaluation) {
	for _, e := range evals {
		tx.upsertEval(e)
		if e.Status != model.EvalComplete || len(e.FailedTGAllocs) > 0 || e.BlockedEval != "" {
			continue
		}
		for _, b := range collect(tx.EvalsByJob(e.Namespace, e.JobID)) {
			if b.Status == model.EvalBlocked && b.ID != e.ID {
				c := b.Copy()
				c.Status = model.EvalCanceled
				c.StatusDescription = fmt.Sprintf("evaluation %s successful", e.ID)
				tx.upsertEval(c)
			}
		}
	}
}

func (tx *Txn) upsertEval(eval *model.Evaluation) {
	e := eval.Copy()
	old := tx.Eval(e.ID)
	e.ModifyIndex, e.ModifyTime = tx.index, tx.now.UnixNano()
	c := tx.count(e.JobKey())
	if old != nil {
		e.CreateIndex, e.CreateTime = old.CreateIndex, old.CreateTime
		c.addEval(old, -1)
	} else {
		e.CreateIndex = tx.index
		if e.CreateTime == 0 {
			e.CreateTime = tx.now.UnixNano()
		}
	}
	c.addEval(e, 1)
	tx.queue(e)
	tx.insert(TableEvals, e)
	tx.commit.Evals = append(tx.commit.Evals, e)
	tx.event(Event{
		Topic: TopicEvaluation, Key: e.ID, Namespace: e.Namespace,
		FilterKeys: present(e.JobID, e.DeploymentID), Payload: EvaluationPayload{Evaluation: e},
	})
}

// DeleteEval forgets an evaluation.
func (tx *Txn) DeleteEval(id string) bool {
	e := tx.Eval(id)
	if e == nil {
		return false
	}
	tx.remove(TableEvals, e)
	tx.count(e.JobKey()).addEval(e, -1)
	tx.commit.EvalsGone = append(tx.commit.EvalsGone, id)
	return true
}

func present(keys ...string) []string {
	var out []string
	for _, k := range keys {
		if k != "" {
			out = append(out, k)
		}
	}
	return out
}
