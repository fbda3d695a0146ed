package lifecycle

import (
	"fmt"
	"time"
)

// HandOver is the passage of all tasks from one generation to the next while both run. HandOver.Step decides like Step.
//
//	waiting -> quiet -> releasing -> recovering -> done
//	   ^         |          |            |
//	   +-busy----+----------+            +-one failed-> returning -> failed
//
// Starts wait from quiet to the end, so every phase but waiting is bounded. Whatever fails, the old generation has its
// tasks at the end: before the release they never left it, and after it they are recovered there from the same handles.
type HandOver struct {
	Phase  Phase
	Reason string // why it waits or failed
	Tasks  int    // released

	began    time.Time
	attempts int
	limit    time.Time // of the phase
	again    time.Time // next attempt, in waiting
}

// Phase is where a hand-over stands.
type Phase string

// The phases.
const (
	Waiting    Phase = "waiting"    // for a moment in which nothing is under way
	Quiet      Phase = "quiet"      // new calls are held back until those under way are over
	Releasing  Phase = "releasing"  // the old generation lets go
	Recovering Phase = "recovering" // the new one takes the tasks
	Returning  Phase = "returning"  // the old one takes them back
	Done       Phase = "done"       // the new one has them
	Undone     Phase = "failed"     // the old one has them; Reason says why
	Dropped    Phase = "dropped"    // a process ended and is launched again: another hand-over may begin then
)

// HandOverEvent is something that happened in a hand-over.
type HandOverEvent struct {
	Kind   HandOverKind
	Reason string // Busy, ReleaseFailed, RecoverFailed, OldGone, NewGone, ReturnFailed
	Tasks  int    // Freed
}

// HandOverKind names an event.
type HandOverKind string

// The kinds of events.
const (
	Begin         HandOverKind = "begin"
	Still         HandOverKind = "still"          // answer to DoHold: no call is under way
	Busy          HandOverKind = "busy"           // answer to DoHold or DoRelease: not at this moment; nothing was released
	Freed         HandOverKind = "freed"          // answer to DoRelease
	ReleaseFailed HandOverKind = "release-failed" // answer to DoRelease: nobody knows what is released
	Taken         HandOverKind = "taken"          // answer to DoRecover: all of them
	RecoverFailed HandOverKind = "recover-failed" // answer to DoRecover: at least one could not be
	Returned      HandOverKind = "returned"       // answer to DoReturn
	ReturnFailed  HandOverKind = "return-failed"  // answer to DoReturn
	OldGone       HandOverKind = "old-gone"       // the old generation's process ended
	NewGone       HandOverKind = "new-gone"       // the new generation's process ended
	Late          HandOverKind = "late"           // a deadline passed
)

// HandOverAction is something the host must do now.
type HandOverAction string

// The actions.
const (
	// DoHold: hold calls that change tasks of the old generation back, and wait for those under way, for a moment.
	DoHold HandOverAction = "hold"
	// DoLetPass: calls go on to the old generation.
	DoLetPass HandOverAction = "let-pass"
	// DoRelease: have the old generation release its tasks; it may refuse if one has just ended.
	DoRelease HandOverAction = "release"
	// DoReleaseAll: the same, tasks that have ended included.
	DoReleaseAll HandOverAction = "release-all"
	// DoRecover: have the new generation recover what was released.
	DoRecover HandOverAction = "recover"
	// DoEndNew: kill the new generation's process; it is refused for good, with the reason.
	DoEndNew HandOverAction = "end-new"
	// DoRestartNew: the same, and it is launched again.
	DoRestartNew HandOverAction = "restart-new"
	// DoReturn: have the old generation resume and recover its tasks. The new one's process is gone before.
	DoReturn HandOverAction = "return"
	// DoEndOld: kill the old generation's process: the next one recovers the tasks.
	DoEndOld HandOverAction = "end-old"
	// DoCommit: the tasks are the new generation's; calls go there, the old one retires.
	DoCommit HandOverAction = "commit"
)

// HandOverLimits are its times. Zero means the default.
type HandOverLimits struct {
	// Pause bounds releasing, recovering and returning, each: no task starts meanwhile. Default 10 s.
	Pause time.Duration
	// Again is the wait after an attempt that found something under way, doubled up to ten times that. Default 200 ms.
	Again time.Duration
	// Patience is after how long it no longer waits for calls under way, which then end with the old process, and for
	// ended tasks to be destroyed. Default 5 min.
	Patience time.Duration
}

// WithDefaults fills what is zero.
func (l HandOverLimits) WithDefaults() HandOverLimits {
	if l.Pause == 0 {
		l.Pause = 10 * time.Second
	}
	if l.Again == 0 {
		l.Again = 200 * time.Millisecond
	}
	if l.Patience == 0 {
		l.Patience = 5 * time.Minute
	}
	return l
}

// Over reports whether nothing more will happen.
func (h *HandOver) Over() bool { return h.Phase == Done || h.Phase == Undone || h.Phase == Dropped }

// Deadline is when a Late is due; zero = none.
func (h *HandOver) Deadline() time.Time {
	switch h.Phase {
	case Waiting:
		return h.again
	case Releasing, Recovering, Returning:
		return h.limit
	}
	return time.Time{} // the answer to DoHold comes within a moment
}

// Step applies one event. Events that make no sense in a phase change nothing.
func (h HandOver) Step(e HandOverEvent, now time.Time, limits HandOverLimits) (HandOver, []HandOverAction) {
	limits = limits.WithDefaults()
	var actions []HandOverAction
	do := func(phase Phase, list ...HandOverAction) {
		h.Phase, h.limit, actions = phase, now.Add(limits.Pause), list
	}
	wait := func(reason string, list ...HandOverAction) {
		do(Waiting, list...)
		h.Reason, h.again = reason, now.Add(limits.Again*time.Duration(min(1<<h.attempts, 10)))
		h.attempts = min(h.attempts+1, 4)
	}
	impatient := !h.began.IsZero() && now.Sub(h.began) >= limits.Patience
	undo := func(reason string) {
		do(Returning, DoEndNew, DoReturn)
		h.Reason = reason
	}
	switch e.Kind {
	case Begin:
		if h.Phase == "" {
			h.began = now
			do(Quiet, DoHold)
		}
	case Still, Busy, Freed, ReleaseFailed:
		switch {
		case h.Phase == Quiet && e.Kind == Busy && !impatient:
			wait(e.Reason, DoLetPass)
		case h.Phase == Quiet && impatient && (e.Kind == Still || e.Kind == Busy):
			do(Releasing, DoReleaseAll)
		case h.Phase == Quiet && e.Kind == Still:
			do(Releasing, DoRelease)
		case h.Phase == Releasing && e.Kind == Busy:
			wait(e.Reason, DoLetPass)
		case h.Phase == Releasing && e.Kind == Freed:
			h.Tasks, h.Reason = e.Tasks, ""
			do(Recovering, DoRecover)
		case h.Phase == Releasing && e.Kind == ReleaseFailed:
			undo(e.Reason)
		}
	case Taken:
		if h.Phase == Recovering {
			do(Done, DoCommit)
		}
	case RecoverFailed:
		if h.Phase == Recovering {
			undo(e.Reason)
		}
	case Returned:
		if h.Phase == Returning {
			do(Undone, DoLetPass)
		}
	case ReturnFailed:
		if h.Phase == Returning {
			h.Reason += "; the old generation is launched again, because it did not take the tasks back: " + e.Reason
			do(Undone, DoEndOld, DoLetPass)
		}
	case OldGone:
		h.oldGone(do)
	case NewGone:
		switch h.Phase {
		case Waiting, Quiet:
			do(Dropped, DoLetPass)
		case Releasing, Recovering:
			undo("the new process ended: " + e.Reason)
		}
	case Late:
		h.late(do, undo, limits)
	}
	return h, actions
}

// oldGone: the old generation is launched again and the node recovers its tasks there. A new one that may have taken some
// is ended, so that no task has two.
func (h *HandOver) oldGone(do func(Phase, ...HandOverAction)) {
	switch h.Phase {
	case Waiting, Quiet:
		do(Dropped, DoLetPass)
	case Releasing, Recovering:
		h.Reason = "the old process ended while it handed over"
		do(Dropped, DoRestartNew, DoLetPass)
	case Returning:
		do(Undone, DoLetPass)
	}
}

func (h *HandOver) late(do func(Phase, ...HandOverAction), undo func(string), limits HandOverLimits) {
	switch h.Phase {
	case Waiting:
		do(Quiet, DoHold)
	case Releasing:
		undo(fmt.Sprintf("the old generation did not release its tasks within %s", limits.Pause))
	case Recovering:
		undo(fmt.Sprintf("the tasks were not recovered within %s", limits.Pause))
	case Returning:
		h.Reason += fmt.Sprintf("; the old generation is launched again, because it did not take the tasks back within %s", limits.Pause)
		do(Undone, DoEndOld, DoLetPass)
	}
}
