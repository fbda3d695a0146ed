package lifecycle

import (
	"fmt"
	"time"
)

// Step applies one event. Events that make no sense in a state (a late answer of a process that was given up, say)
// change nothing.
func Step(g Generation, e Event, now time.Time, limits Limits) (Generation, []Action) {
	s := &step{g: g, now: now, limits: limits.WithDefaults()}
	if g.State != Retired {
		s.apply(e)
	}
	return s.g, s.actions
}

type step struct {
	g       Generation
	now     time.Time
	limits  Limits
	actions []Action
}

func (s *step) do(kind ActionKind) { s.actions = append(s.actions, Action{Kind: kind}) }

func (s *step) report(format string, args ...any) {
	s.actions = append(s.actions, Action{Kind: DoReport, Text: fmt.Sprintf(format, args...)})
}

func (s *step) apply(e Event) {
	switch e.Kind {
	case FileVerified:
		s.verified()
	case Refused:
		s.refused(e.Reason)
	case Launching:
		s.launching()
	case Up:
		s.up()
	case StartFailed:
		s.startFailed(e)
	case Died:
		s.died(e)
	case Health:
		s.health(e)
	case Lost:
		s.lost(e.Reason)
	case TaskCount:
		s.tasks(e.Tasks)
	case Drain:
		s.drain(e.Reason)
	case Resume:
		s.resume()
	case Restart:
		s.restart(e.Reason)
	case GiveUp:
		s.giveUp(e.Reason)
	case Tick:
		s.tick()
	}
}

func (s *step) verified() {
	if s.g.State != Discovered {
		return
	}
	s.g.State = Verified
	s.do(DoStart)
}

func (s *step) refused(reason string) {
	if s.g.State != Discovered && s.g.State != Verified {
		return
	}
	s.g.State, s.g.Reason = Failed, reason
	s.report("refused: %s", reason)
}

func (s *step) launching() {
	if s.g.State == Verified {
		s.g.State = Starting
	}
}

func (s *step) up() {
	if !s.g.UpSince.IsZero() || s.g.Final() {
		return
	}
	if s.g.WasUp {
		s.g.Restarts++
	}
	s.g.UpSince, s.g.WasUp = s.now, true
	s.g.RetryAt = time.Time{}
	s.g.heard = false
	s.g.overdueAt = s.now.Add(s.limits.FirstFingerprint)
	s.settle()
}

func (s *step) startFailed(e Event) {
	if !s.g.UpSince.IsZero() || s.g.Final() {
		return
	}
	s.g.Failures++
	s.down(e.Reason)
	if s.g.Leaving != "" && s.g.Tasks == 0 {
		s.retire()
		return
	}
	s.g.State, s.g.Reason = Failed, e.Reason
	if s.g.Leaving != "" {
		s.g.State, s.g.Reason = Draining, s.g.Leaving
	}
	s.g.RetryAt = time.Time{}
	if e.Final {
		s.report("failed: %s", e.Reason)
		return
	}
	wait := s.wait()
	s.g.RetryAt = s.now.Add(wait)
	s.report("failed: %s; next attempt in %s", e.Reason, wait)
}

func (s *step) died(e Event) {
	reason := e.Reason
	if s.g.UpSince.IsZero() {
		return
	}
	stable := s.limits.StableAfter
	if e.Stuck { // it takes a while to notice that nothing works
		stable *= stuckTimes
	}
	if s.now.Sub(s.g.UpSince) >= stable {
		s.g.Failures = 0
	}
	s.g.Failures++
	s.down(reason)
	if s.g.Leaving != "" && s.g.Tasks == 0 {
		s.retire()
		return
	}
	if s.g.Leaving == "" {
		s.g.State, s.g.Reason = Starting, reason
	}
	wait := s.wait()
	if wait <= 0 {
		s.report("died: %s; started again", reason)
		s.do(DoStart)
		return
	}
	s.report("died: %s; started again in %s", reason, wait)
	s.g.RetryAt = s.now.Add(wait)
}

// down records that no process is there and begins the hold-down.
func (s *step) down(reason string) {
	s.g.UpSince, s.g.overdueAt = time.Time{}, time.Time{}
	s.g.heard = false
	s.worse(s.g.detected || s.g.Shown.Detected, "plugin is down: "+reason)
}

// wait is how long to wait before the next start, by the failures in a row.
func (s *step) wait() time.Duration {
	table := s.limits.Retry
	if s.g.WasUp {
		table = s.limits.Relaunch
	}
	return table[min(s.g.Failures, len(table))-1]
}

func (s *step) health(e Event) {
	if s.g.UpSince.IsZero() {
		return
	}
	s.g.healthy, s.g.detected, s.g.words, s.g.heard = e.Healthy && e.Detected, e.Detected, e.Reason, true
	s.g.overdueAt = time.Time{}
	if s.g.healthy {
		s.better(e.Reason)
	} else {
		s.worse(e.Detected, e.Reason)
	}
	s.settle()
}

// better shows that all is well: at once, unless it is shown unhealthy because it keeps dying.
func (s *step) better(words string) {
	s.g.worseAt = time.Time{}
	if s.g.goodAt.IsZero() {
		s.g.goodAt = s.now
	}
	steady := s.g.goodAt.Add(2 * s.limits.Trust)
	if s.g.Shown.Known && !s.g.Shown.Healthy && s.g.falls >= Flapping && s.now.Before(steady) {
		s.g.betterAt = steady
		s.g.Shown.Description = fmt.Sprintf("its health changed %d times in a short time and must be good for %s", s.g.falls, 2*s.limits.Trust)
		return
	}
	trusted := s.g.UpSince.Add(s.limits.Trust)
	if s.g.Shown.Known && !s.g.Shown.Healthy && s.g.Failures >= CrashLoop && s.now.Before(trusted) {
		s.g.betterAt = trusted
		s.g.Shown.Description = fmt.Sprintf("it died %d times in a row and must stay up for %s", s.g.Failures, s.limits.Trust)
		return
	}
	s.g.betterAt = time.Time{}
	s.show(Shown{Known: true, Detected: true, Healthy: true, Description: words})
}

func (s *step) lost(reason string) {
	if s.g.UpSince.IsZero() {
		return
	}
	s.worse(s.g.detected, reason)
	s.settle()
}

// worse shows a worse health: at once if it was not good before, after the hold-down otherwise.
func (s *step) worse(detected bool, words string) {
	s.g.words, s.g.detected, s.g.healthy = words, detected, false
	s.g.betterAt, s.g.goodAt = time.Time{}, time.Time{}
	switch {
	case !s.g.Shown.Known && !s.g.WasUp:
		// Nothing was ever shown and nothing is known yet.
	case s.g.Shown.Healthy:
		if s.g.worseAt.IsZero() {
			s.g.worseAt = s.now.Add(s.limits.HoldDown)
		}
	default:
		s.show(Shown{Known: true, Detected: detected, Description: words})
	}
}

func (s *step) show(next Shown) {
	before := s.g.Shown
	s.g.Shown = next
	if before.Healthy && !next.Healthy {
		if s.g.fellAt.IsZero() || s.now.Sub(s.g.fellAt) > FlapWindow {
			s.g.falls = 0
		}
		s.g.falls, s.g.fellAt = s.g.falls+1, s.now
	}
	switch {
	case next.Healthy && !before.Healthy:
		s.report("healthy")
	case !next.Healthy && (before.Healthy || !before.Known) && s.g.heard:
		s.report("unhealthy: %s", next.Description)
	case !next.Healthy && before.Healthy:
		s.report("unhealthy: %s", next.Description)
	}
}

// settle derives the state of a generation whose process is up from what is shown.
func (s *step) settle() {
	switch {
	case s.g.Leaving != "":
		s.g.State, s.g.Reason = Draining, s.g.Leaving
	case s.g.UpSince.IsZero():
	case s.g.Shown.Known && s.g.Shown.Healthy && (s.g.heard || s.g.State == Ready):
		s.g.State, s.g.Reason = Ready, ""
	case s.g.Shown.Known && !s.g.Shown.Healthy && (s.g.heard || s.g.overdueAt.IsZero()):
		s.g.State, s.g.Reason = Unhealthy, s.g.Shown.Description
	default:
		s.g.State, s.g.Reason = Starting, ""
	}
}

func (s *step) tasks(n int) {
	s.g.Tasks = n
	if s.g.Leaving != "" && n == 0 {
		s.retire()
	}
}

func (s *step) drain(reason string) {
	s.g.Leaving = reason
	if s.g.Tasks == 0 {
		s.retire()
		return
	}
	if s.g.State != Draining {
		s.report("draining: %s; %d tasks left", reason, s.g.Tasks)
	}
	s.g.State, s.g.Reason = Draining, reason
}

func (s *step) resume() {
	if s.g.Leaving == "" {
		return
	}
	s.g.Leaving, s.g.Reason = "", ""
	s.report("takes tasks again")
	if s.g.UpSince.IsZero() {
		s.g.State = Starting
		return
	}
	s.settle()
}

func (s *step) restart(reason string) {
	switch {
	case s.g.State == Discovered || s.g.State == Verified:
		return // it will start with what is new
	case !s.g.UpSince.IsZero():
		s.do(DoStop)
	}
	s.g.UpSince, s.g.overdueAt, s.g.RetryAt, s.g.betterAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	s.g.heard, s.g.Failures = false, 0
	if s.g.Shown.Healthy && s.g.worseAt.IsZero() {
		s.g.worseAt = s.now.Add(s.limits.HoldDown)
		s.g.words = "being restarted: " + reason
	}
	if s.g.Leaving == "" {
		s.g.State, s.g.Reason = Starting, ""
	}
	s.report("restarted: %s", reason)
	s.do(DoStart)
}

// giveUp ends a generation that never took a task; another one goes on in its place, so nobody outside is told.
func (s *step) giveUp(reason string) {
	if s.g.State == Failed && s.g.RetryAt.IsZero() {
		return
	}
	if !s.g.UpSince.IsZero() {
		s.do(DoStop)
	}
	s.do(DoForget)
	s.g.State, s.g.Reason = Failed, reason
	s.g.UpSince, s.g.RetryAt, s.g.overdueAt = time.Time{}, time.Time{}, time.Time{}
	s.g.worseAt, s.g.betterAt = time.Time{}, time.Time{}
	s.g.heard = false
	s.g.Shown = Shown{Known: true, Description: reason}
	s.report("failed: %s", reason)
}

func (s *step) retire() {
	up := !s.g.UpSince.IsZero()
	s.g.State, s.g.Reason = Retired, s.g.Leaving
	s.g.UpSince, s.g.RetryAt, s.g.overdueAt = time.Time{}, time.Time{}, time.Time{}
	s.g.worseAt, s.g.betterAt = time.Time{}, time.Time{}
	s.g.Shown = Shown{Known: s.g.Shown.Known, Description: s.g.Leaving}
	if up {
		s.do(DoStop)
	}
	s.do(DoForget)
	s.report("retired: %s", s.g.Leaving)
}

func (s *step) tick() {
	due := func(t time.Time) bool { return !t.IsZero() && !s.now.Before(t) }
	if due(s.g.overdueAt) {
		s.g.overdueAt = time.Time{}
		s.worse(false, fmt.Sprintf("no fingerprint within %s", s.limits.FirstFingerprint))
	}
	if due(s.g.worseAt) {
		s.g.worseAt = time.Time{}
		s.show(Shown{Known: true, Detected: s.g.detected, Description: s.g.words})
	}
	if due(s.g.betterAt) {
		s.better(s.g.words)
	}
	if due(s.g.RetryAt) {
		s.g.RetryAt = time.Time{}
		if s.g.Leaving == "" {
			s.g.State = Starting
		}
		s.do(DoStart)
	}
	s.settle()
}
