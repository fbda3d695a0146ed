package model

import "time"

// Evaluation statuses.
const (
	EvalPending  = "pending"
	EvalBlocked  = "blocked"
	EvalComplete = "complete"
	EvalFailed   = "failed"
	EvalCanceled = "canceled"
)

// Why an evaluation was made.
const (
	TriggerJobRegister       = "job-register"
	TriggerJobDeregister     = "job-deregister"
	TriggerPeriodic          = "periodic-job"
	TriggerScaling           = "job-scaling"
	TriggerNodeUpdate        = "node-update"
	TriggerNodeDrain         = "node-drain"
	TriggerAllocStop         = "alloc-stop"
	TriggerAllocReschedule   = "alloc-reschedule"
	TriggerAllocFailure      = "alloc-failure"
	TriggerRollingUpdate     = "rolling-update"
	TriggerDeploymentWatcher = "deployment-watcher"
	TriggerFailedFollowUp    = "failed-follow-up"
	TriggerMaxPlans          = "max-plan-attempts"
	TriggerQueuedAllocs      = "queued-allocs"
	TriggerPreemption        = "preemption"
	TriggerDisconnectTimeout = "max-disconnect-timeout"
	TriggerReconnect         = "reconnect"
	TriggerScheduled         = "scheduled"
)

// Evaluation asks a scheduler to bring a job's allocations in line with what is wanted.
type Evaluation struct {
	ID                   string
	Namespace            string
	Priority             int
	Type                 string // the job's type
	TriggeredBy          string
	JobID                string
	JobModifyIndex       uint64
	NodeID               string
	NodeModifyIndex      uint64
	DeploymentID         string
	Status               string
	StatusDescription    string
	Wait                 time.Duration
	WaitUntil            time.Time
	NextEval             string
	PreviousEval         string
	BlockedEval          string
	RelatedEvals         []*EvalStub `json:",omitempty"`
	FailedTGAllocs       map[string]*AllocMetric
	PlanAnnotations      *PlanAnnotations
	ClassEligibility     map[string]bool
	QuotaLimitReached    string
	EscapedComputedClass bool
	AnnotatePlan         bool
	QueuedAllocations    map[string]int
	LeaderACL            string `json:"-"`
	SnapshotIndex        uint64
	CreateIndex          uint64
	ModifyIndex          uint64
	CreateTime           int64
	ModifyTime           int64
}

// EvalStub is a short form of an evaluation.
type EvalStub struct {
	ID                string
	Namespace         string
	Priority          int
	Type              string
	TriggeredBy       string
	JobID             string
	NodeID            string
	DeploymentID      string
	Status            string
	StatusDescription string
	WaitUntil         time.Time
	NextEval          string
	PreviousEval      string
	BlockedEval       string
	CreateIndex       uint64
	ModifyIndex       uint64
	CreateTime        int64
	ModifyTime        int64
}

// Terminal tells whether nothing more will be done for the evaluation.
func (e *Evaluation) Terminal() bool {
	switch e.Status {
	case EvalComplete, EvalFailed, EvalCanceled:
		return true
	}
	return false
}

// JobKey names the evaluation's job.
func (e *Evaluation) JobKey() JobID { return JobID{e.Namespace, e.JobID} }

// Copy returns a copy whose own fields may be changed.
func (e *Evaluation) Copy() *Evaluation { c := *e; return &c }

// Plan is what a scheduler wants to commit for one evaluation.
type Plan struct {
	EvalID            string
	EvalToken         string
	Namespace         string
	JobID             string
	Job               *Job // the version the placements are for; nil when only stopping
	Priority          int
	AllAtOnce         bool
	NodeUpdate        map[string][]*Allocation // by node: stops and evictions (only the changed fields and ID count)
	NodeAllocation    map[string][]*Allocation // by node: new and in-place updated allocations
	NodePreemptions   map[string][]*Allocation
	Deployment        *Deployment
	DeploymentUpdates []*DeploymentStatusUpdate
	Annotations       *PlanAnnotations
	SnapshotIndex     uint64
}

// Empty tells whether committing the plan would change nothing.
func (p *Plan) Empty() bool {
	return len(p.NodeUpdate) == 0 && len(p.NodeAllocation) == 0 && len(p.NodePreemptions) == 0 &&
		p.Deployment == nil && len(p.DeploymentUpdates) == 0
}

// PlanResult is the part of a plan that was committed. RefreshIndex is set when some of it was not: the scheduler then
// waits for that index and tries again.
type PlanResult struct {
	NodeUpdate        map[string][]*Allocation
	NodeAllocation    map[string][]*Allocation
	NodePreemptions   map[string][]*Allocation
	Deployment        *Deployment
	DeploymentUpdates []*DeploymentStatusUpdate
	RejectedNodes     []string
	RefreshIndex      uint64
	AllocIndex        uint64
}

// PlanAnnotations says what a plan would do, per group.
type PlanAnnotations struct {
	DesiredTGUpdates map[string]*DesiredUpdates
	PreemptedAllocs  []*AllocListStub
}

// DesiredUpdates counts what a plan does to a group.
type DesiredUpdates struct {
	Ignore            uint64
	Place             uint64
	Migrate           uint64
	Stop              uint64
	InPlaceUpdate     uint64
	DestructiveUpdate uint64
	Canary            uint64
	Preemptions       uint64
	Disconnect        uint64
	Reconnect         uint64
	RescheduleNow     uint64
	RescheduleLater   uint64
}

// Deployment statuses.
const (
	DeploymentRunning    = "running"
	DeploymentPaused     = "paused"
	DeploymentSuccessful = "successful"
	DeploymentFailed     = "failed"
	DeploymentCancelled  = "cancelled"
)

// Deployment is the roll-out of one job version.
type Deployment struct {
	ID                 string
	Namespace          string
	JobID              string
	JobVersion         uint64
	JobModifyIndex     uint64
	JobSpecModifyIndex uint64
	JobCreateIndex     uint64
	IsMultiregion      bool
	TaskGroups         map[string]*DeploymentState
	Status             string
	StatusDescription  string
	EvalPriority       int
	CreateIndex        uint64
	ModifyIndex        uint64
	CreateTime         int64
	ModifyTime         int64
}

// Active tells whether the roll-out goes on.
func (d *Deployment) Active() bool {
	return d != nil && (d.Status == DeploymentRunning || d.Status == DeploymentPaused)
}

// DeploymentState is one group's progress.
type DeploymentState struct {
	AutoRevert        bool
	AutoPromote       bool
	ProgressDeadline  time.Duration
	RequireProgressBy time.Time
	Promoted          bool
	PlacedCanaries    []string
	DesiredCanaries   int
	DesiredTotal      int
	PlacedAllocs      int
	HealthyAllocs     int
	UnhealthyAllocs   int
	OnDeadline        string `json:",omitempty"` // as in Update
}

// DeploymentStatusUpdate changes a deployment's status.
type DeploymentStatusUpdate struct {
	DeploymentID      string
	Status            string
	StatusDescription string
}

// SchedulerConfig is the operator's choice of scheduling behaviour.
type SchedulerConfig struct {
	SchedulerAlgorithm            string // binpack or spread
	PreemptionConfig              PreemptionConfig
	MemoryOversubscriptionEnabled bool
	RejectJobRegistration         bool
	PauseEvalBroker               bool
	NodeLimitForFeasibilityChecks int
	CreateIndex                   uint64
	ModifyIndex                   uint64
}

// PreemptionConfig says which job types may evict others.
type PreemptionConfig struct {
	SystemSchedulerEnabled   bool
	SysBatchSchedulerEnabled bool
	BatchSchedulerEnabled    bool
	ServiceSchedulerEnabled  bool
}

// DefaultSchedulerConfig is in force until an operator changes it.
func DefaultSchedulerConfig() *SchedulerConfig {
	return &SchedulerConfig{
		SchedulerAlgorithm:            "binpack",
		PreemptionConfig:              PreemptionConfig{SystemSchedulerEnabled: true},
		NodeLimitForFeasibilityChecks: 100,
	}
}
