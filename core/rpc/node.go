package rpc

import (
	"time"

	"github.com/droverhq/drover/core/model"
)

// Calls of a node to a server.
var (
	// NodeRegister announces a node with everything it offers; called at start and whenever that changes.
	NodeRegister = Unary[NodeRegisterRequest, NodeRegisterResponse]{"/drover.core.v1.Server/NodeRegister"}
	// NodeHeartbeat keeps a node ready; missing the TTL makes it down.
	NodeHeartbeat = Unary[NodeHeartbeatRequest, NodeHeartbeatResponse]{"/drover.core.v1.Server/NodeHeartbeat"}
	// NodeAllocs streams the node's allocations: the whole set first, then each change as it commits.
	NodeAllocs = Stream[NodeAllocsRequest, NodeAllocsPush]{"/drover.core.v1.Server/NodeAllocs"}
	// NodeUpdate brings back what happened on the node, batched.
	NodeUpdate = Unary[NodeUpdateRequest, NodeUpdateResponse]{"/drover.core.v1.Server/NodeUpdate"}
	// NodeServices streams what the catalog has of a service, now and after each change.
	NodeServices = Stream[NodeServicesRequest, NodeServicesPush]{"/drover.core.v1.Server/NodeServices"}
)

// NodeAuth proves that a call comes from the node it names.
type NodeAuth struct {
	NodeID   string
	SecretID string
}

// NodeRegisterRequest carries the node (SecretID filled) and the task configuration schemas of its drivers.
type NodeRegisterRequest struct {
	Node    *model.Node
	Schemas []DriverSchema
	// IntroToken introduces a node that the servers may not know.
	IntroToken string
}

// DriverSchema is the schema of a driver's task configuration in its wire form (an encoded hclspec message).
type DriverSchema struct {
	Driver  string
	Version string // of the plugin
	Digest  string // hex SHA-256 of Spec
	Spec    []byte
}

// NodeRegisterResponse tells the node how often to report.
type NodeRegisterResponse struct {
	HeartbeatTTL time.Duration
	Index        uint64
	Servers      []string // RPC addresses of all servers
}

// NodeHeartbeatRequest keeps the node in the given status.
type NodeHeartbeatRequest struct {
	NodeAuth
	Status string
}

// NodeHeartbeatResponse gives the next deadline.
type NodeHeartbeatResponse struct {
	HeartbeatTTL time.Duration
	Servers      []string
}

// NodeAllocsRequest asks for the node's allocations.
type NodeAllocsRequest struct {
	NodeAuth
}

// NodeAllocsPush is a set of changes. Jobs holds each job version that an allocation of this push refers to and that
// was not sent on this stream before; the allocations' own Job is nil.
type NodeAllocsPush struct {
	Full    bool // Allocs is everything the servers know of this node; what is not in it is gone
	Index   uint64
	Jobs    []*model.Job
	Allocs  []*model.Allocation
	Removed []string // collected: the node may delete what it keeps of them
}

// NodeUpdateRequest carries the client-side fields of changed allocations (ID, ClientStatus, ClientDescription,
// TaskStates, DeploymentStatus, NetworkStatus), node events and service registrations.
type NodeUpdateRequest struct {
	NodeAuth
	Allocs           []*model.Allocation
	Events           []*model.NodeEvent
	RegisterServices []*model.ServiceRegistration
	RemoveServices   []string // registration IDs
}

// NodeUpdateResponse acknowledges: what it answers is committed.
type NodeUpdateResponse struct {
	Index uint64
}

// NodeServicesRequest names a service, or with Name "" all services of the namespace.
type NodeServicesRequest struct {
	NodeAuth
	Namespace string
	Name      string
}

// NodeServicesPush is everything that is registered, ordered by ID.
type NodeServicesPush struct {
	Services []*model.ServiceRegistration
}

// Calls of a server to a node, all about what runs there.
var (
	AllocStats   = Unary[AllocStatsRequest, AllocStatsResponse]{"/drover.core.v1.Node/AllocStats"}
	AllocRestart = Unary[AllocRestartRequest, Empty]{"/drover.core.v1.Node/AllocRestart"}
	AllocSignal  = Unary[AllocSignalRequest, Empty]{"/drover.core.v1.Node/AllocSignal"}
	AllocChecks  = Unary[AllocRef, AllocChecksResponse]{"/drover.core.v1.Node/AllocChecks"}
	AllocExec    = Bidi[ExecInput, ExecOutput]{"/drover.core.v1.Node/AllocExec"}
	AllocGC      = Unary[AllocRef, Empty]{"/drover.core.v1.Node/AllocGC"}
	NodeGC       = Unary[Empty, Empty]{"/drover.core.v1.Node/GC"}
	NodeStats    = Unary[Empty, HostStats]{"/drover.core.v1.Node/Stats"}
	FSList       = Unary[FSRequest, FSListResponse]{"/drover.core.v1.Node/FSList"}
	FSStat       = Unary[FSRequest, FSFileInfo]{"/drover.core.v1.Node/FSStat"}
	FSRead       = Stream[FSReadRequest, FSChunk]{"/drover.core.v1.Node/FSRead"}
	TaskLogs     = Stream[TaskLogsRequest, FSChunk]{"/drover.core.v1.Node/TaskLogs"}
	PluginList   = Unary[Empty, PluginListResponse]{"/drover.core.v1.Node/PluginList"}
	PluginLogs   = Stream[PluginLogsRequest, FSChunk]{"/drover.core.v1.Node/PluginLogs"}
	NodeMeta     = Unary[NodeMetaRequest, NodeMetaResponse]{"/drover.core.v1.Node/Meta"}
)

// Empty has nothing to say.
type Empty struct{}

// AllocRef names an allocation.
type AllocRef struct {
	AllocID string
}

// AllocStatsRequest asks for the use of one task, or of all when Task is empty.
type AllocStatsRequest struct {
	AllocID string
	Task    string
}

// AllocStatsResponse is an allocation's use of resources; fields are those of the API.
type AllocStatsResponse struct {
	ResourceUsage *ResourceUsage
	Tasks         map[string]*TaskUsage
	Timestamp     int64
}

// TaskUsage is one task's use.
type TaskUsage struct {
	ResourceUsage *ResourceUsage
	Timestamp     int64
	Pids          map[string]*ResourceUsage
}

// ResourceUsage is memory in bytes and CPU in percent and MHz.
type ResourceUsage struct {
	MemoryStats *MemoryStats
	CpuStats    *CpuStats
	DeviceStats []*DeviceGroupStats
}

// MemoryStats are bytes; Measured names the fields that were measured.
type MemoryStats struct {
	RSS            uint64
	Cache          uint64
	Swap           uint64
	MappedFile     uint64
	Usage          uint64
	MaxUsage       uint64
	KernelUsage    uint64
	KernelMaxUsage uint64
	Measured       []string
}

// CpuStats are percent of one core, except TotalTicks (MHz) and throttling counters.
type CpuStats struct {
	SystemMode       float64
	UserMode         float64
	TotalTicks       float64
	ThrottledPeriods uint64
	ThrottledTime    uint64
	Percent          float64
	Measured         []string
}

// AllocRestartRequest restarts one task, the running ones (empty TaskName), or all with their prestart tasks.
type AllocRestartRequest struct {
	AllocID  string
	TaskName string
	AllTasks bool
}

// AllocChecksResponse holds the results of an allocation's checks by ID.
type AllocChecksResponse struct {
	Checks map[string]CheckResult
}

// CheckResult is what a service's check said last; fields are those of the API.
type CheckResult struct {
	ID         string
	Check      string // its name
	Group      string // the allocation's name
	Mode       string // healthiness; readiness if it does not count during an update
	Output     string // at most 3 KiB
	Service    string
	Task       string // empty for a service of the group
	Status     string // pending, success or failure
	StatusCode int    // HTTP status or a script's exit code; 0 otherwise
	Timestamp  int64  // of the last answer, unix seconds; 0 before the first
}

// AllocSignalRequest signals one task or, with an empty Task, all.
type AllocSignalRequest struct {
	AllocID string
	Task    string
	Signal  string
}

// ExecInput is the calling end of an exec session: Setup first, then input.
type ExecInput struct {
	Setup      *ExecSetup
	Stdin      []byte
	CloseStdin bool
	TTYSize    *TTYSize
}

// ExecSetup says what to run where.
type ExecSetup struct {
	AllocID string
	Task    string
	Command []string
	TTY     bool
}

// TTYSize is in characters.
type TTYSize struct {
	Height int32
	Width  int32
}

// ExecOutput is the serving end; Exited comes last.
type ExecOutput struct {
	Stdout      []byte
	StdoutClose bool
	Stderr      []byte
	StderrClose bool
	Exited      bool
	ExitCode    int
}

// FSRequest names a path beneath an allocation's directory.
type FSRequest struct {
	AllocID string
	Path    string
}

// FSFileInfo describes a file.
type FSFileInfo struct {
	Name        string
	IsDir       bool
	Size        int64
	FileMode    string
	ModTime     time.Time
	ContentType string `json:",omitempty"`
}

// FSListResponse is a directory's content.
type FSListResponse struct {
	Files []*FSFileInfo
}

// FSReadRequest reads Limit bytes (0: to the end) from Offset, counted from Origin ("start" or "end"). With Follow
// the stream goes on as the file grows.
type FSReadRequest struct {
	AllocID string
	Path    string
	Offset  int64
	Origin  string
	Limit   int64
	Follow  bool
}

// FSChunk is a piece of a file. A chunk without data is a sign of life.
type FSChunk struct {
	Offset    int64
	Data      []byte
	File      string
	FileEvent string
}

// TaskLogsRequest reads a task's log across its rotated files.
type TaskLogsRequest struct {
	AllocID string
	Task    string
	Type    string // stdout or stderr
	Offset  int64
	Origin  string
	Follow  bool
}

// PluginListResponse lists the node's plugins.
type PluginListResponse struct {
	Plugins []*model.PluginInfo
}

// PluginLogsRequest reads what a plugin wrote to its stderr.
type PluginLogsRequest struct {
	Plugin string
	Offset int64
	Origin string
	Follow bool
}

// NodeMetaRequest changes the node's dynamic meta when Meta is not nil: a nil value removes the key.
type NodeMetaRequest struct {
	Meta map[string]*string
}

// NodeMetaResponse is the node's meta now.
type NodeMetaResponse struct {
	Meta    map[string]string
	Dynamic map[string]*string
	Static  map[string]string
}

// HostStats is a machine's use of its resources; fields are those of the API.
type HostStats struct {
	Memory           *HostMemoryStats
	CPU              []*HostCPUStats
	DiskStats        []*HostDiskStats
	AllocDirStats    *HostDiskStats
	DeviceStats      []*DeviceGroupStats
	Uptime           uint64
	CPUTicksConsumed float64
	Timestamp        int64
}

// HostMemoryStats are bytes.
type HostMemoryStats struct {
	Total     uint64
	Available uint64
	Used      uint64
	Free      uint64
}

// HostCPUStats are percent of one core.
type HostCPUStats struct {
	CPU          string
	User         float64
	System       float64
	Idle         float64
	TotalPercent float64
	TotalTicks   float64
}

// HostDiskStats are bytes and percent.
type HostDiskStats struct {
	Device            string
	Mountpoint        string
	Size              uint64
	Used              uint64
	Available         uint64
	UsedPercent       float64
	InodesUsedPercent float64
}
