package server

import (
	"context"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// JobScaleRequest changes a group's count; with a nil Count it only leaves a note.
type JobScaleRequest struct {
	Namespace      string
	JobID          string
	Group          string
	Count          *int64
	Message        string
	Error          bool
	Meta           map[string]any
	EnforceIndex   bool
	JobModifyIndex uint64
}

// ScaleJob changes a group's count.
func (s *Server) ScaleJob(ctx context.Context, q *JobScaleRequest) (*JobRegisterResponse, error) {
	snap := s.state.Snapshot()
	job := snap.Job(q.Namespace, q.JobID)
	if job == nil {
		return nil, jobNotFound(q.JobID)
	}
	if err := s.registrationAllowed(snap); err != nil {
		return nil, err
	}
	if err := scaleAllowed(snap, job, q); err != nil {
		return nil, err
	}
	entry := &consensus.ScaleJob{
		Namespace: q.Namespace, JobID: q.JobID, Group: q.Group, EnforceIndex: q.EnforceIndex, JobModifyIndex: q.JobModifyIndex,
		Tracked: s.cfg.Limits.JobTrackedVersions,
		Event: &model.ScalingEvent{
			Time: time.Now().UnixNano(), Count: q.Count, Message: q.Message, Error: q.Error, Meta: q.Meta,
		},
	}
	if q.Count != nil {
		n := int(*q.Count)
		entry.Count = &n
		if entry.Eval = jobEval(job, model.TriggerScaling, 0); entry.Eval != nil {
			entry.Event.EvalID = &entry.Eval.ID
		}
	}
	return s.registerEntry(ctx, entry, nil)
}

func scaleAllowed(snap *state.Snapshot, job *model.Job, q *JobScaleRequest) error {
	invalid := func(format string, args ...any) error { return rpc.Errorf(rpc.ErrInvalid, format, args...) }
	if q.Group == "" {
		return invalid("missing task group name for scaling")
	}
	g := job.Group(q.Group)
	switch {
	case g == nil:
		return invalid("task group %q specified for scaling does not exist in job", q.Group)
	case q.Count == nil:
		return nil
	case q.Error:
		return invalid("scaling action should not contain count if error is true")
	case *q.Count < 0:
		return invalid("scaling action count can't be negative: %d", *q.Count)
	case *q.Count > 1<<31-1:
		return invalid("scaling action count is too large: %d", *q.Count)
	case (job.Type == model.JobTypeSystem || job.Type == model.JobTypeSysBatch) && *q.Count > 1:
		return invalid("%s jobs can only be scaled between 0 and 1", job.Type)
	}
	if sc := g.Scaling; sc != nil {
		if *q.Count < sc.Min {
			return invalid("group count was less than scaling policy minimum: %d < %d", *q.Count, sc.Min)
		}
		if *q.Count > sc.Max {
			return invalid("group count was greater than scaling policy maximum: %d > %d", *q.Count, sc.Max)
		}
	}
	if d := snap.LatestDeployment(job.Namespace, job.ID); d.Active() {
		return invalid("job scaling blocked due to active deployment %s", d.ID)
	}
	return nil
}
