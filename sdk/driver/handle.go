package driver

import "time"

// TaskState is what a driver says about a task's life. It is informational: Unknown is common and not a failure.
type TaskState int32

// The task states.
const (
	TaskUnknown TaskState = 0
	TaskRunning TaskState = 1
	TaskExited  TaskState = 2
)

// String returns unknown, running or exited.
func (s TaskState) String() string { return nameOf(int(s), "unknown", "running", "exited") }

// TaskHandle is what the host stores about a started task and gives back, byte for byte, when the task is to be
// recovered by a new plugin process. It contains the task's environment and with it secrets: keep it in a file of mode
// 0600.
type TaskHandle struct {
	// Version is the driver's own version of DriverState; 0 is reserved.
	Version int
	// Config may differ from the config the task was started with: drivers add to it.
	Config      TaskConfig
	State       TaskState
	DriverState []byte
}

// ExitResult is how a task ended.
type ExitResult struct {
	ExitCode  int
	Signal    int // number of the signal that ended the task, 0 if none; ExitCode is then 128+Signal by convention
	OOMKilled bool
	// Err is set if the driver could not find out how the task ended.
	Err string
}

// Successful reports whether the task ended as it should: exit code 0, no signal, no error.
func (r *ExitResult) Successful() bool { return r.ExitCode == 0 && r.Signal == 0 && r.Err == "" }

// TaskStatus is a snapshot of one task for tools; the host's own loop does not use it.
type TaskStatus struct {
	ID          string
	Name        string
	State       TaskState
	StartedAt   time.Time
	CompletedAt time.Time // zero while the task runs
	Exit        *ExitResult
	// Attributes are the driver's own facts about the task, such as a pid or a container id.
	Attributes map[string]string
	// Network is nil unless the driver overrides where the task listens.
	Network *NetworkOverride
}

// TaskEvent is a line about a task that its user should see, such as the progress of an image pull.
type TaskEvent struct {
	TaskID      string
	AllocID     string
	TaskName    string
	Timestamp   time.Time
	Message     string
	Annotations map[string]string
}
