package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/state"
)

// admit checks a job against everything that this server knows and returns it as it will be stored.
func (s *Server) admit(snap *state.Snapshot, given *model.Job) (*model.Job, []string, error) {
	job, warnings, problems, _, err := s.check(snap, given)
	if err != nil {
		return nil, nil, err
	}
	if len(problems) > 0 {
		return nil, nil, &rpc.Error{Class: rpc.ErrInvalid, Text: refusedText(problems)}
	}
	return job, warnings, nil
}

func refusedText(problems model.Problems) string {
	if len(problems) == 1 {
		return "job refused: " + problems[0].Error()
	}
	return fmt.Sprintf("job refused, %d errors:\n\n* %s", len(problems), strings.Join(problems.Strings(), "\n* "))
}

// check is what admission and validation share. checked tells whether every task's config was checked.
func (s *Server) check(snap *state.Snapshot, given *model.Job) (job *model.Job, warnings []string, problems model.Problems, checked bool, err error) {
	if given == nil {
		return nil, nil, nil, false, rpc.Errorf(rpc.ErrInvalid, "missing job")
	}
	job, size, err := copyJob(given)
	if err != nil {
		return nil, nil, nil, false, err
	}
	if size > s.cfg.Limits.JobMaxSize {
		return nil, nil, nil, false, rpc.Errorf(rpc.ErrExhausted, "job %q has %d bytes, more than the limit of %d", job.ID, size, s.cfg.Limits.JobMaxSize)
	}
	if job.Namespace == "" {
		job.Namespace = model.DefaultNamespace
	}
	if job.Priority == 0 {
		job.Priority = s.cfg.Limits.JobDefaultPriority
	}
	if job.NodePool == "" {
		job.NodePool = model.NodePoolDefault
	}
	warnings = job.Admit(model.Site{Region: s.cfg.Region, HasConsul: s.cfg.HasConsul})
	more, invalid := job.Validate(model.Limits{MaxPriority: s.cfg.Limits.JobMaxPriority, MaxCount: s.cfg.Limits.JobMaxCount})
	warnings = append(warnings, more...)
	if invalid != nil && !errors.As(invalid, &problems) {
		problems = model.Problems{{Message: invalid.Error()}}
	}
	problems = append(problems, feasible.Impossible(job)...)
	problems = append(problems, s.placeProblems(snap, job)...)
	problems = append(problems, networkProblems(snap, job)...)
	more, refused, checked := s.checkConfigs(snap, job)
	return job, append(warnings, more...), append(problems, refused...), checked, nil
}

// copyJob makes the job this server's own and tells how large it is.
func copyJob(given *model.Job) (*model.Job, int, error) {
	b, err := rpc.Encode(given)
	if err != nil {
		return nil, 0, rpc.Errorf(rpc.ErrInvalid, "encode job %q: %v", given.ID, err)
	}
	job := new(model.Job)
	if err := rpc.Decode(b, job); err != nil {
		return nil, 0, rpc.Errorf(rpc.ErrInvalid, "decode job %q: %v", given.ID, err)
	}
	return job, len(b), nil
}

// placeProblems are about what the job names in this cluster.
func (s *Server) placeProblems(snap *state.Snapshot, j *model.Job) (problems model.Problems) {
	fail := func(format string, args ...any) {
		problems = append(problems, model.Problem{Message: fmt.Sprintf(format, args...)})
	}
	if j.Region != s.cfg.Region {
		fail("job's region is %q, this server's is %q", j.Region, s.cfg.Region)
	}
	if snap.Namespace(j.Namespace) == nil {
		fail("job %q is in nonexistent namespace %q", j.ID, j.Namespace)
	}
	if snap.NodePool(j.NodePool) == nil {
		fail("job %q is in nonexistent node pool %q", j.ID, j.NodePool)
	}
	if len(j.Payload) > 0 && !j.Dispatched {
		fail("job can't be submitted with a payload, only dispatched")
	}
	if p := j.Periodic; p != nil && p.Enabled && validCrons(p) && nextLaunch(p, time.Now()).IsZero() {
		problems = append(problems, model.Problem{Path: "periodic", Message: "the job would never run: no time to come matches crons"})
	}
	return problems
}

func (s *Server) registrationAllowed(snap *state.Snapshot) error {
	if snap.SchedulerConfig().RejectJobRegistration {
		return rpc.Errorf(rpc.ErrDenied, "Job registration, dispatch, and scale are disabled by the scheduler configuration")
	}
	return nil
}

func (s *Server) priorityAllowed(p int) error {
	if p < 0 || p > s.cfg.Limits.JobMaxPriority {
		return rpc.Errorf(rpc.ErrInvalid, "evaluation priority is %d: it must be between 1 and %d", p, s.cfg.Limits.JobMaxPriority)
	}
	return nil
}

// JobValidateResponse says what is wrong with a job.
type JobValidateResponse struct {
	DriverConfigValidated bool
	ValidationErrors      []string
	Error                 string
	Warnings              string
}

// ValidateJob checks a job as RegisterJob would and stores nothing.
func (s *Server) ValidateJob(_ context.Context, given *model.Job) (*JobValidateResponse, error) {
	_, warnings, problems, checked, err := s.check(s.state.Snapshot(), given)
	if err != nil {
		return nil, err
	}
	r := &JobValidateResponse{DriverConfigValidated: checked, Warnings: joinWarnings(warnings)}
	if len(problems) > 0 {
		r.ValidationErrors = problems.Strings()
		r.Error = refusedText(problems)
	}
	return r, nil
}
