package model

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"
)

// jobUpdate checks the job's own update block; the merged ones are checked with their groups.
func (c *checker) jobUpdate() {
	if c.job.Type != JobTypeService && c.job.Type != JobTypeSystem {
		return // reported for each group
	}
	c.checkUpdate("update", c.job.Update, false)
}

func (c *checker) checkUpdate(w where, u *Update, group bool) {
	c.oneOf(w, "health_check", u.HealthCheck, "checks", "task_states", "manual")
	atLeast(c, w, "max_parallel", u.MaxParallel, 0)
	atLeast(c, w, "canary", u.Canary, 0)
	atLeast(c, w, "min_healthy_time", u.MinHealthyTime, 0)
	atLeast(c, w, "progress_deadline", u.ProgressDeadline, 0)
	if u.AutoPromote && u.Canary == 0 && group {
		c.fail(w, "auto_promote needs canary to be at least 1")
	}
	if u.HealthyDeadline <= 0 {
		c.fail(w, "healthy_deadline must be more than 0, got %v", u.HealthyDeadline)
	} else if u.MinHealthyTime >= u.HealthyDeadline {
		c.fail(w, "min_healthy_time (%v) must be less than healthy_deadline (%v)", u.MinHealthyTime, u.HealthyDeadline)
	}
	if u.ProgressDeadline > 0 && u.HealthyDeadline >= u.ProgressDeadline {
		c.fail(w, "healthy_deadline (%v) must be less than progress_deadline (%v)", u.HealthyDeadline, u.ProgressDeadline)
	}
	if u.OnDeadline != "" {
		c.oneOf(w, "on_deadline", u.OnDeadline, OnDeadlineFail, OnDeadlineRevert, OnDeadlineKeepTrying)
		if u.ProgressDeadline == 0 {
			c.fail(w, "on_deadline = %q needs a progress_deadline: with 0 there is none", u.OnDeadline)
		}
	}
	c.checkSurge(w, u)
	if u.Stagger <= 0 {
		c.fail(w, "stagger must be more than 0, got %v", u.Stagger)
	}
}

func (c *checker) checkSurge(w where, u *Update) {
	switch {
	case u.MaxSurge == 0:
	case u.MaxSurge < 0:
		c.fail(w, "max_surge must be at least 0, got %d", u.MaxSurge)
	case c.job.Type == JobTypeSystem:
		c.fail(w, "max_surge is for service jobs: a system job has one instance per node")
	case u.MaxParallel == 0:
		c.fail(w, "max_surge needs max_parallel to be at least 1: with 0 all instances are replaced at once, without a roll-out")
	}
}

func (c *checker) checkRestart(w where, p *RestartPolicy) {
	if p == nil {
		c.fail(w, "the restart policy is missing")
		return
	}
	c.oneOf(w, "mode", p.Mode, RestartModeFail, RestartModeDelay)
	atLeast(c, w, "attempts", p.Attempts, 0)
	atLeast(c, w, "delay", p.Delay, 0)
	if p.Attempts == 0 && p.Mode != RestartModeFail {
		c.fail(w, "mode %q never restarts with 0 attempts; set mode = \"fail\" or attempts", p.Mode)
	}
	if p.Interval < 5*time.Second {
		c.fail(w, "interval must be at least 5s, got %v", p.Interval)
	} else if float64(p.Attempts)*float64(p.Delay) > float64(p.Interval) {
		c.fail(w, "%d attempts with a delay of %v do not fit into an interval of %v", p.Attempts, p.Delay, p.Interval)
	}
}

func (c *checker) checkReschedule(w where, p *ReschedulePolicy) {
	if c.isSystem() {
		if p != nil {
			c.fail(w, "a %s job is not rescheduled: its instances belong to their nodes", c.job.Type)
		}
		return
	}
	if p == nil {
		c.fail(w, "the reschedule policy is missing")
		return
	}
	atLeast(c, w, "attempts", p.Attempts, 0)
	if !p.Enabled() {
		return
	}
	if p.Unlimited && p.Attempts > 0 {
		c.fail(w, "attempts (%d) and unlimited exclude each other; set unlimited = false", p.Attempts)
	}
	c.oneOf(w, "delay_function", p.DelayFunction, "constant", "exponential", "fibonacci")
	if p.Delay < 5*time.Second {
		c.fail(w, "delay must be at least 5s, got %v", p.Delay)
	}
	if p.DelayFunction != "constant" {
		if p.MaxDelay < 5*time.Second {
			c.fail(w, "max_delay must be at least 5s, got %v", p.MaxDelay)
		} else if p.MaxDelay < p.Delay {
			c.fail(w, "max_delay (%v) must not be less than delay (%v)", p.MaxDelay, p.Delay)
		}
	}
	if p.Unlimited {
		return
	}
	if p.Interval < 15*time.Second {
		c.fail(w, "interval must be at least 15s, got %v", p.Interval)
		return
	}
	if need, fit := p.span(); fit < p.Attempts {
		c.fail(w, "only %d of %d attempts fit into the interval of %v; it must be at least %v", fit, p.Attempts, p.Interval, need)
	}
}

// span returns how long all attempts take when each fails at once, and how many of them fit into the interval.
func (p *ReschedulePolicy) span() (need time.Duration, fit int) {
	delay, before := p.Delay, time.Duration(0)
	for i := range min(p.Attempts, 100000) {
		if need += delay; need < 0 { // overflow: for ever
			return 1<<63 - 1, fit
		}
		if need <= p.Interval {
			fit = i + 1
		}
		next := delay
		switch p.DelayFunction {
		case "exponential":
			next = 2 * delay
		case "fibonacci":
			next = delay + before
			if before == 0 {
				next = delay
			}
		}
		if p.DelayFunction != "constant" && (next > p.MaxDelay || next < 0) {
			next = p.MaxDelay
		}
		before, delay = delay, next
	}
	return need, fit
}

func (c *checker) checkMigrate(w where, m *Migrate) {
	if m == nil {
		return
	}
	if c.job.Type != JobTypeService {
		c.fail(w, "a %s job has no migrate block", c.job.Type)
		return
	}
	atLeast(c, w, "max_parallel", m.MaxParallel, 0)
	c.oneOf(w, "health_check", m.HealthCheck, "checks", "task_states")
	atLeast(c, w, "min_healthy_time", m.MinHealthyTime, 0)
	if m.HealthyDeadline < m.MinHealthyTime {
		c.fail(w, "healthy_deadline (%v) must not be less than min_healthy_time (%v)", m.HealthyDeadline, m.MinHealthyTime)
	}
}

func (c *checker) checkDisconnect(w where, d *Disconnect) {
	if d == nil {
		return
	}
	atLeast(c, w, "lost_after", d.LostAfter, 0)
	atLeast(c, w, "stop_on_client_after", d.StopOnClientAfter, 0)
	if d.LostAfter > 0 && d.StopOnClientAfter > 0 {
		c.fail(w, "lost_after and stop_on_client_after exclude each other")
	}
	if d.StopOnClientAfter > 0 && c.isSystem() {
		c.fail(w, "stop_on_client_after is for service and batch jobs")
	}
	c.oneOf(w, "reconcile", d.Reconcile, "best_score", "keep_original", "keep_replacement", "longest_running")
}

func (c *checker) checkScaling(w where, s *Scaling, count int) {
	if s == nil {
		return
	}
	if c.job.Type == JobTypeSystem {
		c.fail(w, "a system job runs on every node and cannot be scaled")
	}
	c.oneOf(w, "type", s.Type, "horizontal")
	atLeast(c, w, "min", s.Min, 0)
	if s.Max < s.Min {
		c.fail(w, "max (%d) must not be less than min (%d)", s.Max, s.Min)
	} else if int64(count) < s.Min || int64(count) > s.Max {
		c.fail(w, "count (%d) must be within min (%d) and max (%d)", count, s.Min, s.Max)
	}
}

func (c *checker) checkPeriodic() {
	p := c.job.Periodic
	if p == nil {
		return
	}
	w := where("periodic")
	if !c.isBatch() {
		c.fail(w, "only batch and sysbatch jobs can be periodic, this is a %s job", c.job.Type)
	}
	specs := p.Specs
	switch {
	case p.Spec != "" && len(p.Specs) > 0:
		c.fail(w, "cron and crons exclude each other")
	case p.Spec != "":
		c.warn(w, "cron is deprecated; write crons = [%q]", p.Spec)
		specs = []string{p.Spec}
	case len(p.Specs) == 0:
		c.fail(w, "crons is missing: when should the job run?")
	}
	for _, s := range specs {
		if err := parseCron(s); err != nil {
			c.fail(w, "%q is no valid cron expression: %v", s, err)
		}
	}
	if _, err := time.LoadLocation(p.TimeZone); err != nil {
		c.fail(w, "time_zone %q is not known: %v", p.TimeZone, err)
	}
	c.oneOf(w, "SpecType", p.SpecType, "cron", "_internal_test")
}

func parseCron(s string) error {
	_, err := cronexpr.Parse(s)
	return err
}

func (c *checker) checkParameterized() {
	p := c.job.ParameterizedJob
	if p == nil {
		return
	}
	w := where("parameterized")
	if !c.isBatch() {
		c.fail(w, "only batch and sysbatch jobs can be parameterized, this is a %s job", c.job.Type)
	}
	c.oneOf(w, "payload", p.Payload, "optional", "required", "forbidden")
	for _, k := range p.MetaOptional {
		if slices.Contains(p.MetaRequired, k) {
			c.fail(w, "meta key %q is both required and optional", k)
		}
	}
	for _, k := range append(slices.Clone(p.MetaRequired), p.MetaOptional...) {
		if strings.TrimSpace(k) == "" {
			c.fail(w, "meta keys must not be empty")
		}
	}
}
