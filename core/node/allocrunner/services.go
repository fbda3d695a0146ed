package allocrunner

import (
	"sync"

	"github.com/droverhq/drover/core/node/catalog"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/sdk/driver"
)

// services keeps the allocation's part of the catalog. The key "" is the group.
type services struct {
	runner *Runner
	mu     sync.Mutex
	shown  map[string][]string // owner -> registration IDs
}

// Register shows a task's services. It is called by the task's runner.
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

// hideAll hides everything that is still shown.
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
}

func (s *services) show(o catalog.Owner) {
	r := s.runner
	a := r.Alloc()
	group := a.Job.Group(a.TaskGroup)
	task := group.Tasks[0]
	if o.Task != "" {
		if task = group.Task(o.Task); task == nil || len(task.Services) == 0 {
			return
		}
	} else if len(group.Services) == 0 {
		return
	}
	node := r.node.Info()
	env := taskenv.Build(taskenv.Input{Node: node, Region: r.node.Region, Alloc: a, Job: a.Job, Task: task, Network: a.NetworkStatus})
	regs, err := catalog.Registrations(node, a, env, o)
	if err != nil {
		r.logger.Warn("service not registered", "error", err)
	}
	ids := make([]string, len(regs))
	for i, reg := range regs {
		ids[i] = reg.ID
	}
	s.mu.Lock()
	if s.shown == nil {
		s.shown = map[string][]string{}
	}
	s.shown[o.Task] = ids
	s.mu.Unlock()
	if len(regs) > 0 {
		r.node.Catalog.Register(regs)
	}
}

func (s *services) hide(owner string) {
	s.mu.Lock()
	ids := s.shown[owner]
	delete(s.shown, owner)
	s.mu.Unlock()
	if len(ids) > 0 {
		s.runner.node.Catalog.Remove(ids)
	}
}
