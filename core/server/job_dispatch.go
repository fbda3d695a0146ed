package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// JobDispatchRequest launches a parameterized job.
type JobDispatchRequest struct {
	Namespace        string
	JobID            string
	Payload          []byte
	Meta             map[string]string
	IdempotencyToken string
	IDPrefixTemplate string
	Priority         int
}

// JobDispatchResponse names what was launched. EvalID is empty when the token had launched it before.
type JobDispatchResponse struct {
	DispatchedJobID string
	EvalID          string
	EvalCreateIndex uint64
	JobCreateIndex  uint64
	Index           uint64
}

// maxPayload bounds a dispatch payload, in bytes.
const maxPayload = 16 << 10

// DispatchJob launches a child of a parameterized job.
func (s *Server) DispatchJob(ctx context.Context, q *JobDispatchRequest) (*JobDispatchResponse, error) {
	snap := s.state.Snapshot()
	parent := snap.Job(q.Namespace, q.JobID)
	if parent == nil {
		return nil, jobNotFound(q.JobID)
	}
	if err := s.registrationAllowed(snap); err != nil {
		return nil, err
	}
	if err := s.priorityAllowed(q.Priority); err != nil {
		return nil, err
	}
	if err := dispatchAllowed(parent, q); err != nil {
		return nil, err
	}
	if q.IdempotencyToken != "" {
		for child := range snap.JobChildren(q.Namespace, q.JobID) {
			if child.DispatchIdempotencyToken == q.IdempotencyToken {
				return &JobDispatchResponse{DispatchedJobID: child.ID, JobCreateIndex: child.CreateIndex, Index: child.CreateIndex}, nil
			}
		}
	}
	child, err := childOf(parent)
	if err != nil {
		return nil, err
	}
	infix := ""
	if q.IDPrefixTemplate != "" {
		infix = q.IDPrefixTemplate + "-"
	}
	child.ID = fmt.Sprintf("%s/dispatch-%s%d-%s", parent.ID, infix, time.Now().Unix(), uuid.NewString()[:8])
	child.Name = child.ID
	child.Dispatched = true
	child.Payload = q.Payload
	child.DispatchIdempotencyToken = q.IdempotencyToken
	if q.Priority > 0 {
		child.Priority = q.Priority
	}
	if len(q.Meta) > 0 && child.Meta == nil {
		child.Meta = map[string]string{}
	}
	for k, v := range q.Meta {
		child.Meta[k] = v
	}
	r, err := s.registerEntry(ctx, &consensus.RegisterJob{
		Job: child, EnforceIndex: true, Tracked: s.cfg.Limits.JobTrackedVersions, Eval: newEval(child, model.TriggerJobRegister),
	}, nil)
	if err != nil {
		return nil, err
	}
	return &JobDispatchResponse{
		DispatchedJobID: child.ID, EvalID: r.EvalID, EvalCreateIndex: r.EvalCreateIndex, JobCreateIndex: r.JobModifyIndex, Index: r.Index,
	}, nil
}

// childOf is a copy of a job to be launched by it.
func childOf(parent *model.Job) (*model.Job, error) {
	child, _, err := copyJob(parent)
	if err != nil {
		return nil, err
	}
	child.ParentID = parent.ID
	child.Periodic = nil
	child.Status, child.StatusDescription, child.Stable, child.Version, child.SubmitTime = "", "", false, 0, 0
	child.CreateIndex, child.ModifyIndex, child.JobModifyIndex, child.VersionTag = 0, 0, 0, nil
	return child, nil
}

func dispatchAllowed(parent *model.Job, q *JobDispatchRequest) error {
	invalid := func(format string, args ...any) error { return rpc.Errorf(rpc.ErrInvalid, format, args...) }
	if !parent.IsParameterized() {
		return invalid("job %q is not a parameterized job: it cannot be dispatched", parent.ID)
	}
	if parent.Stop {
		return invalid("job %q is stopped: it cannot be dispatched", parent.ID)
	}
	p := parent.ParameterizedJob
	switch {
	case p.Payload == "required" && len(q.Payload) == 0:
		return invalid("payload is not provided but required by parameterized job %q", parent.ID)
	case p.Payload == "forbidden" && len(q.Payload) > 0:
		return invalid("payload provided but forbidden by parameterized job %q", parent.ID)
	case len(q.Payload) > maxPayload:
		return invalid("payload exceeds maximum size; %d > %d", len(q.Payload), maxPayload)
	}
	for _, k := range p.MetaRequired {
		if _, ok := q.Meta[k]; !ok {
			return invalid("dispatch did not provide required meta key %q", k)
		}
	}
	for k := range q.Meta {
		if !slices.Contains(p.MetaRequired, k) && !slices.Contains(p.MetaOptional, k) {
			return invalid("dispatch request included unpermitted metadata key %q", k)
		}
	}
	return nil
}
