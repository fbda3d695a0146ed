package api

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/jobspec"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

var errJobNotFound = rpc.Errorf(rpc.ErrNotFound, "job not found")

func (a *API) jobList(rq *request) (any, error) {
	withMeta, err := rq.flag("meta", false)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableJobs, state.TableJobSummaries}, func(s *state.Snapshot) (any, error) {
		return page(rq, list[*model.Job]{
			items:  slices.Collect(s.Jobs(rq.Namespace, rq.Prefix)),
			cursor: func(j *model.Job) string { return j.Namespace + "." + j.ID },
		}, func(j *model.Job) *model.JobListStub {
			stub := s.JobStub(j)
			if withMeta {
				stub.Meta = j.Meta
			}
			return stub
		})
	})
}

func (a *API) jobGet(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableJobs}, func(s *state.Snapshot) (any, error) {
		j := s.Job(rq.Namespace, rq.arg("id"))
		if j == nil {
			return nil, errJobNotFound
		}
		rq.shows(j.ModifyIndex)
		return j, nil
	})
}

// jobBody reads a job from a request's body together with the fields beside it.
func (rq *request) jobBody(beside any) (*model.Job, []string, error) {
	b, err := rq.raw()
	if err != nil {
		return nil, nil, err
	}
	if len(strings.TrimSpace(string(b))) == 0 {
		return nil, nil, rpc.Errorf(rpc.ErrInvalid, "request has an empty body")
	}
	var envelope struct {
		Job       json.RawMessage
		Namespace string
	}
	if err := json.Unmarshal(b, &envelope); err != nil {
		return nil, nil, rpc.Errorf(rpc.ErrInvalid, "%s", jsonError(err))
	}
	if len(envelope.Job) == 0 || string(envelope.Job) == "null" {
		return nil, nil, rpc.Errorf(rpc.ErrInvalid, "Job must be specified")
	}
	if err := json.Unmarshal(b, beside); err != nil {
		return nil, nil, rpc.Errorf(rpc.ErrInvalid, "%s", jsonError(err))
	}
	job, warnings, err := jobspec.FromJSON(b)
	if err != nil {
		return nil, nil, rpc.Errorf(rpc.ErrInvalid, "%s", err)
	}
	ns := rq.str("namespace")
	if ns == "" {
		ns = envelope.Namespace
	}
	if ns != "" && ns != job.Namespace {
		if job.Namespace != model.DefaultNamespace {
			return nil, nil, fmt.Errorf("mismatched request namespace in request: %q, %q", ns, job.Namespace)
		}
		job.Namespace = ns
	}
	return job, warnings, nil
}

func (a *API) jobRegister(rq *request) (any, error) {
	var beside struct {
		EnforceIndex      bool
		JobModifyIndex    uint64
		PreserveCounts    bool
		PreserveResources bool
		EvalPriority      int
		Submission        *model.JobSubmission
	}
	job, warnings, err := rq.jobBody(&beside)
	if err != nil {
		return nil, err
	}
	if id := rq.arg("id"); id != "" && id != job.ID {
		return nil, rpc.Errorf(rpc.ErrInvalid, "Job ID does not match name in request: path has %q, job has %q", id, job.ID)
	}
	if beside.EvalPriority < 0 || beside.EvalPriority > 100 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "EvalPriority must be between 1 and 100, got %d", beside.EvalPriority)
	}
	if err := jobspec.Refused(job); err != nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "%v", err)
	}
	resp, err := a.srv.RegisterJob(rq.Context(), &server.JobRegisterRequest{
		Job: job, EnforceIndex: beside.EnforceIndex, JobModifyIndex: beside.JobModifyIndex,
		PreserveCounts: beside.PreserveCounts, PreserveResources: beside.PreserveResources,
		EvalPriority: beside.EvalPriority, Submission: beside.Submission,
	})
	if err != nil {
		return nil, err
	}
	resp.Warnings = joinWarnings(warnings, resp.Warnings)
	rq.wrote(resp.Index)
	return resp, nil
}

// joinWarnings makes one text of what the parser and the server had to say, because clients expect one.
func joinWarnings(first []string, second string) string {
	if len(first) == 0 {
		return second
	}
	text := fmt.Sprintf("%d warning(s):\n\n* %s", len(first), strings.Join(first, "\n* "))
	if second != "" {
		text += "\n" + second
	}
	return text
}

func (a *API) jobParse(rq *request) (any, error) {
	var body struct {
		JobHCL       string
		Variables    string
		Canonicalize bool
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if body.JobHCL == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "JobHCL must be specified")
	}
	cfg := jobspec.ParseConfig{Filename: "input.hcl", Source: []byte(body.JobHCL)}
	if body.Variables != "" {
		cfg.VarFiles = []jobspec.VarFile{{Filename: "input.vars", Source: []byte(body.Variables)}}
	}
	f, err := jobspec.Parse(cfg)
	if err != nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "%s", err)
	}
	if body.Canonicalize {
		return f.Job, nil
	}
	b, err := f.JSON()
	if err != nil {
		return nil, err
	}
	return json.RawMessage(b), nil
}

func (a *API) jobValidate(rq *request) (any, error) {
	job, warnings, err := rq.jobBody(&struct{}{})
	if err != nil {
		return nil, err
	}
	resp, err := a.srv.ValidateJob(rq.Context(), job)
	if err != nil {
		return nil, err
	}
	resp.Warnings = joinWarnings(warnings, resp.Warnings)
	for _, e := range jobspec.Refuse(job) {
		resp.ValidationErrors = append(resp.ValidationErrors, e.Error())
	}
	if len(resp.ValidationErrors) > 0 {
		resp.Error = strings.Join(resp.ValidationErrors, "; ")
	}
	return resp, nil
}

func (a *API) jobDeregister(rq *request) (any, error) {
	purge, err := rq.flag("purge", false)
	if err != nil {
		return nil, err
	}
	noDelay, err := rq.flag("no_shutdown_delay", false)
	if err != nil {
		return nil, err
	}
	prio, err := rq.number("eval_priority", 0)
	if err != nil {
		return nil, err
	}
	resp, err := a.srv.DeregisterJob(rq.Context(), &server.JobDeregisterRequest{
		Namespace: rq.Namespace, JobID: rq.arg("id"), Purge: purge, NoShutdownDelay: noDelay, EvalPriority: int(prio),
	})
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) jobVersions(rq *request) (any, error) {
	diffs, err := rq.flag("diffs", false)
	if err != nil {
		return nil, err
	}
	against, err := rq.number("diff_version", -1)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableJobs}, func(s *state.Snapshot) (any, error) {
		versions := s.JobVersions(rq.Namespace, rq.arg("id"))
		if len(versions) == 0 {
			return nil, rpc.Errorf(rpc.ErrNotFound, "job versions not found")
		}
		var out struct {
			Versions []*model.Job
			Diffs    []*model.JobDiff
		}
		out.Versions = versions
		if !diffs {
			return out, nil
		}
		var base *model.Job
		for _, v := range versions {
			if against >= 0 && v.Version == uint64(against) || v.VersionTag != nil && v.VersionTag.Name == rq.str("diff_tag") {
				base = v
			}
		}
		for i, v := range versions {
			older := base
			if older == nil && i+1 < len(versions) {
				older = versions[i+1]
			}
			if older == nil || older == v {
				continue
			}
			out.Diffs = append(out.Diffs, model.DiffJobs(older, v, true))
		}
		return out, nil
	})
}

func (a *API) jobTag(rq *request) (any, error) {
	var body struct {
		Version     *uint64
		Latest      bool
		Description string
	}
	if err := rq.body(&body, true); err != nil {
		return nil, err
	}
	if body.Latest {
		if body.Version != nil && *body.Version > 0 {
			return nil, rpc.Errorf(rpc.ErrInvalid, "Latest and Version exclude each other")
		}
		body.Version = nil
	}
	tag, index, err := a.srv.TagJobVersion(rq.Context(), &server.JobTagRequest{
		Namespace: rq.Namespace, JobID: rq.arg("id"), Version: body.Version, Name: rq.arg("tag"), Description: body.Description,
	})
	if err != nil {
		return nil, err
	}
	rq.wrote(index)
	return tag, nil
}

func (a *API) jobUntag(rq *request) (any, error) {
	_, index, err := a.srv.TagJobVersion(rq.Context(), &server.JobTagRequest{
		Namespace: rq.Namespace, JobID: rq.arg("id"), Name: rq.arg("tag"), Remove: true,
	})
	rq.wrote(index)
	return nil, err
}

func (a *API) jobSubmission(rq *request) (any, error) {
	if rq.str("version") == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "version is required")
	}
	v, err := rq.number("version", 0)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableJobs}, func(s *state.Snapshot) (any, error) {
		sub := s.JobSubmission(rq.Namespace, rq.arg("id"), uint64(v))
		if sub == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "job source not found")
		}
		return sub, nil
	})
}

func (a *API) jobAllocs(rq *request) (any, error) {
	all, err := rq.flag("all", false)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableAllocs}, func(s *state.Snapshot) (any, error) {
		allocs := s.AllocsByJob(rq.Namespace, rq.arg("id"))
		if job := s.Job(rq.Namespace, rq.arg("id")); job != nil && !all {
			// An earlier incarnation of the job, purged since, is another job.
			allocs = slices.DeleteFunc(slices.Clone(allocs), func(al *model.Allocation) bool { return al.CreateIndex < job.CreateIndex })
		}
		return stubs(s, allocs, true, false), nil
	})
}

func (a *API) jobEvals(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableEvals}, func(s *state.Snapshot) (any, error) {
		return collect(s.EvalsByJob(rq.Namespace, rq.arg("id"))), nil
	})
}

func (a *API) jobDeployments(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableDeployments}, func(s *state.Snapshot) (any, error) {
		return collect(s.DeploymentsByJob(rq.Namespace, rq.arg("id"))), nil
	})
}

// jobDeployment answers null, not 404, when there is none.
func (a *API) jobDeployment(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableDeployments}, func(s *state.Snapshot) (any, error) {
		if d := s.LatestDeployment(rq.Namespace, rq.arg("id")); d != nil {
			return d, nil
		}
		return json.RawMessage("null"), nil
	})
}

func (a *API) jobSummary(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableJobSummaries}, func(s *state.Snapshot) (any, error) {
		sum := s.JobSummary(rq.Namespace, rq.arg("id"))
		if sum == nil {
			return nil, errJobNotFound
		}
		rq.shows(sum.ModifyIndex)
		return sum, nil
	})
}

func (a *API) jobServices(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableServices}, func(s *state.Snapshot) (any, error) {
		if s.Job(rq.Namespace, rq.arg("id")) == nil {
			return nil, errJobNotFound
		}
		return collect(s.ServicesByJob(rq.Namespace, rq.arg("id"))), nil
	})
}

func (a *API) jobEvaluate(rq *request) (any, error) {
	var body struct {
		JobID       string
		EvalOptions struct{ ForceReschedule bool }
	}
	if err := rq.body(&body, true); err != nil {
		return nil, err
	}
	if body.JobID != "" && body.JobID != rq.arg("id") {
		return nil, rpc.Errorf(rpc.ErrInvalid, "JobID not specified correctly: path has %q, body has %q", rq.arg("id"), body.JobID)
	}
	resp, err := a.srv.EvaluateJob(rq.Context(), &server.JobEvaluateRequest{
		Namespace: rq.Namespace, JobID: rq.arg("id"), ForceReschedule: body.EvalOptions.ForceReschedule,
	})
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) jobPlan(rq *request) (any, error) {
	var beside struct{ Diff bool }
	job, warnings, err := rq.jobBody(&beside)
	if err != nil {
		return nil, err
	}
	if job.ID != rq.arg("id") {
		return nil, rpc.Errorf(rpc.ErrInvalid, "Job ID does not match: path has %q, job has %q", rq.arg("id"), job.ID)
	}
	if err := jobspec.Refused(job); err != nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "%v", err)
	}
	resp, err := a.srv.PlanJob(rq.Context(), &server.JobPlanRequest{Job: job, Diff: beside.Diff})
	if err != nil {
		return nil, err
	}
	resp.Warnings = joinWarnings(warnings, resp.Warnings)
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) jobPeriodicForce(rq *request) (any, error) {
	resp, err := a.srv.ForcePeriodic(rq.Context(), rq.Namespace, rq.arg("id"))
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) jobDispatch(rq *request) (any, error) {
	var body struct {
		JobID            string
		Payload          []byte
		Meta             map[string]string
		IdPrefixTemplate string
		Priority         int
	}
	if err := rq.body(&body, true); err != nil {
		return nil, err
	}
	return a.dispatch(rq, &server.JobDispatchRequest{
		Payload: body.Payload, Meta: body.Meta, IDPrefixTemplate: body.IdPrefixTemplate, Priority: body.Priority,
	})
}

func (a *API) jobDispatchPayload(rq *request) (any, error) {
	payload, err := io.ReadAll(http.MaxBytesReader(rq.w, rq.Body, 64<<10))
	if err != nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "payload: %v", err)
	}
	return a.dispatch(rq, &server.JobDispatchRequest{Payload: payload})
}

func (a *API) dispatch(rq *request, q *server.JobDispatchRequest) (any, error) {
	q.Namespace, q.JobID, q.IdempotencyToken = rq.Namespace, rq.arg("id"), rq.str("idempotency_token")
	resp, err := a.srv.DispatchJob(rq.Context(), q)
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) jobRevert(rq *request) (any, error) {
	var body struct {
		JobID               string
		JobVersion          uint64
		EnforcePriorVersion *uint64
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if body.JobID != rq.arg("id") {
		return nil, rpc.Errorf(rpc.ErrInvalid, "Job ID does not match: path has %q, body has %q", rq.arg("id"), body.JobID)
	}
	resp, err := a.srv.RevertJob(rq.Context(), &server.JobRevertRequest{
		Namespace: rq.Namespace, JobID: body.JobID, JobVersion: body.JobVersion, EnforcePriorVersion: body.EnforcePriorVersion,
	})
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) jobStable(rq *request) (any, error) {
	var body struct {
		JobID      string
		JobVersion uint64
		Stable     bool
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if body.JobID != rq.arg("id") {
		return nil, rpc.Errorf(rpc.ErrInvalid, "Job ID does not match: path has %q, body has %q", rq.arg("id"), body.JobID)
	}
	resp, err := a.srv.StableJob(rq.Context(), &server.JobStableRequest{
		Namespace: rq.Namespace, JobID: body.JobID, JobVersion: body.JobVersion, Stable: body.Stable,
	})
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

// orEmpty makes sure a list is never null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// collect makes a list of a sequence; it is never null.
func collect[T any](seq iter.Seq[T]) []T { return orEmpty(slices.Collect(seq)) }
