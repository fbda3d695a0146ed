// Package host is the other side of the plugin contract: it launches or finds a plugin process and talks to it in the
// Go types of the author's packages. It is used by the plugin host, the conformance suite and tests.
package host

import (
	"errors"
	"fmt"

	"github.com/droverhq/drover/sdk/driver"
)

// The classes of errors that calls return, for errors.Is. A recoverable start failure is found with
// driver.IsRecoverable.
var (
	// ErrTaskNotFound: the plugin does not know the task. Stop and Destroy may count it as done.
	ErrTaskNotFound = driver.ErrTaskNotFound
	// ErrPluginDown: the plugin's process or its connection is gone. The call may have been carried out.
	ErrPluginDown = driver.ErrPluginDown
	// ErrUnimplemented: the plugin does not have the method.
	ErrUnimplemented = errors.New("the plugin does not implement this")
	// ErrNoHandshake: the process did not introduce itself as a plugin of a version we speak.
	ErrNoHandshake = errors.New("no usable plugin handshake")
)

// Reattach is what must be stored to find a running plugin again.
type Reattach struct {
	Protocol string // "grpc"
	Network  string // "unix" or "tcp"
	Addr     string
	Pid      int
}

// String shows the record for logs.
func (r Reattach) String() string { return fmt.Sprintf("%s://%s (pid %d)", r.Network, r.Addr, r.Pid) }

// StartResult is what a started task came back with. Store the handle before the task counts as running.
type StartResult struct {
	Handle  driver.TaskHandle
	Network *driver.NetworkOverride
}

// ExecResult is the outcome of a short command in a task.
type ExecResult struct {
	Stdout, Stderr []byte
	Exit           driver.ExitResult
}
