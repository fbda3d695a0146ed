package driver

// NetworkMode says whose network namespace a task lives in. The numbers are the wire's.
type NetworkMode int32

// The network modes.
const (
	NetworkHost  NetworkMode = 0 // the node's
	NetworkGroup NetworkMode = 1 // one per allocation, shared by its tasks
	NetworkTask  NetworkMode = 2 // the driver's own business
	NetworkNone  NetworkMode = 3 // loopback only
)

// String returns the name used in reports: host, group, task or none.
func (m NetworkMode) String() string { return nameOf(int(m), "host", "group", "task", "none") }

// NetworkIsolation describes the network namespace a task has to join.
type NetworkIsolation struct {
	Mode NetworkMode
	// Path is the namespace's file, such as /var/run/netns/<alloc id>.
	Path string
	// Labels are private to the driver that made the namespace.
	Labels map[string]string
	// Hosts is nil if the host knows no entry for the task's hosts file.
	Hosts *HostsConfig
}

// HostsConfig is the entry of the task's hosts file.
type HostsConfig struct {
	Hostname string
	Address  string
}

// NetworkOverride is what a driver knows better than the host about where a task listens.
type NetworkOverride struct {
	PortMap       map[string]int // label -> port inside the task
	Addr          string         // the task's IP
	AutoAdvertise bool           // services without an address mode register Addr
}

// CreateNetworkRequest asks for an allocation's network namespace.
type CreateNetworkRequest struct {
	AllocID  string
	Hostname string
}

// CreateNetworkResponse carries the namespace. Created is false if it existed already.
type CreateNetworkResponse struct {
	Network *NetworkIsolation
	Created bool
}

// DestroyNetworkRequest asks to remove a namespace. Network is nil if the host no longer knows it.
type DestroyNetworkRequest struct {
	AllocID string
	Network *NetworkIsolation
}

// nameOf picks a name by number and keeps unknown numbers readable: a newer peer may send them.
func nameOf(n int, names ...string) string {
	if n >= 0 && n < len(names) {
		return names[n]
	}
	return "unknown"
}
