package main

import (
	"errors"
	"time"
)

// recovery is what the service manager does about a service that fails: it starts it again, and to Drover it is the same
// task that goes on.
type recovery struct {
	Attempts int           `config:"attempts" default:"3"`
	Delay    time.Duration `config:"delay" default:"5s"` // before each start
	Reset    time.Duration `config:"reset" default:"1h"` // without a failure for this long, attempts begin anew
}

// maxAttempts bounds what is stored in the service's settings.
const maxAttempts = 100

func (r *recovery) validate() error {
	switch {
	case r == nil:
		return nil
	case r.Attempts < 1 || r.Attempts > maxAttempts:
		return errors.New("recovery: attempts must be between 1 and 100; leave the block out for none")
	case r.Delay < 0 || r.Delay > time.Hour:
		return errors.New("recovery: delay must be between 0s and 1h")
	case r.Reset < time.Second || r.Reset > 365*24*time.Hour:
		return errors.New("recovery: reset must be between 1s and a year")
	}
	return nil
}

// grace is how long after its delay the service manager may take to begin a start.
const grace = 5 * time.Second

// sighting is what is seen of a service at one moment.
type sighting struct {
	gone, stopped bool
	failed        bool // with an exit code other than 0, or without having said that it stops
	recovers      bool // the manager is set to start it again after a failure
}

// watch tells the end of a service from a failure that the service manager is about to mend. It has no clock.
type watch struct {
	recovery *recovery // nil: every stop is the end
	since    time.Time // when the stop that lasts was first seen; zero: it does not stand still
}

// ended takes what is seen now and reports whether the task is over.
func (w *watch) ended(s sighting, now time.Time) bool {
	switch {
	case s.gone:
		return true
	case !s.stopped:
		w.since = time.Time{}
		return false
	case w.recovery == nil || !s.failed || !s.recovers:
		return true
	case w.since.IsZero():
		w.since = now
	}
	return now.Sub(w.since) >= w.recovery.Delay+grace // the manager has given up
}
