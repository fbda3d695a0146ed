package server

// nudge wakes a loop. Several pokes before it looks are one.
type nudge struct{ ch chan struct{} }

func newNudge() nudge { return nudge{make(chan struct{}, 1)} }

func (n nudge) poke() {
	select {
	case n.ch <- struct{}{}:
	default:
	}
}

// nudges are those of the leader's loops.
type nudges struct {
	evals       nudge // evaluations to cancel or to fail
	deployments nudge
	drains      nudge
	periodic    nudge
	relead      nudge // the state was replaced: take up leadership anew
}

func newNudges() nudges { return nudges{newNudge(), newNudge(), newNudge(), newNudge(), newNudge()} }
