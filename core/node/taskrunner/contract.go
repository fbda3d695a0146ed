// Package taskrunner takes one task through its life: it prepares directories, logs, environment and configuration,
// starts the task through its driver, waits for its end, and starts it again as the restart policy says.
// It survives the end of the driver's process, and with the client state also that of the agent.
package taskrunner

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocdir"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/node/taskfiles/protocol"
	"github.com/droverhq/drover/core/node/template"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/schema"
)

// Driver is one process of a driver plugin. Once Done is closed every call fails with host.ErrPluginDown.
type Driver interface {
	Generation() uint64
	Done() <-chan struct{}
	Capabilities() driver.Capabilities
	EncodeTaskConfig(config map[string]any, vars *schema.Variables) ([]byte, error)
	StartTask(ctx context.Context, task *driver.TaskConfig) (*host.StartResult, error)
	RecoverTask(ctx context.Context, handle *driver.TaskHandle) error
	WaitTask(ctx context.Context, taskID string) (*driver.ExitResult, error)
	StopTask(ctx context.Context, taskID string, timeout time.Duration, signal string) error
	DestroyTask(ctx context.Context, taskID string, force bool) error
	InspectTask(ctx context.Context, taskID string) (*driver.TaskStatus, error)
	SignalTask(ctx context.Context, taskID, signal string) error
	Stats(ctx context.Context, taskID string, interval time.Duration, fn func(driver.TaskStats) error) error
	ExecTaskStreaming(ctx context.Context, req *driver.ExecRequest) (*driver.ExitResult, error)
}

// Drivers finds plugin processes by driver name.
type Drivers interface {
	// Driver is the process that takes new tasks. It waits while one is being launched.
	Driver(ctx context.Context, name string) (Driver, error)
	// DriverOf is the process for tasks that a generation started.
	DriverOf(ctx context.Context, name string, generation uint64) (Driver, error)
	// Subscribe delivers what drivers say about a task until cancel is called, which closes events.
	Subscribe(allocID, task string) (events <-chan driver.TaskEvent, cancel func())
}

// ErrNoDevice: no plugin offers the device now, or it is unhealthy. That may change: see Devices.DevicesChanged.
var ErrNoDevice = errors.New("device is not available")

// Devices makes devices usable in tasks.
type Devices interface {
	// ReserveDevices says what a task needs to use the devices. It may be repeated.
	ReserveDevices(ctx context.Context, d *model.AllocatedDevice) (*device.Reservation, error)
	// ReleaseDevices says that a task no longer uses them.
	ReleaseDevices(ctx context.Context, d *model.AllocatedDevice) error
	// DevicesChanged is closed when another answer of ReserveDevices is to be expected.
	DevicesChanged() <-chan struct{}
}

// Logs collects what tasks print.
type Logs interface {
	OpenStream(ctx context.Context, s tasklog.Stream) error
	CloseStream(ctx context.Context, id string) error
	Update(ctx context.Context, id string, l tasklog.Limits) error
}

// Fetcher downloads artifacts.
type Fetcher interface {
	// Fetch fetches one artifact into q.Dir. progress is called now and then; total 0 = unknown. Errors of class
	// taskfiles.ErrPermanent would come again.
	Fetch(ctx context.Context, q *protocol.Fetch, progress func(bytes, total int64)) error
}

// Cgroups makes the control groups that drivers are told of.
type Cgroups interface {
	// Prepare returns the directory for a task, made afresh; "" where the node has none.
	Prepare(allocID, task string, cores []uint16) (string, error)
	// Clean ends what is left in the task's group and removes it.
	Clean(allocID, task string) error
}

// Services is told when a task can be reached and when it no longer should be.
type Services interface {
	Register(task string, network *driver.NetworkOverride)
	Deregister(task string)
}

// Node is what all task runners of a node share.
type Node struct {
	Info        func() *model.Node // as registered; not to be changed
	Region      string
	Drivers     Drivers
	Devices     Devices
	DeviceWait  time.Duration     // how long a task that starts waits for its devices; 0 = 10 s
	Logs        Logs              // nil: output is not collected
	Renderer    template.Renderer // of templates; nil: there are none
	Catalog     template.Catalog  // what templates read of services
	Fetcher     Fetcher           // of artifacts; nil: there are none
	FetchLimits protocol.Limits
	// DeniedFunctions are those that templates may not call, patterns with *.
	DeniedFunctions []string
	Store           *statedb.Store
	Cgroups         Cgroups
	HostEnv         map[string]string
	CgroupParent    string
	MaxKillTimeout  time.Duration
	StopRetry       time.Duration   // first wait after a failed stop; 0 = 5 s
	UsableCompute   int64           // MHz
	Restoring       *sync.WaitGroup // counts tasks of client state that have not been looked for yet
	Contact         <-chan struct{} // closed once the servers have told what this node should run
	CheckedDrivers  map[string]bool // drivers whose tasks may not run as a denied user; nil: those that put tasks into a root of their own
	DeniedUsers     map[string]bool
	Now             func() time.Time
	Jitter          func() float64 // in [0, 1)
	Logger          hclog.Logger
}

// Config is one task.
type Config struct {
	*Node
	Alloc    *model.Allocation // with its Job
	Task     *model.Task
	Dir      allocdir.Dir
	Services Services
	Network  *driver.NetworkIsolation
	// Stored is what client state has of the task; nil for a new one. State likewise.
	Stored *statedb.Task
	State  *model.TaskState
	// Changed is called after every change of the task's state, from the task's own goroutine.
	Changed func()
}
