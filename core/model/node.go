package model

import (
	"slices"
	"time"
)

// Node statuses.
const (
	NodeStatusInit         = "initializing"
	NodeStatusReady        = "ready"
	NodeStatusDown         = "down"
	NodeStatusDisconnected = "disconnected"
)

// Scheduling eligibility.
const (
	NodeEligible   = "eligible"
	NodeIneligible = "ineligible"
)

// Node is a machine that runs allocations.
type Node struct {
	ID                    string
	SecretID              string `json:",omitempty"` // proves that a later call comes from the node; never shown
	Datacenter            string
	Name                  string
	HTTPAddr              string
	TLSEnabled            bool
	Attributes            map[string]string
	NodeResources         *NodeResources
	ReservedResources     *NodeReservedResources
	Links                 map[string]string
	Meta                  map[string]string
	NodeClass             string
	NodePool              string
	ComputedClass         string // filled by the servers
	CgroupParent          string
	DrainStrategy         *DrainStrategy
	SchedulingEligibility string
	Status                string
	StatusDescription     string
	StatusUpdatedAt       int64 // seconds
	Events                []*NodeEvent
	Drivers               map[string]*DriverInfo
	CSIControllerPlugins  map[string]any
	CSINodePlugins        map[string]any
	HostVolumes           map[string]*HostVolumeInfo
	HostNetworks          map[string]*HostNetwork
	LastDrain             *DrainMetadata
	NodeMaxAllocs         int

	// NetworkModes are what network plugins offer, those that do not work at present included (Drover's own).
	NetworkModes []*NodeNetworkMode `json:",omitempty"`

	// Plugins lists every plugin file the node found, those that could not be used included (Drover's own).
	Plugins []*PluginInfo

	LastMissedHeartbeatIndex uint64
	LastAllocUpdateIndex     uint64
	CreateIndex              uint64
	ModifyIndex              uint64
}

// Ready tells whether new allocations may be placed.
func (n *Node) Ready() bool {
	return n.Status == NodeStatusReady && n.DrainStrategy == nil && n.SchedulingEligibility == NodeEligible
}

// Down tells whether the node's allocations are to be given up.
func (n *Node) Down() bool { return n == nil || n.Status == NodeStatusDown }

// NodeResources is a node's capacity before reservations.
type NodeResources struct {
	Cpu            NodeCPU
	Memory         NodeMemory
	Disk           NodeDisk
	Networks       []*NodeNetwork
	NodeNetworks   []*NodeNetworkDevice
	Devices        []*NodeDevice
	MinDynamicPort int
	MaxDynamicPort int
}

// NodeCPU is in MHz and core counts.
type NodeCPU struct {
	CpuShares          int64
	TotalCpuCores      uint16
	ReservableCpuCores []uint16
}

// NodeMemory is in MB.
type NodeMemory struct{ MemoryMB int64 }

// NodeDisk is in MB.
type NodeDisk struct{ DiskMB int64 }

// NodeNetwork says which group network mode a node offers ("host", "bridge", "cni/x").
type NodeNetwork struct {
	Mode   string
	Device string
	CIDR   string
	IP     string
	MBits  int
}

// NodeNetworkMode is a group network mode that a plugin offers.
type NodeNetworkMode struct {
	Mode              string
	Plugin            string
	Healthy           bool
	HealthDescription string
}

// NodeNetworkDevice is an interface and the addresses ports may be opened on.
type NodeNetworkDevice struct {
	Mode       string
	Device     string
	MacAddress string
	Speed      int
	Addresses  []NodeNetworkAddress
}

// NodeNetworkAddress belongs to the host network named by Alias ("default" unless configured).
type NodeNetworkAddress struct {
	Family        string // ipv4 or ipv6
	Alias         string
	Address       string
	ReservedPorts string
	Gateway       string
}

// NodeReservedResources is kept for the machine itself.
type NodeReservedResources struct {
	Cpu      NodeReservedCPU
	Memory   NodeMemory
	Disk     NodeDisk
	Networks NodeReservedNetworks
}

// NodeReservedCPU is in MHz and core ids.
type NodeReservedCPU struct {
	CpuShares        int64
	ReservedCpuCores []uint16
}

// NodeReservedNetworks lists ports as "22,80,8000-8100".
type NodeReservedNetworks struct{ ReservedHostPorts string }

// DriverInfo is what a node says of one driver.
type DriverInfo struct {
	Attributes        map[string]string
	Detected          bool
	Healthy           bool
	HealthDescription string
	UpdateTime        time.Time
	// NetworkModes are how a task of the driver can be connected: host, group, task, none. Nil from nodes before this was
	// told. MustCreateNetwork: a group's namespace can only be made by the driver itself. (Drover's own.)
	NetworkModes      []string `json:",omitempty"`
	MustCreateNetwork bool     `json:",omitempty"`
	SchemaDigest      string   `json:",omitempty"` // names the task config schema this node's plugin has
	Version           string   `json:",omitempty"`
}

// DriverNetworkGroup is the entry of DriverInfo.NetworkModes that says: tasks can join the group's network.
const DriverNetworkGroup = "group"

// Joins tells whether tasks of the driver can join the network of their group, true if the node does not say.
func (d *DriverInfo) Joins() bool {
	return d == nil || d.NetworkModes == nil || slices.Contains(d.NetworkModes, DriverNetworkGroup)
}

// PluginInfo is what a node says of one plugin file or process.
type PluginInfo struct {
	Name       string // as the plugin reports it; the file's name when it never did
	Type       string // driver, device, network; "" unknown
	Version    string
	File       string // base name in plugin_dir
	SHA256     string
	Trust      string `json:",omitempty"` // what it rests on: "pinned", "signed by <key>"; empty when nothing was asked for
	State      string // discovered, verified, starting, ready, unhealthy, draining, retired, failed
	Reason     string
	PID        int
	Restarts   int
	StartedAt  int64 // seconds since 1970; 0 = no process
	Generation uint64
	Healthy    bool
	TaskCount  int
	UpdatedAt  int64 // of State and Reason, seconds
	// Usage is what its processes cost and did since the agent began. Only the node itself knows it; nil in what servers
	// keep.
	Usage *PluginUsage `json:",omitempty"`
}

// PluginUsage is measured when it is asked for.
type PluginUsage struct {
	MemoryBytes   uint64 // resident; 0 = not known or no process
	Calls         uint64 // by method below; sums here
	Errors        uint64
	Timeouts      uint64
	EventsDropped uint64 // task events over the limits
	Methods       []*PluginCalls
}

// PluginCalls counts the calls of one method of the plugin contract.
type PluginCalls struct {
	Method   string
	Calls    uint64 // begun
	InFlight int
	Errors   uint64 // that failed; those that the agent gave up are not counted
	Timeouts uint64 // of the errors: no answer within the deadline
	Refused  uint64 // not made, because too many waited
	// Seconds is the time of all calls that ended, Slowest that of the slowest; 0 for those that last as long as a task.
	Seconds, Slowest float64
	LastError        string `json:",omitempty"`
}

// HostVolumeInfo is a directory that a node offers.
type HostVolumeInfo struct {
	Name     string
	Path     string
	ReadOnly bool
	ID       string
}

// HostNetwork is a named set of addresses.
type HostNetwork struct {
	Name          string
	CIDR          string
	Interface     string
	ReservedPorts string
}

// NodeEvent is one line of a node's history.
type NodeEvent struct {
	Message     string
	Subsystem   string
	Details     map[string]string
	Timestamp   time.Time
	CreateIndex uint64
}

// MaxNodeEvents is how many events a node keeps.
const MaxNodeEvents = 10

// DrainStrategy empties a node.
type DrainStrategy struct {
	Deadline         time.Duration // < 0 force now, 0 none
	IgnoreSystemJobs bool
	ForceDeadline    time.Time
	StartedAt        time.Time
}

// DrainMetadata remembers the last drain.
type DrainMetadata struct {
	StartedAt  time.Time
	UpdatedAt  time.Time
	Status     string // draining, complete, canceled
	AccessorID string
	Meta       map[string]string
}

// NodePool groups nodes.
type NodePool struct {
	Name        string
	Description string
	Meta        map[string]string
	CreateIndex uint64
	ModifyIndex uint64
}

// Namespace separates jobs.
type Namespace struct {
	Name        string
	Description string
	Meta        map[string]string
	CreateIndex uint64
	ModifyIndex uint64
}
