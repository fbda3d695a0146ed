// Package lifecycle decides which tasks of an allocation may run, which have to end, and what that makes of the
// allocation. It is a pure function of the tasks' states: call Next after every change, do what
// it says, keep the State it returns.
package lifecycle

import (
	"maps"
	"slices"

	"github.com/droverhq/drover/core/model"
)

// Task is what matters of a task here.
type Task struct {
	Name    string
	Hook    string // "" main, prestart, poststart, poststop
	Sidecar bool
	Leader  bool
}

// TasksOf lists a group's tasks.
func TasksOf(g *model.TaskGroup) []Task {
	var out []Task
	for _, t := range g.Tasks {
		lt := Task{Name: t.Name, Leader: t.Leader}
		if t.Lifecycle != nil {
			lt.Hook, lt.Sidecar = t.Lifecycle.Hook, t.Lifecycle.Sidecar
		}
		out = append(out, lt)
	}
	return out
}

// Status is one task's state: pending, running or dead.
type Status struct {
	State  string
	Failed bool
}

// Phase is how far the allocation has come.
type Phase uint8

// The phases, in order. Poststop is reached from any phase once everything else is dead.
const (
	Init Phase = iota
	Prestart
	Main
	Poststart
	Wait
	Poststop
	Done
)

var phaseNames = [...]string{"init", "prestart", "main", "poststart", "wait", "poststop", "done"}

func (p Phase) String() string { return phaseNames[p] }

// Reason is why tasks have to end.
type Reason string

// The reasons. Stopped is anything decided elsewhere: job stopped or updated, drain, preemption, user.
const (
	Stopped       Reason = "stopped"
	SiblingFailed Reason = "sibling failed"
	LeaderDead    Reason = "leader dead"
	MainDead      Reason = "main dead"
)

// Kill is the wish that the tasks end.
type Kill struct {
	Reason   Reason
	Task     string // the task that caused it
	Poststop bool   // poststop tasks are not run either (max_run_duration, removal)
}

// State is kept by the caller between calls; set Kill to end the allocation.
type State struct {
	Phase   Phase
	Kill    *Kill
	allowed map[string]bool
	killed  map[string]bool
}

// Action is something to do with one task.
type Action struct {
	Verb Verb
	Task string
	Why  Kill // of VerbKill
}

// Verb says what to do.
type Verb uint8

// The verbs.
const (
	VerbStart Verb = iota // the task may run
	VerbKill              // the task has to end; one that never ran is dead at once
)

func (t Task) ephemeral() bool { return !t.Sidecar }

// Next returns the new state and what to do.
func Next(tasks []Task, s State, status map[string]Status) (State, []Action) {
	v := view{tasks: tasks, status: status}
	s.allowed, s.killed = copyOf(s.allowed), copyOf(s.killed)
	if s.Kill == nil {
		s.Kill = v.reasonToKill(s)
	}
	var actions []Action
	if s.Kill != nil {
		for _, t := range v.toKill(*s.Kill) {
			if !s.killed[t.Name] {
				s.killed[t.Name] = true
				actions = append(actions, Action{VerbKill, t.Name, *s.Kill})
			}
		}
	}
	s.Phase = v.advance(s)
	for _, t := range tasks {
		if s.may(t) && !s.allowed[t.Name] && !s.killed[t.Name] {
			s.allowed[t.Name] = true
			actions = append(actions, Action{Verb: VerbStart, Task: t.Name})
		}
	}
	return s, actions
}

// may tells whether the phase lets the task begin.
func (s State) may(t Task) bool {
	switch t.Hook {
	case model.LifecyclePrestart:
		return s.Phase == Prestart || (t.Sidecar && s.Phase > Prestart && s.Phase < Poststop)
	case model.LifecyclePoststart:
		return s.Phase == Poststart || s.Phase == Wait
	case model.LifecyclePoststop:
		return s.Phase == Poststop && (s.Kill == nil || !s.Kill.Poststop)
	}
	return s.Phase >= Main && s.Phase < Poststop && s.Kill == nil
}

// view is the tasks with their states.
type view struct {
	tasks  []Task
	status map[string]Status
}

func (v view) state(t Task) string {
	if st := v.status[t.Name].State; st != "" {
		return st
	}
	return model.TaskPending
}

func (v view) dead(t Task) bool { return v.state(t) == model.TaskDead }

func (v view) all(of func(Task) bool, is func(Task) bool) bool {
	return !slices.ContainsFunc(v.tasks, func(t Task) bool { return of(t) && !is(t) })
}

func (v view) any(is func(Task) bool) bool { return slices.ContainsFunc(v.tasks, is) }

func notPoststop(t Task) bool { return t.Hook != model.LifecyclePoststop }

// reasonToKill looks for what ends an allocation from inside.
func (v view) reasonToKill(s State) *Kill {
	live := v.any(func(t Task) bool { return notPoststop(t) && !v.dead(t) })
	if !live {
		return nil
	}
	for _, t := range v.tasks {
		if notPoststop(t) && v.dead(t) && v.status[t.Name].Failed {
			return &Kill{Reason: SiblingFailed, Task: t.Name}
		}
	}
	for _, t := range v.tasks {
		if t.Leader && v.dead(t) {
			return &Kill{Reason: LeaderDead, Task: t.Name}
		}
	}
	onlySidecars := v.all(func(t Task) bool { return notPoststop(t) && t.ephemeral() }, v.dead)
	if onlySidecars && s.Phase >= Main {
		return &Kill{Reason: MainDead}
	}
	return nil
}

// toKill is the next wave: the leader alone, then what is not a sidecar, then sidecars, then (rarely) poststop tasks.
func (v view) toKill(k Kill) []Task {
	waves := []func(Task) bool{
		func(t Task) bool { return t.Leader && notPoststop(t) },
		func(t Task) bool { return notPoststop(t) && t.ephemeral() },
		notPoststop,
		func(Task) bool { return k.Poststop },
	}
	for _, in := range waves {
		var wave []Task
		for _, t := range v.tasks {
			if in(t) && !v.dead(t) {
				wave = append(wave, t)
			}
		}
		if len(wave) > 0 {
			return wave
		}
	}
	return nil
}

// advance moves on as far as the tasks' states allow.
func (v view) advance(s State) Phase {
	p := s.Phase
	if v.all(notPoststop, v.dead) && p < Poststop {
		p = Poststop
	}
	for {
		next := p
		switch p {
		case Init:
			next = Prestart
		case Prestart:
			if v.all(isHook(model.LifecyclePrestart), v.prestartDone) {
				next = Main
			}
		case Main:
			if v.all(isHook(""), func(t Task) bool { return v.state(t) != model.TaskPending }) {
				next = Poststart
			}
		case Poststart:
			if v.all(func(t Task) bool { return t.Hook == model.LifecyclePoststart && t.ephemeral() }, v.dead) {
				next = Wait
			}
		case Poststop:
			if v.all(func(Task) bool { return true }, v.dead) {
				next = Done
			}
		}
		if next == p {
			return p
		}
		p = next
	}
}

func (v view) prestartDone(t Task) bool {
	if t.Sidecar {
		return v.state(t) == model.TaskRunning
	}
	return v.dead(t) && !v.status[t.Name].Failed
}

func isHook(hook string) func(Task) bool {
	return func(t Task) bool { return t.Hook == hook }
}

func copyOf(m map[string]bool) map[string]bool {
	c := make(map[string]bool, len(m)+1)
	maps.Copy(c, m)
	return c
}
