package allocrunner

import (
	"context"
	"slices"
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

type checkState struct{ status checks.Status }

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
			state := &checkState{checks.Pending}
			if before != nil && before.checks[key] != nil { // changed in place: what is known stays until it is asked again
				state.status = before.checks[key].status
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
		addr, port, err := catalog.CheckTarget(r.node.Info(), r.Alloc(), svc, c, o.Network)
		if err == nil {
			err = checks.Probe(ctx, c, addr, port, replace)
		}
		if ctx.Err() != nil {
			return
		}
		var restart bool
		tracker, restart = tracker.Next(err == nil, c, r.node.Now())
		s.note(svc, c, state, tracker.Status, err)
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

// note keeps a check's status and has the allocation's health looked at when it changed.
func (s *services) note(svc *model.Service, c *model.ServiceCheck, state *checkState, status checks.Status, err error) {
	s.mu.Lock()
	changed := state.status != status
	state.status = status
	s.mu.Unlock()
	if changed {
		s.runner.logger.Info("check changed", "service", svc.Name, "check", c.Name, "status", string(status), "error", err)
		s.runner.poke()
	}
}

// restart lets the restart policy decide about the task of a check that keeps failing.
func (s *services) restart(ctx context.Context, o catalog.Owner, svc *model.Service, c *model.ServiceCheck) {
	name := o.Task
	if name == "" {
		name = svc.TaskName
	}
	if c.TaskName != "" {
		name = c.TaskName
	}
	t := s.runner.Task(name)
	if t == nil {
		s.runner.logger.Warn("check keeps failing and names no task to restart", "service", svc.Name, "check", c.Name)
		return
	}
	if err := t.Fail(ctx, `healthcheck: check "`+c.Name+`" unhealthy`); err != nil && ctx.Err() == nil {
		s.runner.logger.Warn("task of a failing check not restarted", "task", name, "error", err)
	}
}
