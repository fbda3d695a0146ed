package template

import (
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
)

// Change modes.
const (
	noop    = "noop"
	restart = "restart"
	signal  = "signal"
	script  = "script"
)

// Actions is what has to be done in a task because templates changed.
type Actions struct {
	Restart bool
	Signals []string
	Scripts []*model.ChangeScript
}

// None tells whether there is nothing to do.
func (a Actions) None() bool { return !a.Restart && len(a.Signals) == 0 && len(a.Scripts) == 0 }

// decide puts together what changed templates ask for: one restart however many want it, and nothing besides it; every
// signal once; scripts in order.
func decide(changed []*model.Template) Actions {
	var a Actions
	for _, t := range changed {
		switch t.ChangeMode {
		case restart, "":
			return Actions{Restart: true}
		case signal:
			if !slices.Contains(a.Signals, t.ChangeSignal) {
				a.Signals = append(a.Signals, t.ChangeSignal)
			}
		case script:
			if t.ChangeScript != nil {
				a.Scripts = append(a.Scripts, t.ChangeScript)
			}
		}
	}
	return a
}

const (
	// settleMin and settleMax are the quiet time of templates without a wait block: changes that come together are
	// rendered once, and within a second.
	settleMin = 100 * time.Millisecond
	settleMax = 500 * time.Millisecond
)

// due is when a template whose data changed is rendered: after a quiet time, at the latest after the longest wait.
func due(w *model.WaitConfig, first, last time.Time) time.Time {
	low, high := settleMin, settleMax
	if w != nil {
		low, high = w.Min, w.Max
	}
	quiet, latest := last.Add(low), first.Add(high)
	if quiet.Before(latest) {
		return quiet
	}
	return latest
}

// splay is how long an action waits: a part of the longest splay among the templates that ask for it.
func splay(changed []*model.Template, part float64) time.Duration {
	var most time.Duration
	for _, t := range changed {
		if t.ChangeMode != noop {
			most = max(most, t.Splay)
		}
	}
	return time.Duration(part * float64(most))
}
