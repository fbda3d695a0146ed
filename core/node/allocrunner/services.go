package allocrunner

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/catalog"
	"github.com/droverhq/drover/core/node/checks"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/sdk/driver"
)

// defaultInterval is used where a check names none.
const defaultInterval = 10 * time.Second

// services keeps the allocation's part of the catalog and runs its checks. The owner "" is the group.
type services struct {
	runner *Runner
	asking sync.WaitGroup // checks

	mu    sync.Mutex
	shown map[string]*exposed
}

// exposed is what one owner shows.
type exposed struct {
	ids    []string // registrations
	stop   context.CancelFunc
	checks map[checkKey]*checkState
}

type checkKey struct{ service, check string }

// checkState is what is known of one check; guarded by the services' mutex.
type checkState struct {
	status checks.Status
	last   checks.Answer
	at     time.Time // of the last answer; zero before the first
}

// Register shows a task's services, or shows them as they are now. It is called by the task's runner.
func (s *services) Register(task string, network *driver.NetworkOverride) {
	s.show(catalog.Owner{Task: task, Network: network})
}

// Deregister takes a task's services away; again is harmless.
func (s *services) Deregister(task string) { s.hide(task) }

// group shows or hides the group's services.
func (s *services) group(on bool) {
	if on {
		s.show(catalog.Owner{})
		return
	}
	s.hide("")
}

// hideAll hides everything that is still shown and waits for the checks.
func (s *services) hideAll() {
	s.mu.Lock()
	owners := make([]string, 0, len(s.shown))
	for o := range s.shown {
		owners = append(owners, o)
	}
	s.mu.Unlock()
	for _, o := range owners {
		s.hide(o)
	}
	s.asking.Wait()
}

// pass tells whether every check that health waits for succeeds.
func (s *services) pass() bool {
	a := s.runner.Alloc()
	group := a.Job.Group(a.TaskGroup)
	s.mu.Lock()
	defer s.mu.Unlock()
	all := func(owner string, list []*model.Service) bool {
		for _, svc := range list {
			for _, c := range svc.Checks {
				if !checks.Gates(svc, c) {
					continue
				}
				e := s.shown[owner]
				if e == nil || e.checks[checkKey{svc.Name, c.Name}] == nil || e.checks[checkKey{svc.Name, c.Name}].status != checks.Success {
					return false
				}
			}
		}
		return true
	}
	if !all("", group.Services) {
		return false
	}
	for _, t := range group.Tasks {
		if !all(t.Name, t.Services) {
			return false
		}
	}
	return true
}

// of returns the owner's services and a task whose environment they are read in; no services: nil.
func of(a *model.Allocation, owner string) ([]*model.Service, *model.Task) {
	group := a.Job.Group(a.TaskGroup)
	if owner == "" {
		return group.Services, group.Tasks[0]
	}
	task := group.Task(owner)
	if task == nil {
		return nil, nil
	}
	return task.Services, task
}

func (s *services) show(o catalog.Owner) {
	r := s.runner
	a := r.Alloc()
	list, task := of(a, o.Task)
	if len(list) == 0 {
		s.hide(o.Task)
		return
	}
	node := r.node.Info()
	env := taskenv.Build(taskenv.Input{Node: node, Region: r.node.Region, Alloc: a, Job: a.Job, Task: task, Network: a.NetworkStatus})
	regs, err := catalog.Registrations(node, a, env, o)
	if err != nil {
		r.logger.Warn("service not registered", "error", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	next := &exposed{stop: cancel, checks: map[checkKey]*checkState{}}
	for _, reg := range regs {
		next.ids = append(next.ids, reg.ID)
	}
	s.mu.Lock()
	if s.shown == nil {
		s.shown = map[string]*exposed{}
	}
	before := s.shown[o.Task]
	s.shown[o.Task] = next
	for _, svc := range list {
		for _, c := range svc.Checks {
			key := checkKey{svc.Name, c.Name}
			state := &checkState{status: checks.Pending}
			if before != nil && before.checks[key] != nil { // changed in place: what is known stays until it is asked again
				*state = *before.checks[key]
			}
			next.checks[key] = state
			s.asking.Go(func() { s.ask(ctx, o, svc, c, state, env.Replace) })
		}
	}
	s.mu.Unlock()
	if len(regs) > 0 {
		r.node.Catalog.Register(regs)
	}
	if before != nil {
		before.stop()
		s.remove(slices.DeleteFunc(before.ids, func(id string) bool { return slices.Contains(next.ids, id) }))
	}
}

func (s *services) hide(owner string) {
	s.mu.Lock()
	e := s.shown[owner]
	delete(s.shown, owner)
	s.mu.Unlock()
	if e != nil {
		e.stop()
		s.remove(e.ids)
	}
}

func (s *services) remove(ids []string) {
	if len(ids) > 0 {
		s.runner.node.Catalog.Remove(ids)
	}
}

// ask runs one check until its owner hides.
func (s *services) ask(ctx context.Context, o catalog.Owner, svc *model.Service, c *model.ServiceCheck, state *checkState, replace checks.Replace) {
	r := s.runner
	interval := c.Interval
	if interval <= 0 {
		interval = defaultInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	tracker := checks.NewTracker(c, r.node.Now())
	for {
		a := s.probe(ctx, o, svc, c, replace)
		if ctx.Err() != nil {
			return
		}
		var restart bool
		tracker, restart = tracker.Next(a.Err == nil, c, r.node.Now())
		s.note(svc, c, state, tracker.Status, a)
		if restart {
			s.restart(ctx, o, svc, c)
			tracker = checks.NewTracker(c, r.node.Now())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// probe asks once.
func (s *services) probe(ctx context.Context, o catalog.Owner, svc *model.Service, c *model.ServiceCheck, replace checks.Replace) checks.Answer {
	target := checks.Target{Replace: replace}
	if c.Type == checks.Script {
		target.Exec = s.execIn(taskOf(o.Task, svc, c))
		return checks.Probe(ctx, c, target)
	}
	var err error
	if target.Addr, target.Port, err = catalog.CheckTarget(s.runner.node.Info(), s.runner.Alloc(), svc, c, o.Network); err != nil {
		return checks.Answer{Err: err, Output: err.Error()}
	}
	return checks.Probe(ctx, c, target)
}

// execIn runs a script check's program in a task; nil if there is no such task.
func (s *services) execIn(task string) func(ctx context.Context, argv []string, output io.Writer) (int, error) {
	t := s.runner.Task(task)
	if t == nil {
		return nil
	}
	return func(ctx context.Context, argv []string, output io.Writer) (int, error) {
		result, err := t.Exec(ctx, driver.ExecRequest{Command: argv, Stdin: strings.NewReader(""), Stdout: output, Stderr: output})
		if err != nil {
			return 0, err
		}
		if result.Err != "" {
			return result.ExitCode, errors.New(result.Err)
		}
		return result.ExitCode, nil
	}
}

// taskOf is the task that a check speaks of: the one in which its script runs and that its failures restart.
func taskOf(owner string, svc *model.Service, c *model.ServiceCheck) string {
	switch {
	case c.TaskName != "":
		return c.TaskName
	case owner != "":
		return owner
	}
	return svc.TaskName
}

// note keeps what a check said and has the allocation's health looked at when its status changed.
func (s *services) note(svc *model.Service, c *model.ServiceCheck, state *checkState, status checks.Status, a checks.Answer) {
	s.mu.Lock()
	changed := state.status != status
	state.status, state.last, state.at = status, a, s.runner.node.Now()
	s.mu.Unlock()
	if changed {
		s.runner.logger.Info("check changed", "service", svc.Name, "check", c.Name, "status", string(status), "error", a.Err)
		s.runner.poke()
	}
}

// restart lets the restart policy decide about the task of a check that keeps failing.
func (s *services) restart(ctx context.Context, o catalog.Owner, svc *model.Service, c *model.ServiceCheck) {
	name := taskOf(o.Task, svc, c)
	t := s.runner.Task(name)
	if t == nil {
		s.runner.logger.Warn("check keeps failing and names no task to restart", "service", svc.Name, "check", c.Name)
		return
	}
	if err := t.Fail(ctx, `healthcheck: check "`+c.Name+`" unhealthy`); err != nil && ctx.Err() == nil {
		s.runner.logger.Warn("task of a failing check not restarted", "task", name, "error", err)
	}
}
