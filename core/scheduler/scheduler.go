package scheduler

import (
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/feasible"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// State is the snapshot an evaluation is worked on. All values are read-only and stay as they are for as long as the
// scheduler holds them. Lookups that find nothing return nil.
type State interface {
	// Index is the raft index the snapshot was taken at; it becomes the plan's SnapshotIndex.
	Index() uint64

	// Fleet is the columns over all nodes, at the same index.
	Fleet() *fleet.Snapshot

	// Job returns the current version of a job.
	Job(namespace, id string) *model.Job

	// JobVersion returns one version of a job, the current one included.
	JobVersion(namespace, id string, version uint64) *model.Job

	// AllocsByJob returns all allocations of a job that are kept, terminal ones included, in any order.
	AllocsByJob(namespace, id string) []*model.Allocation

	// AllocsByNode returns the allocations on a node, terminal ones included, in any order.
	AllocsByNode(nodeID string) []*model.Allocation

	// LatestDeployment returns the job's deployment with the highest CreateIndex.
	LatestDeployment(namespace, jobID string) *model.Deployment

	// SchedulerConfig is what the operator chose; never nil.
	SchedulerConfig() *model.SchedulerConfig
}

// Input is everything one run of the scheduler may know.
type Input struct {
	Eval  *model.Evaluation
	State State

	// Configs answers for the schemas of the nodes' drivers; nil = every node accepts every config.
	Configs feasible.Configs

	// Now stands for the current time.
	Now time.Time

	// Seed breaks ties between equally good nodes. Workers with different seeds begin in different parts of the fleet.
	Seed uint64

	// NewID makes the IDs of new allocations, deployments and evaluations.
	NewID func() string

	// Attempt counts the runs for this evaluation since a plan of it last committed something: 0 for the first. From
	// MaxAttempts on, Process gives up and parks the job in a blocked evaluation.
	Attempt int
}

// Outcome is what the scheduler wants to happen.
type Outcome struct {
	// Plan may be Empty, never nil.
	Plan *model.Plan

	// Eval is a copy of the evaluation as it is to be stored once the plan is committed in full: complete, failed, or
	// blocked again when it had been blocked and nothing has changed for it.
	Eval *model.Evaluation

	// Blocked is to be created with the plan when some placements found no room. Eval.BlockedEval names it.
	Blocked *model.Evaluation

	// FollowUps are to be created before or with the plan: allocations in it name them (FollowupEvalID).
	FollowUps []*model.Evaluation
}

// MaxAttempts is how many plans without progress are tried for a job of that type.
func MaxAttempts(jobType string) int {
	switch jobType {
	case model.JobTypeBatch, model.JobTypeSysBatch:
		return 2
	}
	return 5
}
