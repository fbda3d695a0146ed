package model

import "time"

// Job types.
const (
	JobTypeService  = "service"
	JobTypeBatch    = "batch"
	JobTypeSystem   = "system"
	JobTypeSysBatch = "sysbatch"
	JobTypeCore     = "_core" // internal clean-up work; refused from users
)

// Job statuses, derived from evaluations and allocations.
const (
	JobStatusPending = "pending"
	JobStatusRunning = "running"
	JobStatusDead    = "dead"
)

// Names that exist in every cluster.
const (
	DefaultNamespace = "default"
	DefaultRegion    = "global"
	NodePoolDefault  = "default"
	NodePoolAll      = "all"
)

// JobID names a job: job IDs are unique within a namespace only.
type JobID struct {
	Namespace string
	ID        string
}

// Job is one version of what a user asked for.
type Job struct {
	Region                   string
	Namespace                string
	ID                       string
	ParentID                 string
	Name                     string
	Type                     string
	Priority                 int // 1..100 unless the server allows more
	AllAtOnce                bool
	Datacenters              []string // globs
	NodePool                 string
	Constraints              []Constraint
	Affinities               []Affinity
	Spreads                  []Spread
	TaskGroups               []*TaskGroup
	Update                   *Update // as written; the groups hold the merged policy
	Multiregion              *Multiregion
	Periodic                 *Periodic
	ParameterizedJob         *Parameterized
	Dispatched               bool
	DispatchIdempotencyToken string
	Payload                  []byte // base64 in JSON; 16 KiB at most
	Meta                     map[string]string
	ConsulNamespace          string
	VaultNamespace           string
	NomadTokenID             string `json:",omitempty"`
	UI                       *JobUI

	// Kept by the servers.
	Stop              bool
	Status            string
	StatusDescription string
	Stable            bool
	Version           uint64
	SubmitTime        int64
	CreateIndex       uint64
	ModifyIndex       uint64 // any change, status included
	JobModifyIndex    uint64 // changes of the specification only
	VersionTag        *JobVersionTag
}

// JobVersionTag marks a version that is kept whatever its age.
type JobVersionTag struct {
	Name        string
	Description string
	TaggedTime  int64
}

// JobUI is what the web page shows beside a job.
type JobUI struct {
	Description string
	Links       []JobUILink
}

// JobUILink is one link of JobUI.
type JobUILink struct {
	Label string
	URL   string
}

// Multiregion is parsed so that it can be refused by name.
type Multiregion struct {
	Strategy *MultiregionStrategy
	Regions  []MultiregionRegion
}

// MultiregionStrategy is part of Multiregion.
type MultiregionStrategy struct {
	MaxParallel int
	OnFailure   string
}

// MultiregionRegion is part of Multiregion.
type MultiregionRegion struct {
	Name        string
	Count       int
	Datacenters []string
	NodePool    string
	Meta        map[string]string
}

// Periodic launches children of a batch job by the clock.
type Periodic struct {
	Enabled         bool
	Spec            string
	Specs           []string
	SpecType        string // "cron"
	ProhibitOverlap bool
	TimeZone        string
}

// Parameterized makes a job a template that is dispatched with a payload and meta.
type Parameterized struct {
	Payload      string // optional, required, forbidden
	MetaRequired []string
	MetaOptional []string
}

// TaskGroup is the unit of placement: its tasks run together on one node.
type TaskGroup struct {
	Name             string
	Count            int
	Constraints      []Constraint
	Affinities       []Affinity
	Spreads          []Spread
	Tasks            []*Task
	RestartPolicy    *RestartPolicy
	ReschedulePolicy *ReschedulePolicy
	Disconnect       *Disconnect
	Update           *Update
	Migrate          *Migrate
	EphemeralDisk    *EphemeralDisk
	Networks         []*Network
	Services         []*Service
	Volumes          map[string]*VolumeRequest
	Meta             map[string]string
	Scaling          *Scaling
	Consul           *Consul
	ShutdownDelay    time.Duration
	MaxRunDuration   time.Duration

	StopAfterClientDisconnect time.Duration // accepted, ignored with a warning
	MaxClientDisconnect       time.Duration // accepted, ignored with a warning
	PreventRescheduleOnLost   bool          // accepted, ignored with a warning
}

// Lifecycle hooks.
const (
	LifecyclePrestart  = "prestart"
	LifecyclePoststart = "poststart"
	LifecyclePoststop  = "poststop"
)

// Lifecycle places a task before, beside or after the main tasks of its group. No Lifecycle means main.
type Lifecycle struct {
	Hook    string
	Sidecar bool
}

// Task is one workload, run by one driver.
type Task struct {
	Name            string
	Driver          string
	Config          map[string]any // as written; checked against the driver's schema
	User            string
	Env             map[string]string
	Meta            map[string]string
	Constraints     []Constraint
	Affinities      []Affinity
	Resources       *Resources
	RestartPolicy   *RestartPolicy
	LogConfig       *LogConfig
	Artifacts       []*Artifact
	Templates       []*Template
	Services        []*Service
	Vault           *Vault
	Consul          *Consul
	Secrets         []*Secret
	Identity        *Identity
	Identities      []*Identity
	VolumeMounts    []*VolumeMount
	CSIPluginConfig *CSIPlugin
	DispatchPayload *DispatchPayload
	Lifecycle       *Lifecycle
	Leader          bool
	KillTimeout     time.Duration
	KillSignal      string
	ShutdownDelay   time.Duration
	Kind            string
	ScalingPolicies []*Scaling
	Actions         []*Action
	Schedule        *Schedule
}

// LogConfig bounds what is kept of a task's output.
type LogConfig struct {
	MaxFiles      int
	MaxFileSizeMB int
	Disabled      bool
}

// EphemeralDisk is the disk an allocation may use, in MB.
type EphemeralDisk struct {
	SizeMB  int
	Sticky  bool
	Migrate bool
}

// DispatchPayload names the file under local/ that receives a dispatched job's payload.
type DispatchPayload struct {
	File string
}

// Action is a named command that can be run in a task on demand.
type Action struct {
	Name    string
	Command string
	Args    []string
}

// Schedule is parsed so that it can be refused by name.
type Schedule struct {
	Cron *ScheduleCron
}

// ScheduleCron is part of Schedule.
type ScheduleCron struct {
	Start    string
	End      string
	Timezone string
}

// Group returns the group with that name, nil when there is none.
func (j *Job) Group(name string) *TaskGroup {
	for _, g := range j.TaskGroups {
		if g.Name == name {
			return g
		}
	}
	return nil
}

// Key returns the job's name across namespaces.
func (j *Job) Key() JobID { return JobID{j.Namespace, j.ID} }

// Stopped tells whether the job should run nothing. A nil job (purged) is stopped.
func (j *Job) Stopped() bool { return j == nil || j.Stop }

// IsPeriodic tells whether the job only launches children by the clock.
func (j *Job) IsPeriodic() bool { return j.Periodic != nil }

// IsParameterized tells whether the job only launches children on dispatch.
func (j *Job) IsParameterized() bool { return j.ParameterizedJob != nil && !j.Dispatched }

// HasUpdateStrategy tells whether the group is rolled out by deployments.
func (g *TaskGroup) HasUpdateStrategy() bool { return g.Update != nil && g.Update.MaxParallel > 0 }

// PortNetwork finds the network block that asks for a port, nil and an empty port if none does.
func (g *TaskGroup) PortNetwork(label string) (*Network, Port) {
	for _, n := range g.Networks {
		for _, list := range [][]Port{n.ReservedPorts, n.DynamicPorts} {
			for _, p := range list {
				if p.Label == label {
					return n, p
				}
			}
		}
	}
	return nil, Port{}
}

// Task returns the task with that name, nil when there is none.
func (g *TaskGroup) Task(name string) *Task {
	for _, t := range g.Tasks {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// CombinedMeta merges job, group and task meta; the inner one wins.
func (j *Job) CombinedMeta(group, task string) map[string]string {
	out := map[string]string{}
	for k, v := range j.Meta {
		out[k] = v
	}
	g := j.Group(group)
	if g == nil {
		return out
	}
	for k, v := range g.Meta {
		out[k] = v
	}
	if t := g.Task(task); t != nil {
		for k, v := range t.Meta {
			out[k] = v
		}
	}
	return out
}
