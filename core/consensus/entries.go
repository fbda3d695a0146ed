package consensus

import "github.com/droverhq/drover/core/model"

// The numbers of the entries. They are in logs on disk: only add at the end.
const (
	typeRegisterJob Type = iota + 1
	typeDeregisterJob
	typeUpsertEvals
	typeReap
	typeApplyPlans
	typeRegisterNode
	typeNodeStatus
	typeNodeDrain
	typeNodeEligibility
	typeDeleteNodes
	typeNodeUpdates
	typeAllocTransitions
	typeDeploymentStatus
	typePromoteDeployment
	typeDeploymentHealth
	typeJobStability
	typeTagJobVersion
	typeScaleJob
	typeSchedulerConfig
	typeNamespaces
	typeNodePools
	typeDeleteServices
	typeReconcileSummaries
	typeSkipLaunch
	typeAutopilotConfig
	typeIntroTokens
	typeIntroduceNode
	typeNameCluster
)

// RegisterJob stores a version of a job and the evaluation that acts on it. Its result is a *Registered.
type RegisterJob struct {
	Stamp
	Job            *model.Job
	Submission     *model.JobSubmission
	Eval           *model.Evaluation // nil for jobs that only launch others
	EnforceIndex   bool
	JobModifyIndex uint64 // with EnforceIndex: what the job must be at; 0 that it must not exist

	// PreserveCounts and PreserveResources keep what the groups and tasks of the running version have.
	PreserveCounts    bool
	PreserveResources bool

	Tracked int // how many versions are kept

	// Launch is set when a periodic job launched this one.
	Launch int64
}

// Registered is what became of a job.
type Registered struct {
	Job     *model.Job
	Changed bool // it is a new version
	Eval    *model.Evaluation
}

// DeregisterJob stops a job or, with Purge, forgets it. Its result is a *Registered; Job is nil when there was none.
type DeregisterJob struct {
	Stamp
	Namespace       string
	JobID           string
	Purge           bool
	NoShutdownDelay bool
	Eval            *model.Evaluation
	Tracked         int
}

// UpsertEvals stores evaluations.
type UpsertEvals struct {
	Stamp
	Evals []*model.Evaluation
}

// Reap forgets what is of no use any more. Its result is the number of rows deleted.
type Reap struct {
	Stamp
	Evals       []string
	Allocs      []string
	Deployments []string
	Jobs        []model.JobID
}

// ApplyPlans commits the accepted parts of plans, in order.
type ApplyPlans struct {
	Stamp
	Plans []CommittedPlan
}

// CommittedPlan is what one plan changes.
type CommittedPlan struct {
	NodeUpdate        map[string][]*model.Allocation
	NodeAllocation    map[string][]*model.Allocation
	Placed            []PlacedSet // from version 2 on: those of NodeAllocation that have much in common, see Pack
	NodePreemptions   map[string][]*model.Allocation
	Deployment        *model.Deployment
	DeploymentUpdates []*model.DeploymentStatusUpdate
	Evals             []*model.Evaluation // of jobs that lose allocations, and what the plan's own evaluation became
}

// RegisterNode stores what a node says of itself. Its result is the *model.Node as stored.
type RegisterNode struct {
	Stamp
	Node    *model.Node
	Schemas []DriverSchema
	Evals   []*model.Evaluation
}

// DriverSchema is a driver's task configuration in its wire form.
type DriverSchema struct {
	Driver  string
	Version string
	Digest  string
	Spec    []byte
}

// NodeStatus changes a node's status. Its result is the *model.Node, nil when there is none.
type NodeStatus struct {
	Stamp
	NodeID      string
	Status      string
	Description string
	Missed      bool // the node did not report in time
	Evals       []*model.Evaluation
}

// NodeDrain starts a drain, or ends it when Strategy is nil.
type NodeDrain struct {
	Stamp
	NodeID       string
	Strategy     *model.DrainStrategy
	MarkEligible bool
	Complete     bool // the node is empty
	Meta         map[string]string
	Evals        []*model.Evaluation
}

// NodeEligibility changes whether a node takes new allocations.
type NodeEligibility struct {
	Stamp
	NodeID      string
	Eligibility string
	Evals       []*model.Evaluation
}

// DeleteNodes forgets nodes.
type DeleteNodes struct {
	Stamp
	NodeIDs []string
	Evals   []*model.Evaluation
}

// NodeUpdates takes over what nodes report. Its result is a []state.AllocChange.
type NodeUpdates struct {
	Stamp
	Updates []NodeReport
	Evals   []*model.Evaluation
}

// NodeReport is what one node reports.
type NodeReport struct {
	NodeID           string
	Allocs           []*model.Allocation
	Events           []*model.NodeEvent
	RegisterServices []*model.ServiceRegistration
	RemoveServices   []string
}

// AllocTransitions asks the scheduler to move, replace or stop allocations.
type AllocTransitions struct {
	Stamp
	AllocIDs   []string
	Transition model.DesiredTransition
	Evals      []*model.Evaluation
}

// DeploymentStatus changes a roll-out's status and, when that means going back, registers the older version anew. Its
// result is a *Registered for the job, with Job nil when nothing was reverted.
type DeploymentStatus struct {
	Stamp
	Update  model.DeploymentStatusUpdate
	Revert  *model.Job
	Eval    *model.Evaluation
	Tracked int
}

// PromoteDeployment lets canaries take over.
type PromoteDeployment struct {
	Stamp
	DeploymentID string
	Groups       []string // none: all
	Eval         *model.Evaluation
}

// DeploymentHealth records allocations' health by hand, and what follows from it.
type DeploymentHealth struct {
	Stamp
	DeploymentID string
	Healthy      []string
	Unhealthy    []string
	Update       *model.DeploymentStatusUpdate
	Revert       *model.Job
	Eval         *model.Evaluation
	Tracked      int
}

// JobStability marks a version as one that may, or may not, be reverted to.
type JobStability struct {
	Stamp
	Namespace string
	JobID     string
	Version   uint64
	Stable    bool
}

// TagJobVersion sets a version's tag; a nil tag removes the one with that name.
type TagJobVersion struct {
	Stamp
	Namespace string
	JobID     string
	Version   uint64
	Tag       *model.JobVersionTag
}

// ScaleJob changes a group's count, or with a nil Count only remembers Event. Its result is a *Registered.
type ScaleJob struct {
	Stamp
	Namespace      string
	JobID          string
	Group          string
	Count          *int
	EnforceIndex   bool
	JobModifyIndex uint64
	Event          *model.ScalingEvent
	Eval           *model.Evaluation
	Tracked        int
}

// SchedulerConfig stores the operator's choice. Its result is whether it did: with CAS only when the present one is of
// that index.
type SchedulerConfig struct {
	Stamp
	Config *model.SchedulerConfig
	CAS    *uint64
}

// AutopilotConfig stores how the group of servers is tended. Its result is whether it did: with CAS only when the present
// one is of that index.
type AutopilotConfig struct {
	Stamp
	Config *model.AutopilotConfig
	CAS    *uint64
}

// Namespaces stores and deletes namespaces.
type Namespaces struct {
	Stamp
	Upsert []*model.Namespace
	Delete []string
}

// NodePools stores and deletes node pools.
type NodePools struct {
	Stamp
	Upsert []*model.NodePool
	Delete []string
}

// DeleteServices removes registrations from the built-in catalog. Its result is the number removed.
type DeleteServices struct {
	Stamp
	IDs []string
}

// ReconcileSummaries counts the jobs' summaries anew.
type ReconcileSummaries struct{ Stamp }

// SkipLaunch remembers that a periodic job's launch was left out because an earlier child still runs.
type SkipLaunch struct {
	Stamp
	Namespace string
	JobID     string
	Launch    int64 // nanoseconds
}
