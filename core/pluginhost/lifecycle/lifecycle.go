// Package lifecycle decides what happens to a plugin, and does nothing: Step takes one generation's state, an event and
// the time and returns the new state and what is to be done; Choose does the same for the generations of one file. The
// host around it launches processes, watches them and keeps the clock.
//
//	discovered -> verified -> starting -> ready <-> unhealthy -> draining -> retired
//	     |            |           |          |          |
//	     +------------+-----------+----------+----------+-----> failed (reason; tried again later, or final)
//
// A generation is one binary (by digest) with one configuration. Its process may die and be launched again any number of
// times; tasks belong to a generation, not to a process. What other nodes see of a generation's health is Shown, which
// follows the truth only after a hold-down, so that a relaunch or a hand-over is never seen as an outage.
//
// The transcripts in testdata read as the manual.
package lifecycle

import "time"

// State is where a generation is in its life.
type State string

// The states. The words are shown to operators.
const (
	Discovered State = "discovered" // the file was seen, its owner, mode and digest are being checked
	Verified   State = "verified"   // trusted and copied to the store; waiting for its turn to be started
	Starting   State = "starting"   // being launched or reattached, up to its first fingerprint
	Ready      State = "ready"      // the plugin answers and is healthy
	Unhealthy  State = "unhealthy"  // the plugin answers, or did, and cannot take tasks; Reason says why
	Draining   State = "draining"   // takes no new tasks; keeps the ones it has until they end
	Retired    State = "retired"    // ended, nothing left
	Failed     State = "failed"     // cannot be used; Reason says why, RetryAt whether it is tried again
)

// Event is something that happened to a generation.
type Event struct {
	Kind   Kind
	Reason string // Refused, StartFailed, Died, Health, Lost, Drain, Restart, GiveUp
	// Final is for StartFailed: another attempt with the same file and configuration cannot succeed.
	Final bool
	// Stuck is for Died: the process was killed because it did not answer, so that less of its uptime counts.
	Stuck bool
	// Healthy and Detected are for Health.
	Healthy, Detected bool
	// Tasks is for TaskCount.
	Tasks int
}

// Kind names an event.
type Kind string

// The kinds of events.
const (
	FileVerified Kind = "verified"     // owner, mode and digest are right and the store has a copy
	Refused      Kind = "refused"      // the file must not be used
	Launching    Kind = "launching"    // its turn came: a process is being started or reattached
	Up           Kind = "up"           // the process is configured and its streams are open
	StartFailed  Kind = "start-failed" // the process could not be brought to that point; none is left
	Died         Kind = "died"         // the process ended by itself
	Health       Kind = "health"       // a fingerprint arrived
	Lost         Kind = "lost"         // fingerprints cannot be had although the process lives
	TaskCount    Kind = "tasks"        // the number of its tasks changed
	Drain        Kind = "drain"        // replaced or removed: no new tasks
	Resume       Kind = "resume"       // the file is back: take tasks again
	Restart      Kind = "restart"      // end the process and start it again, because the configuration changed
	GiveUp       Kind = "give-up"      // it could not take the tasks of the generation before it
	Tick         Kind = "tick"         // a deadline passed
)

// Action is something the host must do now.
type Action struct {
	Kind ActionKind
	Text string // Report
}

// ActionKind names an action.
type ActionKind string

// The kinds of actions.
const (
	// DoStart: reattach the generation's process if it lives, otherwise launch one. Answer with Launching, then Up or
	// StartFailed.
	DoStart ActionKind = "start"
	// DoStop: end the process in good order: Shutdown, then kill. Its end is not answered.
	DoStop ActionKind = "stop"
	// DoForget: give up a start that is under way, and remove the generation's reattach record and sockets.
	DoForget ActionKind = "forget"
	// DoReport: tell the operator (node event, log).
	DoReport ActionKind = "report"
)

// Limits are the times the decisions rest on. The zero value of each field means its default.
type Limits struct {
	// HoldDown is how long a healthy plugin must be unhealthy or gone before it is shown so. Default 10 s.
	HoldDown time.Duration
	// FirstFingerprint is how long after Up the first fingerprint may take. Default 30 s.
	FirstFingerprint time.Duration
	// StableAfter is the uptime after which earlier crashes no longer count. Default 1 min.
	StableAfter time.Duration
	// Trust is how long a plugin that died at least CrashLoop times in a row must stay healthy before it is shown so
	// again. Default 30 s.
	Trust time.Duration
	// Relaunch is the wait before the n-th relaunch in a row of a process that had been up; the last entry repeats.
	// Default 0, 100 ms, 300 ms, 1 s, 2 s, 5 s, 10 s, 30 s, 1 min.
	Relaunch []time.Duration
	// Retry is the same for a generation that has never been up. Default 2 s, 10 s, 30 s, 2 min, 5 min.
	Retry []time.Duration
}

// Flapping is how many times a plugin must have gone from healthy to unhealthy, each within FlapWindow of the time before,
// to have to stay healthy for twice Limits.Trust without a break before it is shown so again.
const (
	Flapping   = 2
	FlapWindow = 10 * time.Minute
)

// CrashLoop is how many deaths in a row, without a stable time between them, make a crash loop.
const CrashLoop = 5

// stuckTimes is how many times StableAfter a process must have been up, when it was killed for not answering, for
// earlier ends to be forgotten.
const stuckTimes = 10

// WithDefaults fills what is zero.
func (l Limits) WithDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.HoldDown, 10*time.Second)
	set(&l.FirstFingerprint, 30*time.Second)
	set(&l.StableAfter, time.Minute)
	set(&l.Trust, 30*time.Second)
	if l.Relaunch == nil {
		l.Relaunch = []time.Duration{0, 100 * time.Millisecond, 300 * time.Millisecond, time.Second, 2 * time.Second,
			5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}
	}
	if l.Retry == nil {
		l.Retry = []time.Duration{2 * time.Second, 10 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute}
	}
	return l
}

// Shown is what the rest of the cluster is told about a generation's health.
type Shown struct {
	Known       bool // a fingerprint has arrived, or the first one is overdue
	Detected    bool
	Healthy     bool
	Description string
}

// Generation is one binary with one configuration. The zero value with State Discovered is a new one.
type Generation struct {
	State  State
	Reason string // why it is unhealthy, draining or failed

	Tasks    int       // tasks it holds
	Restarts int       // launches after the first time it was up
	Failures int       // ends in a row without StableAfter of uptime
	WasUp    bool      // it has been up at least once
	UpSince  time.Time // zero while no configured process is there
	Leaving  string    // why it takes no new tasks; empty otherwise

	Shown Shown

	healthy   bool      // last fingerprint
	detected  bool      // last fingerprint
	heard     bool      // a fingerprint arrived since Up
	words     string    // its description, or why there is none
	RetryAt   time.Time // when to start again; zero = not planned
	worseAt   time.Time // when the hold-down ends; zero = nothing is held back
	betterAt  time.Time // when a crash-looping plugin is trusted again; zero = nothing is held back
	goodAt    time.Time // since when it has been healthy without a break; zero = it is not
	fellAt    time.Time // when it was last shown unhealthy after healthy
	falls     int       // how often that happened, each within FlapWindow of the one before
	overdueAt time.Time // when the first fingerprint is overdue; zero = it came
}

// New returns a generation that was just seen.
func New() Generation { return Generation{State: Discovered} }

// Usable reports whether new tasks may be given to it.
func (g *Generation) Usable() bool { return !g.UpSince.IsZero() && g.Leaving == "" }

// Final reports whether nothing will happen any more without a new file or configuration.
func (g *Generation) Final() bool {
	return g.State == Retired || (g.State == Failed && g.RetryAt.IsZero())
}

// Coming reports whether its process is about to come up, for the first time or again, and may be expected to stay.
func (g *Generation) Coming() bool {
	return g.State == Discovered || g.State == Verified || g.State == Starting && g.UpSince.IsZero() && g.Failures < CrashLoop
}

// Deadline is when a Tick is due; zero = none.
func (g *Generation) Deadline() time.Time {
	var first time.Time
	for _, t := range []time.Time{g.RetryAt, g.worseAt, g.betterAt, g.overdueAt} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}
