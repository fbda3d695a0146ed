package model

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits are the server's settings that a job is checked against.
type Limits struct {
	MaxPriority int // highest priority a job may have
	MaxCount    int // most instances of all groups together; 0 = no limit
}

// DefaultLimits are in force unless the agent's configuration says otherwise.
func DefaultLimits() Limits { return Limits{MaxPriority: 100, MaxCount: 50000} }

// Problem is one reason why a job is refused.
type Problem struct {
	Path    string // blocks from the outside in, such as: group "cache" > task "redis"; empty for the job itself
	Message string
}

func (p Problem) Error() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Problems are all reasons why a job is refused.
type Problems []Problem

func (ps Problems) Error() string { return strings.Join(ps.Strings(), "\n") }

// Strings returns one text for each problem.
func (ps Problems) Strings() []string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.Error()
	}
	return out
}

// Validate checks everything about a complete job that can be known without looking at the cluster.
// The error, if any, is a Problems that lists all of it. Warnings say what will not do what it seems to.
func (j *Job) Validate(limits Limits) (warnings []string, err error) {
	c := &checker{job: j}
	c.checkJob(limits)
	if len(c.problems) == 0 {
		return c.warnings, nil
	}
	return c.warnings, c.problems
}

// checker gathers what is wrong with a job.
type checker struct {
	job      *Job
	problems Problems
	warnings []string
}

// where names the block that is looked at.
type where string

func (w where) in(block string, label ...string) where {
	if len(label) > 0 && label[0] != "" {
		block += fmt.Sprintf(" %q", label[0])
	}
	if w == "" {
		return where(block)
	}
	return w + where(" > "+block)
}

func (c *checker) fail(w where, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: string(w), Message: fmt.Sprintf(format, args...)})
}

func (c *checker) warn(w where, format string, args ...any) {
	c.warnings = append(c.warnings, Problem{Path: string(w), Message: fmt.Sprintf(format, args...)}.Error())
}

// oneOf refuses a value that is not in the list.
func (c *checker) oneOf(w where, field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.fail(w, "%s must be one of %s, got %q", field, orList(allowed), value)
	}
}

// atLeast refuses numbers and durations below a bound.
func atLeast[N interface{ ~int | ~int64 }](c *checker, w where, field string, value, bound N) {
	if value < bound {
		c.fail(w, "%s must be at least %v, got %v", field, bound, value)
	}
}

// maxAmount is the largest amount of MHz, MB or files that may be asked for: sums of such amounts stay far from
// overflowing.
const maxAmount = 1<<31 - 1

// atMost refuses amounts above a bound.
func (c *checker) atMost(w where, field string, value, bound int) {
	if value > bound {
		c.fail(w, "%s must be at most %d, got %d", field, bound, value)
	}
}

func orList(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(quoted, ", ")
}

func (c *checker) checkJob(limits Limits) {
	j := c.job
	switch {
	case j.ID == "":
		c.fail("", "the job has no ID")
	case strings.Contains(j.ID, " "):
		c.fail("", "the job ID %q must hold no space", j.ID)
	default:
		most := maxName
		if j.ParentID != "" { // a child has its parent's ID with a time or an ID added, and its name
			most += maxName
		}
		c.printable("", "job ID", j.ID, most)
		c.printable("", "job name", j.Name, most)
	}
	c.oneOf("", "type", j.Type, JobTypeService, JobTypeBatch, JobTypeSystem, JobTypeSysBatch)
	if limits.MaxPriority <= 0 {
		limits.MaxPriority = DefaultLimits().MaxPriority
	}
	if j.Priority < 1 || j.Priority > limits.MaxPriority {
		c.fail("", "priority must be within 1..%d, got %d", limits.MaxPriority, j.Priority)
	}
	if len(j.Datacenters) == 0 {
		c.fail("", "datacenters must name at least one, or \"*\"")
	}
	if slices.Contains(j.Datacenters, "") {
		c.fail("", "datacenters must hold no empty name")
	}
	if !j.Dispatched && len(j.Payload) > 0 {
		c.fail("", "a payload comes with a dispatch, not with the job")
	}
	if j.Dispatched && j.ParentID == "" {
		c.fail("", "Dispatched is set by the servers only")
	}
	if j.UI != nil && len([]rune(j.UI.Description)) > 1000 {
		c.fail(where("ui"), "description must be at most 1000 characters, got %d", len([]rune(j.UI.Description)))
	}
	c.placementRules("", j.Constraints, j.Affinities, j.Spreads)
	if j.Update != nil {
		c.jobUpdate()
	}
	c.checkPeriodic()
	c.checkParameterized()
	c.checkGroups(limits)
}

// maxName is how many bytes a name may have: with something added it is still the name of a file.
const maxName = 200

// printable refuses names that would change what a terminal shows, or are too long for a file's name with something added.
func (c *checker) printable(w where, what, name string, most int) bool {
	switch {
	case strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name):
		c.fail(w, "the %s %q must hold no control characters and be UTF-8", what, name)
	case len(name) > most:
		c.fail(w, "the %s has %d bytes, at most %d are possible", what, len(name), most)
	default:
		return true
	}
	return false
}

func (c *checker) checkGroups(limits Limits) {
	j := c.job
	if len(j.TaskGroups) == 0 {
		c.fail("", "the job has no group")
	}
	total, seen := 0, map[string]bool{}
	for i, g := range j.TaskGroups {
		w := where("").in("group", g.Name)
		switch {
		case g.Name == "":
			w = where(fmt.Sprintf("group %d", i+1))
			c.fail(w, "the group has no name")
		case !c.printable(w, "name", g.Name, maxName):
		case seen[g.Name]:
			c.fail(w, "there is another group of that name")
		}
		seen[g.Name] = true
		c.checkGroup(w, g)
		if g.Count > 0 && total <= 1<<40 && g.Count <= 1<<40 {
			total += g.Count
		} else if g.Count > 0 {
			total = 1 << 41
		}
	}
	if limits.MaxCount > 0 && total > limits.MaxCount {
		c.fail("", "the counts of all groups sum up to %d, the limit is %d (job_max_count)", total, limits.MaxCount)
	}
}

// isSystem tells whether the job runs on every node.
func (c *checker) isSystem() bool {
	return c.job.Type == JobTypeSystem || c.job.Type == JobTypeSysBatch
}

// isBatch tells whether the job's tasks end by themselves.
func (c *checker) isBatch() bool {
	return c.job.Type == JobTypeBatch || c.job.Type == JobTypeSysBatch
}
