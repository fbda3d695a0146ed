// Package event makes the lines of a task's history: their types and texts are what existing tools show and look for.
package event

import (
	"fmt"
	"strconv"
	"time"

	"github.com/droverhq/drover/core/model"
)

// New makes an event whose text is message.
func New(kind string, now time.Time, message string) *model.TaskEvent {
	return &model.TaskEvent{Type: kind, Time: now.UnixNano(), Message: message, DisplayMessage: message, Details: map[string]string{}}
}

// Received: the node has the allocation.
func Received(now time.Time) *model.TaskEvent {
	return display(New(model.EventReceived, now, ""), "Task received by client")
}

// Setup reports a step before the start.
func Setup(now time.Time, message string) *model.TaskEvent {
	return New(model.EventTaskSetup, now, message)
}

// Started: the driver has started the task.
func Started(now time.Time) *model.TaskEvent {
	return display(New(model.EventStarted, now, ""), "Task started by client")
}

// Driver passes on what a driver has to say.
func Driver(at time.Time, message string, details map[string]string) *model.TaskEvent {
	e := display(New(model.EventDriver, at, ""), message)
	e.DriverMessage = message
	for k, v := range details {
		e.Details[k] = v
	}
	e.Details["driver_message"] = message
	return e
}

// Device says something of a device that the task holds or waits for.
func Device(now time.Time, message string) *model.TaskEvent {
	return New(model.EventHookMessage, now, message)
}

// DriverFailure: the driver could not start the task.
func DriverFailure(now time.Time, err error) *model.TaskEvent {
	e := display(New(model.EventDriverFailure, now, ""), err.Error())
	e.DriverError = err.Error()
	e.Details["driver_error"] = err.Error()
	return e
}

// FailedValidation: the task cannot run as specified.
func FailedValidation(now time.Time, err error) *model.TaskEvent {
	e := display(New(model.EventFailedValidation, now, ""), err.Error())
	e.ValidationError = err.Error()
	e.Details["validation_error"] = err.Error()
	e.FailsTask = true
	return e
}

// ArtifactFailed: an artifact could not be fetched.
func ArtifactFailed(now time.Time, err error) *model.TaskEvent {
	e := display(New(model.EventArtifactFailed, now, ""), err.Error())
	e.DownloadError = err.Error()
	e.Details["download_error"] = err.Error()
	return e
}

// SetupFailure: something before the start went wrong.
func SetupFailure(now time.Time, err error) *model.TaskEvent {
	e := display(New(model.EventSetupFailure, now, ""), err.Error())
	e.SetupError = err.Error()
	e.Details["setup_error"] = err.Error()
	e.FailsTask = true
	return e
}

// Exit says how a task ended.
type Exit struct {
	Code      int
	Signal    int
	OOMKilled bool
	Err       string
}

// Terminated: the task has ended.
func Terminated(at time.Time, x Exit) *model.TaskEvent {
	text := "Exit Code: " + strconv.Itoa(x.Code)
	if x.Signal != 0 {
		text += ", Signal: " + strconv.Itoa(x.Signal)
	}
	if x.OOMKilled {
		text += ", Out of memory"
	}
	if x.Err != "" {
		text += fmt.Sprintf(", Exit Message: %q", x.Err)
	}
	e := display(New(model.EventTerminated, at, x.Err), text)
	e.ExitCode, e.Signal = x.Code, x.Signal
	e.Details["exit_code"] = strconv.Itoa(x.Code)
	e.Details["signal"] = strconv.Itoa(x.Signal)
	e.Details["oom_killed"] = strconv.FormatBool(x.OOMKilled)
	if x.Err != "" {
		e.Details["exit_message"] = x.Err
	}
	return e
}

// Restarting: the task will start again after the delay. reason may be empty.
func Restarting(now time.Time, delay time.Duration, reason string) *model.TaskEvent {
	text := "Task restarting in " + delay.String()
	if reason != "" {
		text = reason + " - " + text
	}
	e := display(New(model.EventRestarting, now, ""), text)
	e.RestartReason, e.StartDelay = reason, int64(delay)
	e.Details["restart_reason"] = reason
	e.Details["start_delay"] = strconv.FormatInt(int64(delay), 10)
	return e
}

// NotRestarting: the task has failed for good.
func NotRestarting(now time.Time, reason string) *model.TaskEvent {
	e := display(New(model.EventNotRestarting, now, ""), reason)
	e.RestartReason = reason
	e.Details["restart_reason"] = reason
	e.Details["fails_task"] = "true"
	e.FailsTask = true
	return e
}

// RestartSignaled: somebody asked for a restart.
func RestartSignaled(now time.Time, reason string) *model.TaskEvent {
	text := reason
	if text == "" {
		text = "Task signaled to restart"
	}
	e := display(New(model.EventRestartSignaled, now, ""), text)
	e.RestartReason = reason
	return e
}

// Signaling: a signal is sent to the task.
func Signaling(now time.Time, signal, reason string) *model.TaskEvent {
	text := "Task being sent signal " + signal
	if reason != "" {
		text += ": " + reason
	}
	e := display(New(model.EventSignaling, now, ""), text)
	e.TaskSignal, e.TaskSignalReason = signal, reason
	e.Details["signal"] = signal
	return e
}

// Killing: the task is being ended; timeout is what it is given.
func Killing(now time.Time, timeout time.Duration, reason string) *model.TaskEvent {
	text := "Sent interrupt. Waiting " + timeout.String() + " before force killing"
	if reason != "" {
		text = "Killing task: " + reason
	}
	e := display(New(model.EventKilling, now, ""), text)
	e.KillReason, e.KillTimeout = reason, timeout
	e.Details["kill_timeout"] = timeout.String()
	if reason != "" {
		e.Details["kill_reason"] = reason
	}
	return e
}

// Killed: the task is dead. err is what the driver had to say about it, nil mostly.
func Killed(now time.Time, err error) *model.TaskEvent {
	e := display(New(model.EventKilled, now, ""), "Task successfully killed")
	if err != nil {
		e.KillError = err.Error()
		e.DisplayMessage = err.Error()
		e.Details["kill_error"] = err.Error()
	}
	return e
}

// WaitingShutdown: the task is given time after its services are gone.
func WaitingShutdown(now time.Time, delay time.Duration) *model.TaskEvent {
	return New(model.EventWaitingShutdown, now, "Waiting for shutdown_delay of "+delay.String()+" before killing the task.")
}

// SkippingShutdown: the delay does not apply to this stop.
func SkippingShutdown(now time.Time, delay time.Duration) *model.TaskEvent {
	return New(model.EventSkippingShutdown, now, "Skipping shutdown_delay of "+delay.String()+".")
}

// SiblingFailed: another task of the allocation failed.
func SiblingFailed(now time.Time, sibling string) *model.TaskEvent {
	e := display(New(model.EventSiblingFailed, now, ""), fmt.Sprintf("Task's sibling %q failed", sibling))
	e.FailedSibling = sibling
	e.Details["failed_sibling"] = sibling
	return e
}

// LeaderDead: the allocation's leader ended.
func LeaderDead(now time.Time) *model.TaskEvent {
	return display(New(model.EventLeaderDead, now, ""), "Leader Task in Group dead")
}

// MainDead: only sidecars are left.
func MainDead(now time.Time) *model.TaskEvent {
	return display(New(model.EventMainDead, now, ""), "Main tasks in the group died")
}

// FailedRestore: a task could not be found again after a restart of the agent.
func FailedRestore(now time.Time, err error, waits bool) *model.TaskEvent {
	text := "failed to restore task: " + err.Error()
	if waits {
		text = "failed to restore task; will not run until server is contacted: " + err.Error()
	}
	return New(model.EventFailedRestore, now, text)
}

func display(e *model.TaskEvent, text string) *model.TaskEvent {
	e.DisplayMessage = text
	return e
}
