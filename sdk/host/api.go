// Package host is the other side of the plugin contract: it launches or finds a plugin process and talks to it in the
// Go types of the author's packages. It is used by the plugin host, the conformance suite and tests.
//
// Every call takes a context. Calls that must be short get a deadline even if the context has none; those that last as
// long as a task does, or as long as the host listens, do not.
package host

import (
	"fmt"

	"github.com/droverhq/drover/sdk/driver"
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

// Extensions is what a plugin offers beyond the public contract; it is empty for plugins without the extension contract.
type Extensions struct {
	Names      []string
	SDKVersion string
	// StateVersion is the version of the task state that the plugin writes; 0 = not said.
	StateVersion int
}

// Has reports whether the plugin serves the extension.
func (e Extensions) Has(name string) bool {
	for _, n := range e.Names {
		if n == name {
			return true
		}
	}
	return false
}
