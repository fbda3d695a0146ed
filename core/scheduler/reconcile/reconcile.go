package reconcile

import (
	"time"

	"github.com/droverhq/drover/core/model"
)

// Descriptions of what the servers want of an allocation, as users know them.
const (
	NotNeeded        = "alloc not needed due to job update"
	Migrating        = "alloc is being migrated"
	Updating         = "alloc is being updated due to job update"
	Lost             = "alloc is lost since its node is down"
	Unknown          = "alloc is unknown since its node is disconnected"
	InPlace          = "alloc updating in-place"
	NodeTainted      = "alloc not needed as node is tainted"
	Rescheduled      = "alloc was rescheduled because it failed"
	ReconnectedAlloc = "alloc not needed due to disconnected client reconnect"
)

// Input is what a reconciler looks at. All of it is read-only.
type Input struct {
	Eval   *model.Evaluation
	Job    *model.Job // nil when purged
	Allocs []*model.Allocation

	// Deployment is the job's latest.
	Deployment *model.Deployment

	// Node returns a node, nil when there is none.
	Node func(id string) *model.Node

	// Version returns a version of the job, nil when it is no longer kept.
	Version func(version uint64) *model.Job

	// Fits tells whether an allocation may stay on its node with the group as it is in Job; updates that change nothing
	// its tasks run with are then made in place.
	Fits func(a *model.Allocation, g *model.TaskGroup) bool

	Now   time.Time
	NewID func() string
}

// Result is what to do.
type Result struct {
	Place  []Placement
	Stop   []Stop
	Adapt  []*model.Allocation // to be updated in place to Job
	Update []*model.Allocation // changed copies, to be stored: follow-ups, unknown

	// Deployment is a new roll-out.
	Deployment        *model.Deployment
	DeploymentUpdates []*model.DeploymentStatusUpdate

	FollowUps []*model.Evaluation

	// Desired counts what is done, by group.
	Desired map[string]*model.DesiredUpdates
}

// Placement is an instance that needs a node.
type Placement struct {
	Name  string
	Group *model.TaskGroup
	Job   *model.Job // the version to run; not always the newest while canaries are out

	// NodeID is set by System: the one node it is for.
	NodeID string

	// Previous is the allocation that the new one takes over from.
	Previous *model.Allocation

	// Replaces is the stop that goes with the placement: when no node is found, the old allocation stays as it is.
	Replaces *Stop

	Canary     bool
	Reschedule bool // Previous failed: its node is avoided and the replacement counted
}

// Stop ends an allocation.
type Stop struct {
	Alloc          *model.Allocation
	Description    string
	ClientStatus   string // lost, or "" to leave it to the node
	FollowupEvalID string
}

// desired returns the counters of a group.
func (r *Result) desired(group string) *model.DesiredUpdates {
	d := r.Desired[group]
	if d == nil {
		d = &model.DesiredUpdates{}
		r.Desired[group] = d
	}
	return d
}

// followUp makes an evaluation that starts at a later time.
func (in *Input) followUp(r *Result, trigger, description string, at time.Time) *model.Evaluation {
	e := &model.Evaluation{
		ID: in.NewID(), Namespace: in.Eval.Namespace, JobID: in.Eval.JobID, Type: in.Eval.Type, Priority: in.Eval.Priority,
		TriggeredBy: trigger, Status: model.EvalPending, StatusDescription: description, WaitUntil: at,
		PreviousEval: in.Eval.ID, CreateTime: in.Now.UnixNano(), ModifyTime: in.Now.UnixNano(),
	}
	if in.Job != nil {
		e.JobModifyIndex = in.Job.JobModifyIndex
	}
	r.FollowUps = append(r.FollowUps, e)
	return e
}

// is reads an optional wish of a desired transition.
func is(b *bool) bool { return b != nil && *b }
