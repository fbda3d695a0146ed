// Package checks finds out whether a service works by asking it, over HTTP, gRPC or a TCP connection or by a program in its task, and decides what
// the answers mean: the check's status, and whether its task should be restarted.
package checks

import (
	"time"

	"github.com/droverhq/drover/core/model"
)

// Status is what a check says.
type Status string

// The statuses.
const (
	Pending Status = "pending" // not enough answers yet
	Success Status = "success"
	Failure Status = "failure"
)

// Script is the type of checks that run a program in their task.
const Script = "script"

// How checks count during an update.
const onUpdateIgnore = "ignore"

// Gates tells whether an allocation's health waits for the check.
func Gates(s *model.Service, c *model.ServiceCheck) bool {
	rule := c.OnUpdate
	if rule == "" {
		rule = s.OnUpdate
	}
	return rule != onUpdateIgnore
}

// Tracker turns answers into a status. It holds no clock.
type Tracker struct {
	Status  Status
	good    int       // successes in a row
	bad     int       // failures in a row
	badLong int       // failures in a row that count for a restart
	start   time.Time // when the task began: the grace of check_restart counts from here
}

// NewTracker begins for a task that has just started.
func NewTracker(c *model.ServiceCheck, now time.Time) Tracker {
	t := Tracker{Status: Pending, start: now}
	if c.InitialStatus == "passing" {
		t.Status = Success
	}
	return t
}

// Next takes one answer. restart: the check has failed so often that its task is to be restarted.
func (t Tracker) Next(ok bool, c *model.ServiceCheck, now time.Time) (next Tracker, restart bool) {
	if ok {
		t.good, t.bad, t.badLong = t.good+1, 0, 0
		if t.good >= max(c.SuccessBeforePassing, 1) {
			t.Status = Success
		}
		return t, false
	}
	t.good, t.bad = 0, t.bad+1
	if t.bad >= max(c.FailuresBeforeCritical, 1) {
		t.Status = Failure
	}
	if r := c.CheckRestart; r != nil && r.Limit > 0 && t.Status == Failure && !now.Before(t.start.Add(r.Grace)) {
		t.badLong++
		if t.badLong >= r.Limit {
			t.badLong = 0
			return t, true
		}
	}
	return t, false
}
