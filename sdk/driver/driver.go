package driver

import (
	"context"
	"io"
	"time"
)

// Driver runs tasks in some runtime: processes, containers, virtual machines. C is the task's config block as a struct
// with `config` tags (see package schema); S is whatever the driver needs to find a running task again.
//
// # Vocabulary
//
//   - The host is the agent on this node. It launches the plugin, talks to it over one connection, and may die and come
//     back with a new connection at any time.
//   - The plugin is the process this code runs in. It may be killed at any time too.
//   - A task is one run of one task of a job. Its id is new for every attempt. Tasks belong to neither process: they
//     run on when plugin and host are dead.
//   - The state S is stored by the host with the task and handed to Recover. It is all that a new plugin process knows.
//
// # A task's life
//
//	Fingerprint            the driver is healthy, tasks may come
//	Start  -> state        the task runs; the host stores the state
//	Wait                   blocks until the task ends
//	Stop                   somebody wants it to end: signal, wait, force; Wait returns
//	Destroy                always called after the end: forget the task, remove what it left
//
// The plugin was killed, or upgraded, while the task ran:
//
//	Fingerprint
//	Recover(state)         find the task again; nothing is started or ended
//	Wait                   as before, with the true exit code even if the task ended in between
//
// Only the agent restarted: the same process gets a new connection. Nothing is called, the SDK knows the tasks.
//
// The host gave up on Start (ctx ended), or the SDK could not encode the state:
//
//	Destroy(force)         the task runs, and nobody will ask for it
//
// The plugin was killed while Start ran, so that nobody knows whether the task runs:
//
//	Fingerprint
//	Start                  again with the same id, once: return the task that an earlier process began, if there is one
//
// Recover failed: the host calls nothing more for the task, and starts it anew when its job wants it. So it must fail
// only if the task is gone or can never be looked after again, and say which.
//
// # Easily got wrong
//
//   - Nothing may be printed to stdout before Serve: its first line is the plugin's introduction.
//   - StdoutPath and StderrPath go to the task itself. Copied through this process they end with it, and opening them
//     here blocks until the host reads.
//   - A pid alone is no identity. Keep the start time with it, and compare before every signal.
//   - A child of this process inherits ignored signals and open files: give tasks a session of their own.
//   - Several processes of the plugin run at once, to check a configuration or while one replaces the other: no fixed
//     ports, no lock for the process' whole life.
//
// # What the SDK does for you
//
// It decodes C and S, calls Fingerprint at once and then periodically, calls Wait once per task and gives the result
// to every caller, refuses a second start of the same id, answers for tasks that have ended, samples statistics, sends
// events to every listener, and turns errors into what hosts expect. A driver is called concurrently, for different
// tasks and for the same one; per task the SDK never calls two of Start, Recover and Destroy at the same time.
//
// Everything else a driver may be able to do is an interface of its own, With...; implementing it is enough.
type Driver[C, S any] interface {
	// Fingerprint looks at the node: is the runtime there and usable? It is called as soon as a host listens and then
	// every 30 s (see WithFingerprintInterval); it should answer within a second and must not start anything. An error
	// means that the attempt failed and makes the driver unhealthy with the error as description.
	Fingerprint(ctx context.Context) (*Fingerprint, error)

	// Start starts the task and returns as soon as it runs; it never waits for its end. If it fails it must leave
	// nothing behind: Destroy is not called. Mark errors that another attempt may cure with Recoverable. The task must
	// not depend on this process: give it its own session and let it write to StdoutPath and StderrPath itself.
	// ctx ends when the host gives up; the SDK then destroys what was started, because nobody will ask for it.
	Start(ctx context.Context, req *StartRequest[C]) (*StartResponse[S], error)

	// Recover finds the task again from its state after the plugin was restarted. It succeeds for a task that has
	// ended in the meantime if Wait can tell how; otherwise it fails and leaves the task alone. It never starts and
	// never ends a task. Check the identity of what was found, not only its pid. It is called before any other method
	// for the task, once per process: the SDK answers for tasks that it knows.
	Recover(ctx context.Context, req *RecoverRequest[C, S]) error

	// Wait blocks until the task ends and returns how. The SDK calls it once for each started or recovered task and
	// ends ctx when the result no longer matters; Wait then returns ctx.Err() and the task lives on. It also returns
	// when the task is destroyed: Destroy allows it 2 s, so that those who wait learn how the task ended. An error means
	// that the task has ended and nobody can tell how.
	Wait(ctx context.Context, taskID string) (*ExitResult, error)

	// Stop ends the task: it sends the signal, waits for up to the timeout and then kills. It returns when the task is
	// dead or the kill is sent. The driver still knows the task afterwards, and a repeated call is harmless: hosts
	// repeat one that failed, for minutes. The SDK does not call it for tasks whose end Wait has reported, but the task
	// may end meanwhile, which is no error. ctx may end first; the task is then left as it is.
	Stop(ctx context.Context, req *StopRequest) error

	// Destroy forgets the task and removes what it left behind: helpers, cgroups, containers. With Force it first kills
	// a task that still runs; the SDK never calls it for a running task without Force. It must be safe to repeat after
	// it failed halfway: the SDK forgets the task only when it succeeded. Nothing is called for the task afterwards.
	Destroy(ctx context.Context, req *DestroyRequest) error
}

// Info is what is known about a driver before it runs.
type Info struct {
	Name    string // as in a job's driver = "name"
	Version string // semantic version of the driver

	FSIsolation          FSIsolation   // what tasks see of the node's files; decides the paths in their environment
	NetworkModes         []NetworkMode // those that tasks can join; the host's is always accepted
	NoMounts             bool          // volumes cannot be mounted; tasks that ask for one are refused
	DisableLogCollection bool          // the driver keeps logs itself; tasks get the null device for output
	DynamicUsers         bool          // tasks without a user may get a leased one, "nomad-<uid>"
}

// StartRequest asks for a task to be started.
type StartRequest[C any] struct {
	Task   *TaskConfig
	Config C
	// Emit shows a line to the task's user. It never blocks and may be kept until the task is destroyed.
	Emit EmitFunc
}

// EmitFunc sends an event about one task to every host that listens. Annotations may be nil.
type EmitFunc func(message string, annotations map[string]string)

// StartResponse describes a task that runs.
type StartResponse[S any] struct {
	State S
	// Network is nil unless the driver knows better than the host where the task listens.
	Network *NetworkOverride
	// Task is the task's config as the driver changed it, to be stored with the handle; nil = as it was sent.
	Task *TaskConfig
}

// RecoverRequest hands a stored task to a new plugin process.
type RecoverRequest[C, S any] struct {
	Task   *TaskConfig
	Config C
	State  S
	// StateVersion and RawState are what the task was stored with: the version is that of WithStateVersion, 1 without
	// it. If the driver that stored them was older, State holds the fields that both know.
	StateVersion int
	RawState     []byte
	Emit         EmitFunc
}

// StopRequest asks for a task to end.
type StopRequest struct {
	TaskID  string
	Timeout time.Duration // how long the task may take after the signal
	Signal  string        // such as "SIGTERM"; empty = the driver's default
}

// DestroyRequest asks to forget a task.
type DestroyRequest struct {
	TaskID string
	Force  bool
}

// WithConfig is for drivers that take configuration of their own, from the agent's plugin block. Return
// Configure(d.configure).
type WithConfig interface {
	Config() ConfigHandler
}

// WithInit is for drivers that need a step between configuration and the first task.
type WithInit interface {
	// Init is called after the configuration is set, and again by every agent that comes back to this process: it must
	// be repeatable. An error makes the driver unusable until the next launch.
	Init(ctx context.Context) error
}

// WithShutdown is for drivers that want to know that the host is about to end the plugin. Tasks run on. It has 2 s.
type WithShutdown interface {
	Shutdown(ctx context.Context) error
}

// WithFingerprintInterval changes how often Fingerprint is called.
type WithFingerprintInterval interface {
	// FingerprintInterval is asked once per stream; 0 and less mean 30 s.
	FingerprintInterval() time.Duration
}

// WithFingerprintTrigger lets a driver have Fingerprint called when something changed, by sending on the channel.
type WithFingerprintTrigger interface {
	// FingerprintTrigger is asked once. Send without blocking: the SDK reads promptly, but only while the plugin serves.
	FingerprintTrigger() <-chan struct{}
}

// WithCapabilities corrects what the SDK derived, for drivers whose abilities depend on the platform or their
// configuration.
type WithCapabilities interface {
	Capabilities(derived Capabilities) Capabilities
}

// WithSignals is for drivers that can send a signal to a task. Names are passed through unchecked: a driver may define
// its own, and refuses those it does not know.
type WithSignals interface {
	// Signal returns when the signal is sent. The SDK calls it only for tasks that it knows; one that has ended is
	// ErrTaskNotFound.
	Signal(ctx context.Context, req *SignalRequest) error
}

// SignalRequest asks for a signal.
type SignalRequest struct {
	TaskID string
	Signal string // such as "SIGHUP"
}

// WithExec is for drivers that can run a command inside a task, with or without a terminal. The SDK also builds the
// short form from it that script checks use.
type WithExec interface {
	// Exec runs the command to its end, with the task's view of files, network and users. It returns an error only if
	// the command could not be run; a command that fails is a result. When ctx ends the command and what it started
	// must be killed. Return after the last output was written. It is called concurrently for the same task.
	Exec(ctx context.Context, req *ExecRequest) (*ExitResult, error)
}

// ExecRequest asks for a command inside a task.
type ExecRequest struct {
	TaskID  string
	Command []string // argv
	TTY     bool
	Stdin   io.Reader // never nil; at EOF at once if there is no input
	Stdout  io.Writer
	Stderr  io.Writer // not used with TTY
	// Resize delivers the size of the user's terminal; it is closed at the end. Nil without TTY.
	Resize <-chan TerminalSize
}

// TerminalSize is a terminal's size in characters.
type TerminalSize struct {
	Height, Width int
}

// WithStats is for drivers that can measure a task.
type WithStats interface {
	// Stats returns one sample. The SDK asks at once and then in the interval the host wants, until the task ends; of
	// the result only what Measured lists counts. Processor use is since the previous sample, so keep that per task. It
	// should answer within a tenth of a second. Return ErrStatsNotSupported if it can never work; hosts ask again after
	// any other error.
	Stats(ctx context.Context, taskID string) (*TaskStats, error)
}

// WithInspect adds a driver's own facts to a task's status.
type WithInspect interface {
	// Inspect is called for running and for ended tasks, until Destroy. Nil adds nothing.
	Inspect(ctx context.Context, taskID string) (*Inspection, error)
}

// Inspection is what a driver adds to a task's status.
type Inspection struct {
	// StartedAt is when the task really started; after a recovery the SDK knows only when it was recovered.
	StartedAt time.Time
	// CompletedAt is when the task really ended, which may be long before this process learned of it; zero = as the SDK
	// noticed it. It does not count while the task runs.
	CompletedAt time.Time
	Attributes  map[string]string
	Network     *NetworkOverride
}

// WithNetwork is for drivers that must make the network namespace themselves, because their runtime cannot join one by
// path.
type WithNetwork interface {
	// CreateNetwork makes the allocation's namespace. It must be idempotent: an existing one is returned with Created
	// false.
	CreateNetwork(ctx context.Context, req *CreateNetworkRequest) (*CreateNetworkResponse, error)
	// DestroyNetwork removes it. It succeeds for allocations the driver does not know.
	DestroyNetwork(ctx context.Context, req *DestroyNetworkRequest) error
}

// WithStateVersion names the version of S, for drivers that changed it. Without it the version is 1.
type WithStateVersion interface {
	// StateVersion is 1 or more; 0 is reserved. Recover gets the version that a task was stored with.
	StateVersion() int
}

// WithHandOver is for drivers whose tasks can pass to a newer version of the plugin while this process still runs.
// Without it the versions live side by side until the old one's tasks have ended. It costs nothing where the state says
// all that there is to know of a task:
//
//	func (d *Driver) Release(ctx context.Context, taskID string) error { return nil }
//
// In an upgrade the SDK waits for calls under way, ends every Wait and calls Release for each task that runs; the new
// process is then given all tasks by Recover and starts tasks only after that; this process ends. Commands that run
// inside tasks are let finish. If the new process cannot recover one of them it is ended, and Recover is called here for
// every task, as if this process had just begun.
type WithHandOver interface {
	// Release lets go of a task: whatever this process does for it (copy its output, renew something) ends before it
	// returns, with cursors stored where Recover finds them. Nothing of the task is ended or removed. The driver may
	// keep what it knows of the task: a Recover that follows replaces that. An error stops the upgrade. It should
	// return within 100 ms, because no task is started meanwhile.
	Release(ctx context.Context, taskID string) error
}
