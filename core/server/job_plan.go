package server

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/cronexpr"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler"
	"github.com/droverhq/drover/core/state"
)

// JobPlanRequest asks what registering a job would do.
type JobPlanRequest struct {
	Job  *model.Job
	Diff bool
}

// JobPlanResponse tells it. JobModifyIndex is that of the present version, 0 for a new job: registering with it enforced
// makes sure that the plan still holds.
type JobPlanResponse struct {
	Annotations        *model.PlanAnnotations
	FailedTGAllocs     map[string]*model.AllocMetric
	JobModifyIndex     uint64
	Placements         map[string]map[string]int // how many instances of a group would be placed on which node, by name
	CreatedEvals       []*model.Evaluation
	Diff               *model.JobDiff
	NextPeriodicLaunch time.Time
	Warnings           string
	Index              uint64
}

// PlanJob runs the scheduler on the job as if it were registered, and stores nothing.
func (s *Server) PlanJob(_ context.Context, q *JobPlanRequest) (*JobPlanResponse, error) {
	snap := s.state.SchedulerSnapshot()
	job, warnings, err := s.admit(snap, q.Job)
	if err != nil {
		return nil, err
	}
	old := snap.Job(job.Namespace, job.ID)
	resp := &JobPlanResponse{Warnings: joinWarnings(warnings), Index: snap.Index()}
	changed := old == nil || model.SpecChanged(old, job)
	switch {
	case old == nil:
		job.CreateIndex, job.ModifyIndex, job.JobModifyIndex = snap.Index()+1, snap.Index()+1, snap.Index()+1
	case changed:
		resp.JobModifyIndex = old.JobModifyIndex
		job.CreateIndex, job.Version = old.CreateIndex, old.Version+1
		job.ModifyIndex, job.JobModifyIndex = snap.Index()+1, snap.Index()+1
	default:
		resp.JobModifyIndex = old.JobModifyIndex
		job = old
	}
	if job.IsPeriodic() {
		resp.NextPeriodicLaunch = nextLaunch(job.Periodic, time.Now())
	}
	if !job.IsPeriodic() && !job.IsParameterized() {
		if err := s.dryRun(resp, snap, job); err != nil {
			return nil, err
		}
	}
	if q.Diff {
		resp.Diff = model.DiffJobs(old, job, true)
		annotate(resp.Diff, resp.Annotations)
	}
	return resp, nil
}

// dryRun fills in what the scheduler would do.
func (s *Server) dryRun(resp *JobPlanResponse, snap *state.Snapshot, job *model.Job) error {
	eval := newEval(job, model.TriggerJobRegister)
	eval.AnnotatePlan = true
	out, err := scheduler.Process(scheduler.Input{
		Eval: eval, State: withJob{snap, job}, Configs: s.configs(snap), Now: time.Now().UTC(), NewID: uuid.NewString,
	})
	if err != nil {
		return err
	}
	resp.Annotations = out.Plan.Annotations
	resp.FailedTGAllocs = out.Eval.FailedTGAllocs
	resp.CreatedEvals = out.FollowUps
	resp.Placements = placements(snap, out.Plan)
	return nil
}

// placements counts a plan's new instances by group and node.
func placements(snap *state.Snapshot, p *model.Plan) map[string]map[string]int {
	out := map[string]map[string]int{}
	for _, list := range p.NodeAllocation {
		for _, a := range list {
			if snap.Alloc(a.ID) != nil {
				continue
			}
			if out[a.TaskGroup] == nil {
				out[a.TaskGroup] = map[string]int{}
			}
			out[a.TaskGroup][a.NodeName]++
		}
	}
	return out
}

// withJob is a snapshot in which a job is already registered.
type withJob struct {
	*state.Snapshot
	job *model.Job
}

var _ scheduler.State = withJob{}

func (w withJob) Job(namespace, id string) *model.Job {
	if w.job.Namespace == namespace && w.job.ID == id {
		return w.job
	}
	return w.Snapshot.Job(namespace, id)
}

func (w withJob) JobVersion(namespace, id string, version uint64) *model.Job {
	if w.job.Namespace == namespace && w.job.ID == id && w.job.Version == version {
		return w.job
	}
	return w.Snapshot.JobVersion(namespace, id, version)
}

// annotate adds to a diff's groups what the plan does to their instances.
func annotate(d *model.JobDiff, a *model.PlanAnnotations) {
	if d == nil || a == nil {
		return
	}
	for _, g := range d.TaskGroups {
		u := a.DesiredTGUpdates[g.Name]
		if u == nil {
			continue
		}
		if g.Updates == nil {
			g.Updates = map[string]uint64{}
		}
		for name, n := range map[string]uint64{
			"ignore": u.Ignore, "create": u.Place, "migrate": u.Migrate, "destroy": u.Stop, "canary": u.Canary,
			"in-place update": u.InPlaceUpdate, "create/destroy update": u.DestructiveUpdate,
		} {
			if n > 0 {
				g.Updates[name] = n
			}
		}
	}
}

// validCrons tells whether all of a periodic job's expressions can be read.
func validCrons(p *model.Periodic) bool {
	for _, spec := range append([]string{p.Spec}, p.Specs...) {
		if _, err := cronexpr.Parse(spec); spec != "" && err != nil {
			return false
		}
	}
	return p.Spec != "" || len(p.Specs) > 0
}

// nextLaunch is the earliest time after now at which one of a periodic job's expressions falls due; zero when none does.
func nextLaunch(p *model.Periodic, now time.Time) (next time.Time) {
	zone, err := time.LoadLocation(p.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	specs := p.Specs
	if p.Spec != "" {
		specs = append([]string{p.Spec}, specs...)
	}
	for _, spec := range specs {
		expr, err := cronexpr.Parse(spec)
		if err != nil {
			continue
		}
		if t := expr.Next(now.In(zone)); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}
