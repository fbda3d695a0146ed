package consensus

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

func (*RegisterJob) entryType() Type        { return typeRegisterJob }
func (*DeregisterJob) entryType() Type      { return typeDeregisterJob }
func (*UpsertEvals) entryType() Type        { return typeUpsertEvals }
func (*Reap) entryType() Type               { return typeReap }
func (*ApplyPlans) entryType() Type         { return typeApplyPlans }
func (*RegisterNode) entryType() Type       { return typeRegisterNode }
func (*NodeStatus) entryType() Type         { return typeNodeStatus }
func (*NodeDrain) entryType() Type          { return typeNodeDrain }
func (*NodeEligibility) entryType() Type    { return typeNodeEligibility }
func (*DeleteNodes) entryType() Type        { return typeDeleteNodes }
func (*NodeUpdates) entryType() Type        { return typeNodeUpdates }
func (*AllocTransitions) entryType() Type   { return typeAllocTransitions }
func (*DeploymentStatus) entryType() Type   { return typeDeploymentStatus }
func (*PromoteDeployment) entryType() Type  { return typePromoteDeployment }
func (*DeploymentHealth) entryType() Type   { return typeDeploymentHealth }
func (*JobStability) entryType() Type       { return typeJobStability }
func (*TagJobVersion) entryType() Type      { return typeTagJobVersion }
func (*ScaleJob) entryType() Type           { return typeScaleJob }
func (*SchedulerConfig) entryType() Type    { return typeSchedulerConfig }
func (*Namespaces) entryType() Type         { return typeNamespaces }
func (*NodePools) entryType() Type          { return typeNodePools }
func (*DeleteServices) entryType() Type     { return typeDeleteServices }
func (*ReconcileSummaries) entryType() Type { return typeReconcileSummaries }
func (*SkipLaunch) entryType() Type         { return typeSkipLaunch }

func (*RegisterJob) kind() string        { return "JobRegistered" }
func (*DeregisterJob) kind() string      { return "JobDeregistered" }
func (*UpsertEvals) kind() string        { return "EvaluationUpdated" }
func (*Reap) kind() string               { return "JobBatchDeregistered" }
func (*ApplyPlans) kind() string         { return "PlanResult" }
func (*RegisterNode) kind() string       { return "NodeRegistration" }
func (*NodeStatus) kind() string         { return "NodeStreamEvent" }
func (*NodeDrain) kind() string          { return "NodeDrain" }
func (*NodeEligibility) kind() string    { return "NodeEligibility" }
func (*DeleteNodes) kind() string        { return "NodeDeregistration" }
func (*NodeUpdates) kind() string        { return "AllocationUpdated" }
func (*AllocTransitions) kind() string   { return "AllocationUpdateDesiredStatus" }
func (*DeploymentStatus) kind() string   { return "DeploymentStatusUpdate" }
func (*PromoteDeployment) kind() string  { return "DeploymentPromotion" }
func (*DeploymentHealth) kind() string   { return "DeploymentAllocHealth" }
func (*JobStability) kind() string       { return "JobRegistered" }
func (*TagJobVersion) kind() string      { return "JobRegistered" }
func (*ScaleJob) kind() string           { return "JobRegistered" }
func (*SchedulerConfig) kind() string    { return "" }
func (*Namespaces) kind() string         { return "" }
func (*NodePools) kind() string          { return "NodePoolDeleted" }
func (*DeleteServices) kind() string     { return "ServiceDeregistration" }
func (*ReconcileSummaries) kind() string { return "" }
func (*SkipLaunch) kind() string         { return "" }

func (e *RegisterJob) apply(tx *state.Txn) (any, error) {
	old := tx.Job(e.Job.Namespace, e.Job.ID)
	if e.EnforceIndex {
		if err := enforce(old, e.JobModifyIndex); err != nil {
			return nil, err
		}
	}
	if err := sameNature(old, e.Job); err != nil {
		return nil, err
	}
	job := e.Job
	if old != nil && (e.PreserveCounts || e.PreserveResources) {
		job = preserve(old, job, e.PreserveCounts, e.PreserveResources)
	}
	stored, changed := tx.UpsertJob(job, e.Submission, e.Tracked)
	if e.Launch != 0 {
		tx.SetPeriodicLaunch(job.Namespace, job.ParentID, e.Launch)
	}
	return registered(tx, stored, changed, e.Eval), nil
}

// enforce refuses a change that was made on another version than the present one.
func enforce(old *model.Job, index uint64) error {
	switch {
	case index == 0 && old != nil:
		return rpc.Errorf(rpc.ErrConflict, "Enforcing job modify index 0: job already exists")
	case index != 0 && old == nil:
		return rpc.Errorf(rpc.ErrConflict, "Enforcing job modify index %d: job does not exist", index)
	case old != nil && old.JobModifyIndex != index:
		return rpc.Errorf(rpc.ErrConflict, "Enforcing job modify index %d: job exists with conflicting job modify index: %d", index, old.JobModifyIndex)
	}
	return nil
}

// sameNature refuses to make another kind of job out of one.
func sameNature(old, job *model.Job) error {
	switch {
	case old == nil:
	case old.Type != job.Type:
		return rpc.Errorf(rpc.ErrInvalid, "cannot update job from type %q to %q: stop and purge it first, or give the new one another ID", old.Type, job.Type)
	case old.IsPeriodic() != job.IsPeriodic():
		return rpc.Errorf(rpc.ErrInvalid, "cannot update a periodic job to be non-periodic or the reverse: stop and purge it first")
	case (old.ParameterizedJob != nil) != (job.ParameterizedJob != nil):
		return rpc.Errorf(rpc.ErrInvalid, "cannot update a parameterized job to be non-parameterized or the reverse: stop and purge it first")
	}
	return nil
}

// preserve returns job with the counts or resources that the running version's groups and tasks of the same name have.
func preserve(old, job *model.Job, counts, resources bool) *model.Job {
	j := *job
	j.TaskGroups = make([]*model.TaskGroup, len(job.TaskGroups))
	for i, group := range job.TaskGroups {
		g := *group
		j.TaskGroups[i] = &g
		before := old.Group(g.Name)
		if before == nil {
			continue
		}
		if counts {
			g.Count = before.Count
		}
		if !resources {
			continue
		}
		g.Tasks = make([]*model.Task, len(group.Tasks))
		for k, task := range group.Tasks {
			t := *task
			if b := before.Task(t.Name); b != nil {
				t.Resources = b.Resources
			}
			g.Tasks[k] = &t
		}
	}
	return &j
}

// registered stores the evaluation of a job that was written.
func registered(tx *state.Txn, job *model.Job, changed bool, eval *model.Evaluation) *Registered {
	r := &Registered{Job: job, Changed: changed}
	if eval == nil {
		return r
	}
	e := eval.Copy()
	if job != nil {
		e.JobModifyIndex = job.JobModifyIndex
	}
	tx.UpsertEvals(e)
	r.Eval = tx.Eval(e.ID)
	return r
}

func (e *DeregisterJob) apply(tx *state.Txn) (any, error) {
	old := tx.Job(e.Namespace, e.JobID)
	if old == nil {
		return &Registered{}, nil
	}
	if e.NoShutdownDelay {
		yes := true
		var live []string
		for _, a := range tx.AllocsByJob(e.Namespace, e.JobID) {
			if !a.Terminal() {
				live = append(live, a.ID)
			}
		}
		tx.SetTransition(live, model.DesiredTransition{NoShutdownDelay: &yes})
	}
	job := old
	if e.Purge {
		tx.DeleteJob(e.Namespace, e.JobID)
	} else {
		job = tx.StopJob(e.Namespace, e.JobID, e.Tracked)
	}
	return registered(tx, job, true, e.Eval), nil
}

func (e *UpsertEvals) apply(tx *state.Txn) (any, error) {
	tx.UpsertEvals(e.Evals...)
	return nil, nil
}

func (e *Reap) apply(tx *state.Txn) (any, error) {
	n := 0
	count := func(deleted bool) {
		if deleted {
			n++
		}
	}
	for _, id := range e.Evals {
		count(tx.DeleteEval(id))
	}
	for _, id := range e.Allocs {
		count(tx.DeleteAlloc(id))
	}
	for _, id := range e.Deployments {
		count(tx.DeleteDeployment(id))
	}
	for _, j := range e.Jobs {
		if tx.Job(j.Namespace, j.ID) != nil {
			tx.DeleteJob(j.Namespace, j.ID)
			n++
		}
	}
	return n, nil
}

func (e *ApplyPlans) apply(tx *state.Txn) (any, error) {
	for _, p := range e.Plans {
		tx.ApplyPlan(&model.PlanResult{
			NodeUpdate: p.NodeUpdate, NodeAllocation: p.NodeAllocation, NodePreemptions: p.NodePreemptions,
			Deployment: p.Deployment, DeploymentUpdates: p.DeploymentUpdates,
		}, p.Evals)
	}
	return nil, nil
}

func (e *RegisterNode) apply(tx *state.Txn) (any, error) {
	schemas := make([]*state.Schema, len(e.Schemas))
	for i, s := range e.Schemas {
		schemas[i] = &state.Schema{Driver: s.Driver, Version: s.Version, Digest: s.Digest, Spec: s.Spec}
	}
	n := tx.RegisterNode(e.Node, schemas)
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func (e *NodeStatus) apply(tx *state.Txn) (any, error) {
	n := tx.SetNodeStatus(e.NodeID, e.Status, e.Description, e.Missed)
	if n == nil {
		return nil, nodeNotFound(e.NodeID)
	}
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func nodeNotFound(id string) error { return rpc.Errorf(rpc.ErrNotFound, "node not found: %s", id) }

func (e *NodeDrain) apply(tx *state.Txn) (any, error) {
	n := tx.SetNodeDrain(e.NodeID, e.Strategy, e.MarkEligible, e.Complete, e.Meta)
	if n == nil {
		return nil, nodeNotFound(e.NodeID)
	}
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func (e *NodeEligibility) apply(tx *state.Txn) (any, error) {
	n := tx.Node(e.NodeID)
	if n == nil {
		return nil, nodeNotFound(e.NodeID)
	}
	if n.DrainStrategy != nil && e.Eligibility == model.NodeEligible {
		return nil, rpc.Errorf(rpc.ErrConflict, "can not set node %s eligible while it is draining", e.NodeID)
	}
	n = tx.SetNodeEligibility(e.NodeID, e.Eligibility)
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func (e *DeleteNodes) apply(tx *state.Txn) (any, error) {
	for _, id := range e.NodeIDs {
		tx.DeleteNode(id)
	}
	tx.UpsertEvals(e.Evals...)
	return nil, nil
}

func (e *NodeUpdates) apply(tx *state.Txn) (any, error) {
	var changed []state.AllocChange
	for _, u := range e.Updates {
		changed = append(changed, tx.UpdateAllocsFromNode(u.NodeID, u.Allocs)...)
		tx.AddNodeEvents(u.NodeID, u.Events)
		for _, r := range u.RegisterServices {
			tx.UpsertService(r)
		}
		for _, id := range u.RemoveServices {
			tx.DeleteService(id)
		}
	}
	tx.UpsertEvals(e.Evals...)
	return changed, nil
}

func (e *AllocTransitions) apply(tx *state.Txn) (any, error) {
	tx.SetTransition(e.AllocIDs, e.Transition)
	tx.UpsertEvals(e.Evals...)
	return nil, nil
}

func (e *DeploymentStatus) apply(tx *state.Txn) (any, error) {
	if tx.UpdateDeploymentStatus(&e.Update) == nil {
		return nil, deploymentEnded(tx, e.Update.DeploymentID)
	}
	return revert(tx, e.Update.DeploymentID, e.Revert, e.Eval, e.Tracked), nil
}

func deploymentEnded(tx *state.Txn, id string) error {
	d := tx.Deployment(id)
	if d == nil {
		return rpc.Errorf(rpc.ErrNotFound, "deployment not found")
	}
	return rpc.Errorf(rpc.ErrConflict, "can't change terminal deployment %s: it is %s", id, d.Status)
}

// revert registers an older version anew, if there is one, and stores the evaluation. A version that came after the
// roll-out stays.
func revert(tx *state.Txn, deployment string, job *model.Job, eval *model.Evaluation, tracked int) *Registered {
	d := tx.Deployment(deployment)
	var now *model.Job
	if job != nil && d != nil {
		now = tx.Job(job.Namespace, job.ID)
	}
	if now == nil || now.CreateIndex != d.JobCreateIndex || now.Version != d.JobVersion {
		return registered(tx, nil, false, eval)
	}
	stored, changed := tx.UpsertJob(job, nil, tracked)
	return registered(tx, stored, changed, eval)
}

func (e *PromoteDeployment) apply(tx *state.Txn) (any, error) {
	if d := tx.Deployment(e.DeploymentID); d == nil || !d.Active() {
		return nil, deploymentEnded(tx, e.DeploymentID)
	}
	tx.PromoteDeployment(e.DeploymentID, e.Groups)
	return registered(tx, nil, false, e.Eval), nil
}

func (e *DeploymentHealth) apply(tx *state.Txn) (any, error) {
	if d := tx.Deployment(e.DeploymentID); d == nil || !d.Active() {
		return nil, deploymentEnded(tx, e.DeploymentID)
	}
	tx.SetAllocHealth(e.Healthy, e.Unhealthy)
	if e.Update != nil {
		tx.UpdateDeploymentStatus(e.Update)
	}
	return revert(tx, e.DeploymentID, e.Revert, e.Eval, e.Tracked), nil
}

func (e *JobStability) apply(tx *state.Txn) (any, error) {
	if tx.SetJobStable(e.Namespace, e.JobID, e.Version, e.Stable) == nil {
		return nil, versionNotFound(e.JobID, e.Version)
	}
	return nil, nil
}

func versionNotFound(job string, version uint64) error {
	return rpc.Errorf(rpc.ErrNotFound, "job %q at version %d not found", job, version)
}

func (e *TagJobVersion) apply(tx *state.Txn) (any, error) {
	if e.Tag != nil {
		for _, v := range tx.JobVersions(e.Namespace, e.JobID) {
			if v.VersionTag != nil && v.VersionTag.Name == e.Tag.Name && v.Version != e.Version {
				return nil, rpc.Errorf(rpc.ErrConflict, "tag %q already exists on a different version of job %q: version %d", e.Tag.Name, e.JobID, v.Version)
			}
		}
	}
	if tx.TagJobVersion(e.Namespace, e.JobID, e.Version, e.Tag) == nil {
		return nil, versionNotFound(e.JobID, e.Version)
	}
	return nil, nil
}

func (e *ScaleJob) apply(tx *state.Txn) (any, error) {
	old := tx.Job(e.Namespace, e.JobID)
	if old == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "job %q not found", e.JobID)
	}
	if e.EnforceIndex {
		if err := enforce(old, e.JobModifyIndex); err != nil {
			return nil, err
		}
	}
	before := old.Group(e.Group)
	if before == nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "task group %q does not exist in job", e.Group)
	}
	if e.Event != nil {
		ev := *e.Event
		ev.PreviousCount = int64(before.Count)
		tx.AddScalingEvent(e.Namespace, e.JobID, e.Group, &ev)
	}
	if e.Count == nil {
		return &Registered{Job: old}, nil
	}
	job := *old
	job.TaskGroups = append([]*model.TaskGroup(nil), old.TaskGroups...)
	for i, g := range job.TaskGroups {
		if g.Name == e.Group {
			scaled := *g
			scaled.Count = *e.Count
			job.TaskGroups[i] = &scaled
		}
	}
	job.SubmitTime = 0
	stored, changed := tx.UpsertJob(&job, nil, e.Tracked)
	return registered(tx, stored, changed, e.Eval), nil
}

func (e *SchedulerConfig) apply(tx *state.Txn) (any, error) {
	if e.CAS != nil && tx.SchedulerConfig().ModifyIndex != *e.CAS {
		return false, nil
	}
	tx.SetSchedulerConfig(e.Config)
	return true, nil
}

func (e *Namespaces) apply(tx *state.Txn) (any, error) {
	for _, ns := range e.Upsert {
		tx.UpsertNamespace(ns)
	}
	for _, name := range e.Delete {
		if tx.Namespace(name) == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "namespace %q not found", name)
		}
		for j := range tx.Jobs(name, "") {
			if j.Status != model.JobStatusDead {
				return nil, rpc.Errorf(rpc.ErrConflict, "namespace %q has at least one job that is not dead: %q; stop the namespace's jobs before deleting it", name, j.ID)
			}
		}
		tx.DeleteNamespace(name)
	}
	return nil, nil
}

func (e *NodePools) apply(tx *state.Txn) (any, error) {
	for _, p := range e.Upsert {
		tx.UpsertNodePool(p)
	}
	for _, name := range e.Delete {
		if tx.NodePool(name) == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "node pool %q not found", name)
		}
		for n := range tx.Nodes() {
			if n.NodePool == name {
				return nil, rpc.Errorf(rpc.ErrConflict, "node pool %q has nodes, among them %s: move or purge them first", name, n.ID)
			}
		}
		for j := range tx.Jobs(state.AllNamespaces, "") {
			if j.NodePool == name && j.Status != model.JobStatusDead {
				return nil, rpc.Errorf(rpc.ErrConflict, "node pool %q is used by job %q of namespace %q: stop it first", name, j.ID, j.Namespace)
			}
		}
		tx.DeleteNodePool(name)
	}
	return nil, nil
}

func (e *DeleteServices) apply(tx *state.Txn) (any, error) {
	n := 0
	for _, id := range e.IDs {
		if tx.DeleteService(id) {
			n++
		}
	}
	return n, nil
}

func (e *ReconcileSummaries) apply(tx *state.Txn) (any, error) {
	tx.ReconcileSummaries()
	return nil, nil
}

func (e *SkipLaunch) apply(tx *state.Txn) (any, error) {
	if tx.Job(e.Namespace, e.JobID) != nil {
		tx.SetPeriodicLaunch(e.Namespace, e.JobID, e.Launch)
	}
	return nil, nil
}
