// Package executor runs and supervises operating system processes for task
// drivers. What it runs outlives the driver's own process: a task belongs to a
// keeper (package keeper), and everything needed to find it again is in its
// [State], which a driver stores with the task's handle.
//
//	sup := executor.New(executor.Config{Driver: "raw_exec"})
//	p, err := sup.Start(ctx, executor.Command{...})   // the program runs
//	state := p.State()                                // goes into the handle
//	...                                               // the driver is killed, a new one starts
//	p, err = sup.Recover(ctx, state)                  // the same process
//	exit, err := p.Wait(ctx)                          // its true exit
//	err = p.Destroy(ctx)                              // nothing is left
//
// A driver's main calls [Main] first, which makes the same binary serve as the
// keeper and answers the offline clean-up verb.
package executor

import (
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-exec/executor/cgroup"
	"github.com/droverhq/drover/drivers-exec/executor/launch"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
)

// Config makes a Supervisor.
type Config struct {
	// Driver names the keeper's directory and log lines.
	Driver string
	// KeeperCommand starts a keeper; nil is this program with keeper.Verb.
	KeeperCommand []string
	// Logger takes what an operator would act on; nil discards it.
	Logger hclog.Logger
}

// Command is a process to be started.
type Command struct {
	// ID is the task's id: unique for each start.
	ID string
	// Dir is the keeper's directory, see [KeeperDir].
	Dir string
	// Spec is the program and its surroundings, without cgroup and files.
	Spec launch.Spec
	// Stdout and Stderr are FIFOs or the null device. They are opened for
	// reading and writing, so that no death of a reader closes them.
	Stdout, Stderr string
	// Group is where it runs; it is removed by Destroy, and by a failed Start.
	Group cgroup.Group
}

// State is all that is needed to find a task again, by any later process of
// the driver. It is stored with the task's handle: fields are only added.
type State struct {
	ID      string
	Proc    proc.ID
	Started time.Time
	Dir     string
	Group   cgroup.Group
	Inside  Inside
}

// Inside is what a command run within the task shares with it.
type Inside struct {
	Namespaces      launch.Namespaces
	User            *launch.User
	Capabilities    *uint64
	NoNewPrivileges bool
	Seccomp         bool
	NoFile          *launch.Limit
	Dir             string
}

// ErrEnded is returned for a signal or session when the task runs no more.
var ErrEnded = errors.New("the task has ended")
