package model

// Resources is what a task asks for.
type Resources struct {
	CPU         int // MHz; 0 when Cores is set
	Cores       int
	MemoryMB    int
	MemoryMaxMB int // 0 none, -1 no limit
	SecretsMB   int
	DiskMB      int
	IOPS        int
	Networks    []*Network // legacy task networks
	Devices     []*RequestedDevice
	NUMA        *NUMA
}

// NUMA is part of Resources.
type NUMA struct {
	Affinity string
	Devices  []string
}

// RequestedDevice asks for device instances by "type", "vendor/type" or "vendor/type/name".
type RequestedDevice struct {
	Name        string
	Count       uint64
	Constraints []Constraint
	Affinities  []Affinity
}

// Network modes that the core knows; others name a network plugin's network.
const (
	NetworkModeHost   = "host"
	NetworkModeBridge = "bridge"
	NetworkModeNone   = "none"
)

// Network is a group's network. ReservedPorts and DynamicPorts are as asked; an allocation's ports are in
// AllocatedPorts.
type Network struct {
	Mode          string
	Device        string
	CIDR          string
	IP            string
	Hostname      string
	MBits         int
	DNS           *DNSConfig
	CNI           *CNIConfig
	ReservedPorts []Port
	DynamicPorts  []Port
}

// CNIConfig passes arguments to the network's configuration.
type CNIConfig struct {
	Args map[string]string
}

// DNSConfig is the content of a task's resolv.conf.
type DNSConfig struct {
	Servers  []string
	Searches []string
	Options  []string
}

// Port asks for (or, in a legacy network, is) a port.
type Port struct {
	Label           string
	Value           int // static port, or the one assigned
	To              int // -1: same as the host port
	HostNetwork     string
	IgnoreCollision bool
}

// AllocatedResources is what an allocation was given.
type AllocatedResources struct {
	Tasks          map[string]*AllocatedTaskResources
	TaskLifecycles map[string]*Lifecycle
	Shared         AllocatedSharedResources
}

// AllocatedTaskResources is one task's part.
type AllocatedTaskResources struct {
	Cpu      AllocatedCpu
	Memory   AllocatedMemory
	Networks []*Network
	Devices  []*AllocatedDevice
}

// AllocatedCpu is in MHz; ReservedCores are core ids that no other task gets.
type AllocatedCpu struct {
	CpuShares     int64
	ReservedCores []uint16
}

// AllocatedMemory is in MB.
type AllocatedMemory struct {
	MemoryMB    int64
	MemoryMaxMB int64
}

// AllocatedDevice names the instances a task was given.
type AllocatedDevice struct {
	Vendor    string
	Type      string
	Name      string
	DeviceIDs []string
}

// AllocatedSharedResources belong to the whole allocation.
type AllocatedSharedResources struct {
	DiskMB   int64
	Networks []*Network
	Ports    []AllocatedPort
}

// AllocatedPort is a host port given to an allocation.
type AllocatedPort struct {
	Label           string
	Value           int
	To              int
	HostIP          string
	IgnoreCollision bool
}

// ComparableResources is a sum over tasks: what counts against a node.
type ComparableResources struct {
	CPUShares int64 // MHz
	MemoryMB  int64
	DiskMB    int64
	Cores     []uint16
}

// Comparable sums up what the allocation needs at any one time: prestart tasks, main tasks and poststop tasks do not
// run together, so each dimension counts the largest of the three phases.
func (r *AllocatedResources) Comparable() ComparableResources {
	var pre, main, post ComparableResources
	add := func(c *ComparableResources, t *AllocatedTaskResources) {
		c.CPUShares += t.Cpu.CpuShares
		c.MemoryMB += t.Memory.MemoryMB
		c.Cores = append(c.Cores, t.Cpu.ReservedCores...)
	}
	var cores []uint16
	for name, t := range r.Tasks {
		cores = append(cores, t.Cpu.ReservedCores...)
		lc := r.TaskLifecycles[name]
		switch {
		case lc == nil || lc.Hook == LifecyclePoststart:
			add(&main, t)
		case lc.Hook == LifecyclePrestart && lc.Sidecar:
			add(&pre, t)
			add(&main, t)
		case lc.Hook == LifecyclePrestart:
			add(&pre, t)
		default:
			add(&post, t)
		}
	}
	return ComparableResources{
		CPUShares: max(pre.CPUShares, main.CPUShares, post.CPUShares),
		MemoryMB:  max(pre.MemoryMB, main.MemoryMB, post.MemoryMB),
		DiskMB:    r.Shared.DiskMB,
		Cores:     cores,
	}
}
