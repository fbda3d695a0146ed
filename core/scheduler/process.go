package scheduler

import (
	"fmt"

	"github.com/droverhq/drover/core/model"
)

// Process works on one evaluation. It fails only on input that no scheduler can work on (an unknown job type); everything
// a user could cause ends in the outcome.
func Process(in Input) (*Outcome, error) {
	switch in.Eval.Type {
	case model.JobTypeService, model.JobTypeBatch, model.JobTypeSystem, model.JobTypeSysBatch:
	default:
		return nil, fmt.Errorf("evaluation %s: no scheduler for job type %q", in.Eval.ID, in.Eval.Type)
	}
	eval := in.Eval.Copy()
	eval.Status = model.EvalComplete
	return &Outcome{Plan: &model.Plan{EvalID: eval.ID, Namespace: eval.Namespace, JobID: eval.JobID}, Eval: eval}, nil
}
