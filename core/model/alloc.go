package model

import "time"

// What the servers want of an allocation.
const (
	AllocDesiredRun   = "run"
	AllocDesiredStop  = "stop"
	AllocDesiredEvict = "evict"
)

// What a node says of an allocation.
const (
	AllocClientPending  = "pending"
	AllocClientRunning  = "running"
	AllocClientComplete = "complete"
	AllocClientFailed   = "failed"
	AllocClientLost     = "lost"
	AllocClientUnknown  = "unknown"
)

// Allocation is one instance of a group on one node. In state it does not hold its job: Job is filled for nodes and
// API answers with the version named by JobVersion.
type Allocation struct {
	ID                 string
	Namespace          string
	EvalID             string
	Name               string // job.group[index]
	NodeID             string
	NodeName           string
	JobID              string
	JobVersion         uint64
	Job                *Job
	TaskGroup          string
	AllocatedResources *AllocatedResources
	Metrics            *AllocMetric

	DesiredStatus      string
	DesiredDescription string
	DesiredTransition  DesiredTransition

	ClientStatus      string
	ClientDescription string
	TaskStates        map[string]*TaskState
	AllocStates       []AllocState
	NetworkStatus     *AllocNetworkStatus

	PreviousAllocation    string
	NextAllocation        string
	DeploymentID          string
	DeploymentStatus      *AllocDeploymentStatus
	RescheduleTracker     *RescheduleTracker
	FollowupEvalID        string
	PreemptedAllocations  []string
	PreemptedByAllocation string

	CreateIndex      uint64
	ModifyIndex      uint64
	AllocModifyIndex uint64 // changes made by servers only
	CreateTime       int64
	ModifyTime       int64
}

// DesiredTransition is what drainer, users or the deployment watcher want the scheduler to do with an allocation.
type DesiredTransition struct {
	Migrate                 *bool
	Reschedule              *bool
	ForceReschedule         *bool
	NoShutdownDelay         *bool
	MigrateDisablePlacement *bool
}

// ServerTerminal tells whether the servers are done with the allocation.
func (a *Allocation) ServerTerminal() bool {
	return a.DesiredStatus == AllocDesiredStop || a.DesiredStatus == AllocDesiredEvict
}

// ClientTerminal tells whether nothing of the allocation runs any more.
func (a *Allocation) ClientTerminal() bool {
	switch a.ClientStatus {
	case AllocClientComplete, AllocClientFailed, AllocClientLost:
		return true
	}
	return false
}

// Terminal tells whether either side is done with the allocation.
func (a *Allocation) Terminal() bool { return a.ServerTerminal() || a.ClientTerminal() }

// JobKey names the allocation's job.
func (a *Allocation) JobKey() JobID { return JobID{a.Namespace, a.JobID} }

// Copy returns a copy whose own fields may be changed. Job and AllocatedResources are shared: they are never changed
// in place.
func (a *Allocation) Copy() *Allocation {
	c := *a
	c.TaskStates = make(map[string]*TaskState, len(a.TaskStates))
	for k, v := range a.TaskStates {
		c.TaskStates[k] = v
	}
	c.AllocStates = append([]AllocState(nil), a.AllocStates...)
	if a.DeploymentStatus != nil {
		d := *a.DeploymentStatus
		c.DeploymentStatus = &d
	}
	return &c
}

// AllocState records when the client status changed (used for disconnect timers).
type AllocState struct {
	Field string
	Value string
	Time  time.Time
}

// AllocNetworkStatus is what the network gave the allocation.
type AllocNetworkStatus struct {
	InterfaceName string
	Address       string
	AddressIPv6   string
	DNS           *DNSConfig

	// Interfaces are all with an address, the one above included, when there are several interfaces (Drover's own).
	Interfaces []*AllocInterface `json:",omitempty"`
}

// AllocInterface is one interface of an allocation. AddressIPv6 may be the only address.
type AllocInterface struct {
	Name        string
	Mode        string // of the group's network block
	Address     string
	AddressIPv6 string
}

// OfPort is the interface that a port of the group leads to: that of the network block which asks for it, zero if that has
// no address. It is the first for a port that no block asks for, and zero without a network.
func (s *AllocNetworkStatus) OfPort(g *TaskGroup, label string) AllocInterface {
	if s == nil {
		return AllocInterface{}
	}
	first := AllocInterface{Name: s.InterfaceName, Address: s.Address, AddressIPv6: s.AddressIPv6}
	if g == nil {
		return first
	}
	n, _ := g.PortNetwork(label)
	if n == nil || len(s.Interfaces) == 0 {
		return first
	}
	for _, i := range s.Interfaces {
		if i.Mode == n.Mode {
			return *i
		}
	}
	return AllocInterface{}
}

// AllocDeploymentStatus is the health of an allocation within its deployment.
type AllocDeploymentStatus struct {
	Healthy     *bool
	Timestamp   time.Time
	Canary      bool
	ModifyIndex uint64
}

// RescheduleTracker lists earlier replacements.
type RescheduleTracker struct {
	Events         []*RescheduleEvent
	LastReschedule string
}

// RescheduleEvent is one replacement.
type RescheduleEvent struct {
	RescheduleTime int64
	PrevAllocID    string
	PrevNodeID     string
	Delay          time.Duration
}

// Task states.
const (
	TaskPending = "pending"
	TaskRunning = "running"
	TaskDead    = "dead"
)

// MaxTaskEvents is how many events a task keeps.
const MaxTaskEvents = 10

// TaskState is what a node says of one task.
type TaskState struct {
	State       string
	Failed      bool
	Restarts    uint64
	LastRestart time.Time
	StartedAt   time.Time
	FinishedAt  time.Time
	Events      []*TaskEvent
	Paused      string
}

// Successful tells whether the task ended as wished.
func (t *TaskState) Successful() bool { return t.State == TaskDead && !t.Failed }

// Task event types that users and tools look for.
const (
	EventReceived         = "Received"
	EventTaskSetup        = "Task Setup"
	EventBuildingTaskDir  = "Building Task Directory"
	EventDownloading      = "Downloading Artifacts"
	EventArtifactFailed   = "Failed Artifact Download"
	EventStarted          = "Started"
	EventRunning          = "Running"
	EventDriver           = "Driver"
	EventDriverFailure    = "Driver Failure"
	EventFailedValidation = "Failed Validation"
	EventSetupFailure     = "Setup Failure"
	EventHookFailed       = "Task hook failed"
	EventHookMessage      = "Task hook message"
	EventSignaling        = "Signaling"
	EventRestartSignaled  = "Restart Signaled"
	EventRestarting       = "Restarting"
	EventNotRestarting    = "Not Restarting"
	EventTerminated       = "Terminated"
	EventKilling          = "Killing"
	EventKilled           = "Killed"
	EventWaitingShutdown  = "Waiting for shutdown delay"
	EventSkippingShutdown = "Skipping shutdown delay"
	EventSiblingFailed    = "Sibling Task Failed"
	EventLeaderDead       = "Leader Task Dead"
	EventMainDead         = "Main Tasks Dead"
	EventDiskExceeded     = "Disk Resources Exceeded"
	EventFailedRestore    = "Failed Restoring Task"
	EventPluginUnhealthy  = "Plugin became unhealthy"
	EventPluginHealthy    = "Plugin became healthy"
	EventReconnected      = "Reconnected"
)

// TaskEvent is one line of a task's history.
type TaskEvent struct {
	Type           string
	Time           int64
	Message        string
	DisplayMessage string
	Details        map[string]string
	FailsTask      bool

	// Kept for clients that read the older fields.
	RestartReason    string
	SetupError       string
	DriverError      string
	DriverMessage    string
	ExitCode         int
	Signal           int
	KillReason       string
	KillTimeout      time.Duration
	KillError        string
	StartDelay       int64
	DownloadError    string
	ValidationError  string
	DiskLimit        int64
	FailedSibling    string
	VaultError       string
	TaskSignalReason string
	TaskSignal       string
	GenericSource    string
}

// AllocMetric explains a placement or the lack of one.
type AllocMetric struct {
	NodesEvaluated     int
	NodesFiltered      int
	NodesInPool        int
	NodePool           string
	NodesAvailable     map[string]int
	ClassFiltered      map[string]int
	ConstraintFiltered map[string]int
	NodesExhausted     int
	ClassExhausted     map[string]int
	DimensionExhausted map[string]int
	QuotaExhausted     []string
	ResourcesExhausted map[string]*Resources
	Scores             map[string]float64
	ScoreMetaData      []*NodeScore
	AllocationTime     time.Duration
	CoalescedFailures  int

	// What follows is this release's own: it says what would help. It is there for failures only.

	NearMisses     []*NearMiss    `json:",omitempty"` // nearest first; at most one about room and one about rules
	NodesElsewhere map[string]int `json:",omitempty"` // nodes by datacenters that the job's do not match
	NodesNotReady  map[string]int `json:",omitempty"` // nodes of the pool that take no allocations, by why
}

// NearMiss is how little keeps some nodes from taking one more instance.
type NearMiss struct {
	Nodes    int              // how many nodes miss by exactly this
	NodeID   string           // one of them
	NodeName string           // its name
	Lacks    map[string]int64 // what is short by dimension: cpu in MHz, memory and disk in MB, the others counted
	Beyond   bool             // an empty node would lack something too
	Reasons  []string         // the rules against them, as ConstraintFiltered and DimensionExhausted name them
	Detail   string           // what is the matter on that node, where the reason does not say: which driver, device or volume
}

// NodeScore is how one node was rated.
type NodeScore struct {
	NodeID    string
	Scores    map[string]float64
	NormScore float64
}
