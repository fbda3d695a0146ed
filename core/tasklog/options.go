package tasklog

import (
	"errors"
	"io"
	"time"
)

const (
	// stallLimit is how long a task's writes wait for a file that cannot be written before its bytes are dropped.
	stallLimit = 5 * time.Second
	// stallRetry is how often a file that could not be written is tried again.
	stallRetry = 200 * time.Millisecond
)

// options of one collector process.
type options struct {
	socket, state string
	idle          time.Duration
	stallLimit    time.Duration
	log           io.Writer
	ready         func() // called once the socket answers
	fail          failpoint
}

var errAnother = errors.New("another log collector runs on this state directory")
