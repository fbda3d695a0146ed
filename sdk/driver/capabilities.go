package driver

// FSIsolation says what a task sees of the node's file system. The numbers are the wire's.
type FSIsolation int32

// The levels of file system isolation.
const (
	FSNone   FSIsolation = 0 // the node's own files; directories in the environment are host paths
	FSChroot FSIsolation = 1 // a root below the task's directory
	FSImage  FSIsolation = 2 // a root from an image; the driver mounts /alloc, /local and /secrets
	FSUnveil FSIsolation = 3 // the node's files, restricted to what is unveiled
)

// String returns none, chroot, image or unveil.
func (f FSIsolation) String() string { return nameOf(int(f), "none", "chroot", "image", "unveil") }

// Capabilities is what a driver can do. The SDK derives SendSignals, Exec and MustCreateNetwork from the interfaces a
// driver implements and takes the rest from its Info; WithCapabilities may correct the result.
type Capabilities struct {
	SendSignals          bool
	Exec                 bool
	FSIsolation          FSIsolation
	NetworkModes         []NetworkMode
	MustCreateNetwork    bool
	NoMounts             bool // the driver cannot mount volumes into tasks
	DisableLogCollection bool // the driver keeps logs itself; the host makes no FIFOs
	DynamicUsers         bool // the host may lease a uid for tasks that name no user
}
