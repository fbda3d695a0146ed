package conformance

import (
	"strings"
	"time"
)

// Status is how a check came out.
type Status string

// The outcomes of a check.
const (
	Pass Status = "pass"
	Fail Status = "fail" // the plugin breaks a promise that hosts rely on
	Warn Status = "warn" // hosts cope, but people will notice
	Skip Status = "skip" // it could not be checked, or does not concern this plugin
)

// Result is one check.
type Result struct {
	Name   string // group/what, stable: may be used in Config.Skip
	Reason string // why hosts rely on it
	Status Status
	Detail string // what was seen, or why it was skipped; empty for a pass
	Took   time.Duration
}

// Report is everything that was found out about a plugin.
type Report struct {
	Path         string
	Type         string // driver, device ...
	Name         string
	Version      string
	APIVersions  []string
	Capabilities []Capability
	Results      []Result
}

// Capability is one thing a plugin says about itself.
type Capability struct {
	Name, Value string
}

// Count returns how many checks came out so.
func (r *Report) Count(status Status) int {
	n := 0
	for _, result := range r.Results {
		if result.Status == status {
			n++
		}
	}
	return n
}

// OK reports whether no check failed.
func (r *Report) OK() bool { return r.Count(Fail) == 0 }

// outcome is an error that is not a failure.
type outcome struct {
	status Status
	text   string
}

func (o *outcome) Error() string { return o.text }

// skip ends a check that cannot be made; the parts are joined.
func skip(reason ...string) error { return &outcome{Skip, strings.Join(reason, "")} }

// warn ends a check whose finding hosts can live with.
func warn(err error) error {
	if err == nil {
		return nil
	}
	return &outcome{Warn, err.Error()}
}
