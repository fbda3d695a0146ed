package model

import "time"

// Service is a name under which a group or task can be found.
type Service struct {
	Name              string
	Provider          string // consul or nomad
	PortLabel         string
	AddressMode       string
	Address           string
	Tags              []string
	CanaryTags        []string
	Meta              map[string]string
	CanaryMeta        map[string]string
	TaggedAddresses   map[string]string
	EnableTagOverride bool
	TaskName          string
	OnUpdate          string
	Checks            []*ServiceCheck
	Connect           map[string]any // parsed whole; acted on only by a later release
	Identity          *Identity
	Weights           *ServiceWeights
	Cluster           string
	Kind              string
}

// ServiceWeights is part of Service.
type ServiceWeights struct {
	Passing int
	Warning int
}

// ServiceCheck is a health check of a service.
type ServiceCheck struct {
	Name                   string
	Type                   string
	Interval               time.Duration
	Timeout                time.Duration
	Path                   string
	Method                 string
	Body                   string
	Header                 map[string][]string
	Protocol               string
	PortLabel              string
	AddressMode            string
	Command                string
	Args                   []string
	TaskName               string
	GRPCService            string
	GRPCUseTLS             bool
	TLSSkipVerify          bool
	TLSServerName          string
	Expose                 bool
	InitialStatus          string
	Notes                  string
	OnUpdate               string
	SuccessBeforePassing   int
	FailuresBeforeCritical int
	FailuresBeforeWarning  int
	CheckRestart           *CheckRestart
}

// CheckRestart restarts a task whose check keeps failing.
type CheckRestart struct {
	Limit          int
	Grace          time.Duration
	IgnoreWarnings bool
}

// Template renders a file or environment for a task.
type Template struct {
	SourcePath    string
	DestPath      string
	EmbeddedTmpl  string
	ChangeMode    string
	ChangeSignal  string
	ChangeScript  *ChangeScript
	Splay         time.Duration
	Perms         string
	Uid           *int
	Gid           *int
	LeftDelim     string
	RightDelim    string
	Envvars       bool
	Once          bool
	Wait          *WaitConfig
	ErrMissingKey bool
	VaultGrace    time.Duration
}

// ChangeScript runs in the task when a template changed.
type ChangeScript struct {
	Command          string
	Args             []string
	Timeout          time.Duration
	FailOnError      bool
	RunOnFirstRender bool
}

// WaitConfig is a template's quiescence window.
type WaitConfig struct {
	Min time.Duration
	Max time.Duration
}

// Artifact is fetched into the task's directory before it starts.
type Artifact struct {
	GetterSource   string
	GetterOptions  map[string]string
	GetterHeaders  map[string]string
	GetterMode     string
	GetterInsecure bool
	RelativeDest   string
	Chown          bool
}

// Vault, Consul, Secret and Identity are a task's credentials.
type Vault struct {
	Role                 string
	Namespace            string
	Cluster              string
	Env                  bool
	DisableFile          bool
	ChangeMode           string
	ChangeSignal         string
	AllowTokenExpiration bool
	Policies             []string
}

// Consul selects a Consul namespace and cluster.
type Consul struct {
	Namespace string
	Partition string
	Cluster   string
}

// Secret is fetched from a provider when a task starts.
type Secret struct {
	Name     string
	Provider string
	Path     string
	Config   map[string]any
	Env      map[string]string
}

// Identity is a signed token a task gets.
type Identity struct {
	Name         string
	Audience     []string
	Env          bool
	File         bool
	Filepath     string
	TTL          time.Duration
	ChangeMode   string
	ChangeSignal string
	ServiceName  string
	ExtraClaims  []string
}

// VolumeRequest is a group's claim on a volume.
type VolumeRequest struct {
	Name           string
	Type           string // host or csi
	Source         string
	ReadOnly       bool
	Sticky         bool
	PerAlloc       bool
	AccessMode     string
	AttachmentMode string
	MountOptions   *MountOptions
}

// MountOptions is part of VolumeRequest.
type MountOptions struct {
	FSType     string
	MountFlags []string
}

// VolumeMount shows a group's volume to a task.
type VolumeMount struct {
	Volume          string
	Destination     string
	ReadOnly        bool
	PropagationMode string
	SELinuxLabel    string
}

// CSIPlugin makes a task a storage plugin.
type CSIPlugin struct {
	ID                  string
	Type                string
	MountDir            string
	StagePublishBaseDir string
	HealthTimeout       time.Duration
}
