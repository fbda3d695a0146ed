package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// JobRegisterRequest asks for a job. The job must be complete (package jobspec).
type JobRegisterRequest struct {
	Job               *model.Job
	EnforceIndex      bool
	JobModifyIndex    uint64 // with EnforceIndex; 0: the job must not exist
	PreserveCounts    bool
	PreserveResources bool
	EvalPriority      int // 0: the job's
	Submission        *model.JobSubmission
}

// JobRegisterResponse tells what became of it. EvalID is empty for jobs that only launch others.
type JobRegisterResponse struct {
	EvalID          string
	EvalCreateIndex uint64
	JobModifyIndex  uint64
	Warnings        string
	Index           uint64
}

// RegisterJob stores a job, or a new version of it, and has it acted on. A job that asks for the same as before is
// evaluated anew and keeps its version.
func (s *Server) RegisterJob(ctx context.Context, q *JobRegisterRequest) (*JobRegisterResponse, error) {
	snap := s.state.Snapshot()
	job, warnings, err := s.admit(snap, q.Job)
	if err != nil {
		return nil, err
	}
	if err := s.registrationAllowed(snap); err != nil {
		return nil, err
	}
	if err := s.priorityAllowed(q.EvalPriority); err != nil {
		return nil, err
	}
	submission := q.Submission
	if submission != nil && len(submission.Source) > s.cfg.Limits.JobMaxSourceSize {
		warnings = append(warnings, fmt.Sprintf("job source of %d bytes is longer than the limit of %d (job_max_source_size): it is not kept", len(submission.Source), s.cfg.Limits.JobMaxSourceSize))
		submission = nil
	}
	entry := &consensus.RegisterJob{
		Job: job, Submission: submission, EnforceIndex: q.EnforceIndex, JobModifyIndex: q.JobModifyIndex,
		PreserveCounts: q.PreserveCounts, PreserveResources: q.PreserveResources, Tracked: s.cfg.Limits.JobTrackedVersions,
		Eval: jobEval(job, model.TriggerJobRegister, q.EvalPriority),
	}
	return s.registerEntry(ctx, entry, warnings)
}

func (s *Server) registerEntry(ctx context.Context, entry consensus.Entry, warnings []string) (*JobRegisterResponse, error) {
	index, v, err := s.apply(ctx, entry)
	if err != nil {
		return nil, err
	}
	resp := &JobRegisterResponse{Index: index, Warnings: joinWarnings(warnings)}
	if r, ok := v.(*consensus.Registered); ok {
		if r.Job != nil {
			resp.JobModifyIndex = r.Job.JobModifyIndex
		}
		if r.Eval != nil {
			resp.EvalID, resp.EvalCreateIndex = r.Eval.ID, r.Eval.CreateIndex
		}
	}
	return resp, nil
}

// jobEval evaluates a job, unless it only launches others.
func jobEval(j *model.Job, trigger string, priority int) *model.Evaluation {
	if j.IsPeriodic() || j.IsParameterized() {
		return nil
	}
	e := newEval(j, trigger)
	if priority > 0 {
		e.Priority = priority
	}
	return e
}

// joinWarnings is one text of any number of warnings, as clients expect it.
func joinWarnings(warnings []string) string {
	switch len(warnings) {
	case 0:
		return ""
	case 1:
		return "1 warning:\n\n* " + warnings[0]
	}
	return fmt.Sprintf("%d warnings:\n\n* %s", len(warnings), strings.Join(warnings, "\n* "))
}

// JobDeregisterRequest stops a job, or with Purge forgets it.
type JobDeregisterRequest struct {
	Namespace       string
	JobID           string
	Purge           bool
	EvalPriority    int
	NoShutdownDelay bool
}

// JobDeregisterResponse has an empty EvalID when there was no such job.
type JobDeregisterResponse struct {
	EvalID          string
	EvalCreateIndex uint64
	JobModifyIndex  uint64
	Index           uint64
}

// DeregisterJob stops a job.
func (s *Server) DeregisterJob(ctx context.Context, q *JobDeregisterRequest) (*JobDeregisterResponse, error) {
	if err := s.priorityAllowed(q.EvalPriority); err != nil {
		return nil, err
	}
	snap := s.state.Snapshot()
	job := snap.Job(q.Namespace, q.JobID)
	if job == nil {
		return &JobDeregisterResponse{Index: snap.TableIndex(state.TableJobs)}, nil
	}
	r, err := s.registerEntry(ctx, &consensus.DeregisterJob{
		Namespace: q.Namespace, JobID: q.JobID, Purge: q.Purge, NoShutdownDelay: q.NoShutdownDelay,
		Eval: jobEval(job, model.TriggerJobDeregister, q.EvalPriority), Tracked: s.cfg.Limits.JobTrackedVersions,
	}, nil)
	if err != nil {
		return nil, err
	}
	return &JobDeregisterResponse{EvalID: r.EvalID, EvalCreateIndex: r.EvalCreateIndex, JobModifyIndex: r.JobModifyIndex, Index: r.Index}, nil
}

func jobNotFound(id string) error { return rpc.Errorf(rpc.ErrNotFound, "job %q not found", id) }

// JobEvaluateRequest has a job looked at again.
type JobEvaluateRequest struct {
	Namespace       string
	JobID           string
	ForceReschedule bool // also replace failed allocations whose time has not come
}

// EvaluateJob makes a new evaluation of a job.
func (s *Server) EvaluateJob(ctx context.Context, q *JobEvaluateRequest) (*JobRegisterResponse, error) {
	snap := s.state.Snapshot()
	job := snap.Job(q.Namespace, q.JobID)
	switch {
	case job == nil:
		return nil, jobNotFound(q.JobID)
	case job.IsPeriodic():
		return nil, rpc.Errorf(rpc.ErrInvalid, "can't evaluate periodic job %q: it only launches others; force it instead", job.ID)
	case job.IsParameterized():
		return nil, rpc.Errorf(rpc.ErrInvalid, "can't evaluate parameterized job %q: it only launches others; dispatch it instead", job.ID)
	}
	entry := &consensus.AllocTransitions{Evals: []*model.Evaluation{newEval(job, model.TriggerJobRegister)}}
	if q.ForceReschedule {
		yes := true
		entry.Transition.ForceReschedule = &yes
		for _, a := range snap.AllocsByJob(q.Namespace, q.JobID) {
			if a.ClientStatus == model.AllocClientFailed && !a.ServerTerminal() && a.NextAllocation == "" {
				entry.AllocIDs = append(entry.AllocIDs, a.ID)
			}
		}
	}
	index, _, err := s.apply(ctx, entry)
	if err != nil {
		return nil, err
	}
	return &JobRegisterResponse{EvalID: entry.Evals[0].ID, EvalCreateIndex: index, JobModifyIndex: job.JobModifyIndex, Index: index}, nil
}
