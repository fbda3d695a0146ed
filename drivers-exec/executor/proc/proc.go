// Package proc names operating system processes so that a name never comes to
// mean another process: a pid together with the moment the process began and
// the boot it belongs to.
package proc

import (
	"errors"
	"time"
)

// ID names one process for ever.
type ID struct {
	PID int
	// Start is when the process began, in the system's own unit: clock ticks
	// since boot on Linux, 100 ns since 1601 on Windows.
	Start uint64
	// Boot is the system's boot id; empty where Start is enough.
	Boot string
}

// Exit is how a process ended.
type Exit struct {
	// Code is the exit code, 128+Signal for a process ended by a signal, as
	// shells report it, and -1 if Unknown.
	Code   int
	Signal int
	// OOMKilled says that the kernel ended it for want of memory.
	OOMKilled bool
	// At is when the end was noticed, which is at once while a keeper runs.
	At time.Time
	// Unknown says that nobody was there to take the exit code; Reason why, or
	// with OOMKilled whose memory it was, if not the task's.
	Unknown bool   `json:",omitempty"`
	Reason  string `json:",omitempty"`
}

// ErrGone means that the process named has ended, or that its pid belongs to
// another process by now.
var ErrGone = errors.New("process has ended")
