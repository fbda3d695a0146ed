package driver

import "path/filepath"

// TaskConfig is everything the host tells a driver about one task: what a job file says about it, resolved for this
// node and this start. It travels with the task's handle, so a driver gets it back unchanged when it recovers the task.
type TaskConfig struct {
	// ID is unique for every start attempt: "<alloc id>/<task name>/<8 hex>".
	ID          string
	Name        string // task name in the job file
	TaskGroup   string
	JobID       string
	JobName     string
	ParentJobID string // job that this one was dispatched or launched from; hosts may leave it empty
	Namespace   string
	AllocID     string
	NodeName    string
	NodeID      string

	// DriverConfig is the task's config block, msgpack, as the driver's schema shaped it. Drivers get it decoded.
	DriverConfig []byte

	// Env is the complete environment of the task. DeviceEnv is the part of Env that device plugins contributed.
	Env       map[string]string
	DeviceEnv map[string]string

	Resources Resources
	Mounts    []Mount
	Devices   []Device

	// User is an account name, "nomad-<uid>" for a leased dynamic uid, or empty for the driver's default.
	User string

	// AllocDir is the allocation's directory on the host; TaskDir and the others derive from it.
	AllocDir string

	// StdoutPath and StderrPath are FIFOs (named pipes on Windows) or the null device. They must be opened for writing
	// even if the task never prints, and on Unix opening blocks until the host reads.
	StdoutPath string
	StderrPath string

	// Network is nil for host networking.
	Network *NetworkIsolation
	// DNS is nil if the task uses the node's resolver.
	DNS *DNS
}

// TaskDir is the task's own directory: working directory and root of local, secrets and tmp.
func (c *TaskConfig) TaskDir() string { return filepath.Join(c.AllocDir, c.Name) }

// LocalDir is the task's private scratch directory.
func (c *TaskConfig) LocalDir() string { return filepath.Join(c.TaskDir(), "local") }

// SecretsDir is the task's directory for secrets; it is in memory where the host can arrange it.
func (c *TaskConfig) SecretsDir() string { return filepath.Join(c.TaskDir(), "secrets") }

// SharedDir is the directory that all tasks of the allocation share.
func (c *TaskConfig) SharedDir() string { return filepath.Join(c.AllocDir, "alloc") }

// Resources is what the scheduler gave the task.
type Resources struct {
	CPUShares   int64 // MHz
	MemoryMB    int64 // MiB
	MemoryMaxMB int64 // MiB; 0 = same as MemoryMB, -1 = unlimited

	// Ports are the group's ports. Nil means the group asked for none.
	Ports []Port
	// Networks are task-level networks, a legacy form of asking for ports.
	Networks []Network

	Linux LinuxResources
}

// LinuxResources are the same figures in the units that Linux control groups use.
type LinuxResources struct {
	CPUPeriod        int64 // µs, 0 = no limit asked
	CPUQuota         int64 // µs, 0 = no limit asked
	CPUShares        int64 // MHz
	MemoryLimitBytes int64 // max(memory, memory_max)
	OOMScoreAdj      int64
	CpusetCpus       string // "2,3"; empty unless cores are reserved
	// CpusetCgroup is the cgroup directory that the host made for the task, with its controllers enabled; empty where
	// there is none.
	CpusetCgroup string
	PercentTicks float64 // share of the node's usable compute, 0..1
}

// Port is a group port: Value on the host reaches To inside the task (0 = the same number).
type Port struct {
	Label  string
	Value  int
	To     int
	HostIP string
}

// Network is a task-level network.
type Network struct {
	Device        string
	CIDR          string
	IP            string
	MBits         int
	ReservedPorts []NetworkPort
	DynamicPorts  []NetworkPort
}

// NetworkPort is a labelled port of a task-level network.
type NetworkPort struct {
	Label string
	Value int
}

// Mount binds a host path into the task.
type Mount struct {
	TaskPath     string
	HostPath     string
	Readonly     bool
	Propagation  string // "private", "host-to-task", "bidirectional" or empty
	SELinuxLabel string
	RequestName  string // name of the volume in the job's volume_mount, if it is one
}

// Device gives the task access to a host device.
type Device struct {
	TaskPath    string
	HostPath    string
	Permissions string // subset of "rwm"
}

// DNS is the resolver configuration the task should see.
type DNS struct {
	Servers  []string
	Searches []string
	Options  []string
}
