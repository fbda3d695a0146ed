package model

import (
	"strings"
	"time"
)

// Restart modes.
const (
	RestartModeFail  = "fail"
	RestartModeDelay = "delay"
)

// RestartPolicy says how often a node starts a task again by itself.
type RestartPolicy struct {
	Attempts        int
	Interval        time.Duration
	Delay           time.Duration
	Mode            string
	RenderTemplates bool
}

// ReschedulePolicy says when the servers replace a failed allocation, possibly elsewhere.
type ReschedulePolicy struct {
	Attempts      int
	Interval      time.Duration
	Delay         time.Duration
	DelayFunction string // constant, exponential, fibonacci
	MaxDelay      time.Duration
	Unlimited     bool
}

// Enabled tells whether failed allocations are replaced at all.
func (p *ReschedulePolicy) Enabled() bool { return p != nil && (p.Attempts > 0 || p.Unlimited) }

// Update is a rolling update strategy.
type Update struct {
	Stagger          time.Duration
	MaxParallel      int
	HealthCheck      string // checks, task_states, manual
	MinHealthyTime   time.Duration
	HealthyDeadline  time.Duration
	ProgressDeadline time.Duration
	AutoRevert       bool
	AutoPromote      bool
	Canary           int

	// OnDeadline says what follows when the progress deadline passes: OnDeadlineFail, OnDeadlineRevert or
	// OnDeadlineKeepTrying; "" fails, and goes back where AutoRevert is set.
	OnDeadline string `json:",omitempty"`
	// MaxSurge is how many instances may run beyond the group's count during a roll-out: so many of those that are
	// replaced end only when the ones that take their place are healthy.
	MaxSurge int `json:",omitempty"`
}

// What follows when a roll-out's progress deadline passes.
const (
	OnDeadlineFail       = "fail"        // it has failed; the version stays
	OnDeadlineRevert     = "revert"      // it has failed, and the last stable version is registered
	OnDeadlineKeepTrying = "keep_trying" // it goes on
)

// Migrate is the pace at which a drain moves a group's allocations.
type Migrate struct {
	MaxParallel     int
	HealthCheck     string
	MinHealthyTime  time.Duration
	HealthyDeadline time.Duration
}

// Disconnect says what happens to allocations of a node that cannot be reached.
type Disconnect struct {
	LostAfter         time.Duration
	StopOnClientAfter time.Duration
	Replace           bool
	Reconcile         string
}

// Scaling is a group's scaling bounds; Policy is opaque to the servers.
type Scaling struct {
	ID          string
	Type        string
	Target      map[string]string
	Policy      map[string]any
	Min         int64
	Max         int64
	Enabled     bool
	CreateIndex uint64
	ModifyIndex uint64
}

// Operands of constraints and affinities.
const (
	OpDistinctHosts    = "distinct_hosts"
	OpDistinctProperty = "distinct_property"
	OpRegexp           = "regexp"
	OpVersion          = "version"
	OpSemver           = "semver"
	OpSetContains      = "set_contains"
	OpSetContainsAll   = "set_contains_all"
	OpSetContainsAny   = "set_contains_any"
	OpIsSet            = "is_set"
	OpIsNotSet         = "is_not_set"
)

// Constraint must hold on a node (or device) for a group to be placed there.
type Constraint struct {
	LTarget string
	Operand string
	RTarget string
}

// String is the text shown for a filtered node: "left op right".
func (c Constraint) String() string {
	return strings.TrimSpace(c.LTarget + " " + c.Operand + " " + c.RTarget)
}

// Affinity prefers (or with a negative weight avoids) nodes on which it holds.
type Affinity struct {
	LTarget string
	Operand string
	RTarget string
	Weight  int8 // -100..100, not 0
}

// Spread distributes a group over the values of an attribute.
type Spread struct {
	Attribute    string
	Weight       int8 // 1..100
	SpreadTarget []SpreadTarget
}

// SpreadTarget asks for a share of the instances on one value.
type SpreadTarget struct {
	Value   string
	Percent uint8 // 0..100
}
