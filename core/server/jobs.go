package server

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

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
	problems = append(problems, s.placeProblems(snap, job)...)
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

// JobRevertRequest goes back to an older version.
type JobRevertRequest struct {
	Namespace           string
	JobID               string
	JobVersion          uint64
	EnforcePriorVersion *uint64 // the version it must be at now
}

// RevertJob registers an older version of a job as its newest.
func (s *Server) RevertJob(ctx context.Context, q *JobRevertRequest) (*JobRegisterResponse, error) {
	snap := s.state.Snapshot()
	cur := snap.Job(q.Namespace, q.JobID)
	if cur == nil {
		return nil, jobNotFound(q.JobID)
	}
	if err := s.registrationAllowed(snap); err != nil {
		return nil, err
	}
	if cur.Version == q.JobVersion {
		return nil, rpc.Errorf(rpc.ErrInvalid, "can't revert to current version %d of job %q", q.JobVersion, q.JobID)
	}
	if q.EnforcePriorVersion != nil && cur.Version != *q.EnforcePriorVersion {
		return nil, rpc.Errorf(rpc.ErrConflict, "current job has version %d; enforcing version %d", cur.Version, *q.EnforcePriorVersion)
	}
	old := snap.JobVersion(q.Namespace, q.JobID, q.JobVersion)
	if old == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "job %q at version %d not found: the versions kept are %s", q.JobID, q.JobVersion, versionList(snap.JobVersions(q.Namespace, q.JobID)))
	}
	job := *old
	job.VersionTag, job.SubmitTime = nil, 0
	return s.registerEntry(ctx, &consensus.RegisterJob{
		Job: &job, EnforceIndex: true, JobModifyIndex: cur.JobModifyIndex, Tracked: s.cfg.Limits.JobTrackedVersions,
		Submission: snap.JobSubmission(q.Namespace, q.JobID, q.JobVersion), Eval: jobEval(&job, model.TriggerJobRegister, 0),
	}, nil)
}

func versionList(versions []*model.Job) string {
	var out []string
	for _, v := range versions {
		out = append(out, fmt.Sprint(v.Version))
	}
	slices.Reverse(out)
	return strings.Join(out, ", ")
}

// JobStableRequest marks a version as one to fall back to, or not.
type JobStableRequest struct {
	Namespace  string
	JobID      string
	JobVersion uint64
	Stable     bool
}

// IndexResponse says at which index something was written.
type IndexResponse struct{ Index uint64 }

// StableJob marks a version.
func (s *Server) StableJob(ctx context.Context, q *JobStableRequest) (*IndexResponse, error) {
	if s.state.Snapshot().Job(q.Namespace, q.JobID) == nil {
		return nil, jobNotFound(q.JobID)
	}
	index, _, err := s.apply(ctx, &consensus.JobStability{Namespace: q.Namespace, JobID: q.JobID, Version: q.JobVersion, Stable: q.Stable})
	return &IndexResponse{index}, err
}

// JobTagRequest names a version, or with Remove takes the name away. Version nil is the newest.
type JobTagRequest struct {
	Namespace   string
	JobID       string
	Version     *uint64
	Name        string
	Description string
	Remove      bool
}

var tagName = regexp.MustCompile(`^[^\s\x00]{1,128}$`)

// TagJobVersion sets or removes a tag. It returns the tag set.
func (s *Server) TagJobVersion(ctx context.Context, q *JobTagRequest) (*model.JobVersionTag, uint64, error) {
	if !tagName.MatchString(q.Name) {
		return nil, 0, rpc.Errorf(rpc.ErrInvalid, "version tag %q: it must have 1 to 128 characters and no space", q.Name)
	}
	snap := s.state.Snapshot()
	job := snap.Job(q.Namespace, q.JobID)
	if job == nil {
		return nil, 0, jobNotFound(q.JobID)
	}
	entry := &consensus.TagJobVersion{Namespace: q.Namespace, JobID: q.JobID, Version: job.Version}
	if q.Remove {
		i := slices.IndexFunc(snap.JobVersions(q.Namespace, q.JobID), func(v *model.Job) bool { return v.VersionTag != nil && v.VersionTag.Name == q.Name })
		if i < 0 {
			return nil, 0, rpc.Errorf(rpc.ErrNotFound, "job %q has no version with tag %q", q.JobID, q.Name)
		}
		entry.Version = snap.JobVersions(q.Namespace, q.JobID)[i].Version
	} else {
		if q.Version != nil {
			entry.Version = *q.Version
		}
		entry.Tag = &model.JobVersionTag{Name: q.Name, Description: q.Description, TaggedTime: time.Now().UnixNano()}
	}
	index, _, err := s.apply(ctx, entry)
	return entry.Tag, index, err
}

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
