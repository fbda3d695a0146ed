package drain

import (
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

var now = time.Unix(1700000000, 0)

type world struct {
	jobs   map[string]*model.Job
	allocs []*model.Allocation
}

func (w *world) add(id, job, node, status string) *world {
	w.allocs = append(w.allocs, &model.Allocation{
		ID: id, JobID: job, TaskGroup: "g", NodeID: node, DesiredStatus: model.AllocDesiredRun, ClientStatus: status,
		TaskStates: map[string]*model.TaskState{"t": {State: model.TaskRunning, StartedAt: now.Add(-time.Minute)}},
	})
	return w
}

func (w *world) view(s *model.DrainStrategy) View {
	v := View{
		Node: &model.Node{ID: "n", DrainStrategy: s},
		Job:  func(a *model.Allocation) *model.Job { return w.jobs[a.JobID] },
		Group: func(key model.JobID) (out []*model.Allocation) {
			for _, a := range w.allocs {
				if a.JobID == key.ID {
					out = append(out, a)
				}
			}
			return out
		},
	}
	for _, a := range w.allocs {
		if a.NodeID == "n" {
			v.Allocs = append(v.Allocs, a)
		}
	}
	return v
}

func jobs() map[string]*model.Job {
	mk := func(kind string, count, parallel int, settle time.Duration) *model.Job {
		return &model.Job{Type: kind, TaskGroups: []*model.TaskGroup{{Name: "g", Count: count, Migrate: &model.Migrate{MaxParallel: parallel, MinHealthyTime: settle}}}}
	}
	return map[string]*model.Job{
		"web": mk(model.JobTypeService, 3, 1, 10*time.Second), "slow": mk(model.JobTypeService, 2, 1, 2*time.Minute),
		"job": mk(model.JobTypeBatch, 1, 1, 0), "sys": mk(model.JobTypeSystem, 1, 1, 0),
	}
}

func TestStep(t *testing.T) {
	const run, done, pending = model.AllocClientRunning, model.AllocClientComplete, model.AllocClientPending
	hour := &model.DrainStrategy{Deadline: time.Hour, ForceDeadline: now.Add(time.Hour)}
	yes := true
	for name, c := range map[string]struct {
		world    *world
		strategy *model.DrainStrategy
		change   func(*world)
		migrate  []string
		done     bool
		next     time.Duration
	}{
		"no drain":                    {world: (&world{}).add("a", "web", "n", run)},
		"empty":                       {world: &world{}, strategy: hour, done: true},
		"what ended does not count":   {world: (&world{}).add("a", "web", "n", done), strategy: hour, done: true},
		"one at a time":               {world: (&world{}).add("a", "web", "n", run).add("b", "web", "n", run).add("c", "web", "m", run), strategy: hour, migrate: []string{"a"}, next: time.Hour},
		"waits for the replacement":   {world: (&world{}).add("b", "web", "n", run).add("c", "web", "m", run).add("d", "web", "m", pending), strategy: hour, next: time.Hour},
		"a replacement has to settle": {world: (&world{}).add("a", "slow", "n", run).add("b", "slow", "m", run), strategy: hour, next: time.Minute},
		"batch may end by itself":     {world: (&world{}).add("a", "job", "n", run), strategy: hour, next: time.Hour},
		"system waits for the others": {world: (&world{}).add("a", "job", "n", run).add("s", "sys", "n", run), strategy: hour, next: time.Hour},
		"system goes last":            {world: (&world{}).add("a", "job", "n", done).add("s", "sys", "n", run), strategy: hour, migrate: []string{"s"}, next: time.Hour},
		"system jobs are ignored":     {world: (&world{}).add("s", "sys", "n", run), strategy: &model.DrainStrategy{IgnoreSystemJobs: true}, done: true},
		"no deadline":                 {world: (&world{}).add("a", "job", "n", run), strategy: &model.DrainStrategy{}},
		"at the deadline all go":      {world: (&world{}).add("a", "web", "n", run).add("b", "web", "n", run).add("j", "job", "n", run).add("s", "sys", "n", run), strategy: &model.DrainStrategy{Deadline: time.Hour, ForceDeadline: now}, migrate: []string{"a", "b", "j", "s"}},
		"forced from the start":       {world: (&world{}).add("a", "job", "n", run), strategy: &model.DrainStrategy{Deadline: -1}, migrate: []string{"a"}},
		"those asked are not asked again": {
			world: (&world{}).add("a", "job", "n", run), strategy: &model.DrainStrategy{Deadline: -1},
			change: func(w *world) { w.allocs[0].DesiredTransition.Migrate = &yes },
		},
		"stopped but still running keeps the drain open": {
			world: (&world{}).add("a", "job", "n", run), strategy: &model.DrainStrategy{},
			change: func(w *world) { w.allocs[0].DesiredStatus = model.AllocDesiredStop },
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.world.jobs = jobs()
			if c.change != nil {
				c.change(c.world)
			}
			got := Step(c.world.view(c.strategy), now)
			var next time.Duration
			if !got.Next.IsZero() {
				next = got.Next.Sub(now)
			}
			if !slices.Equal(got.Migrate, c.migrate) || got.Done != c.done || next != c.next {
				t.Errorf("got %+v (next in %v), want migrate %v, done %v, next in %v", got, next, c.migrate, c.done, c.next)
			}
		})
	}
}
