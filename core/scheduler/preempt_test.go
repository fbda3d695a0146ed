package scheduler

import (
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// filler puts a running allocation of another job on a node.
func filler(w *world, id, node string, priority int, change func(*model.AllocatedResources)) {
	job := testJob(model.JobTypeService, 1)
	job.ID, job.Priority = "filler-"+id, priority
	w.job(job)
	r := &model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{"t": {
		Cpu: model.AllocatedCpu{CpuShares: 1000}, Memory: model.AllocatedMemory{MemoryMB: 1000},
	}}}
	if change != nil {
		change(r)
	}
	w.set(&model.Allocation{
		ID: id, Namespace: "default", Name: job.ID + ".g[0]", JobID: job.ID, TaskGroup: "g", NodeID: node, AllocatedResources: r,
		DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientRunning, CreateIndex: 1,
	})
}

func TestPreemption(t *testing.T) {
	cpu := func(n int64) func(*model.AllocatedResources) {
		return func(r *model.AllocatedResources) { r.Tasks["t"].Cpu.CpuShares = n }
	}
	port := func(r *model.AllocatedResources) {
		r.Tasks["t"].Cpu.CpuShares = 100
		r.Shared.Ports = []model.AllocatedPort{{Label: "p", Value: 80, HostIP: "10.0.0.1"}}
	}
	cases := map[string]struct {
		typ      string
		enabled  bool
		priority int
		fill     func(*world)
		change   func(*model.Job)
		want     []string // victims; nil: nothing is placed
	}{
		"room enough": {model.JobTypeService, true, 50, func(w *world) { filler(w, "a", "n0", 1, nil) }, nil, []string{}},
		"off":         {model.JobTypeService, false, 50, func(w *world) { filler(w, "a", "n0", 1, cpu(4000)) }, nil, nil},
		"the only one": {model.JobTypeService, true, 50, func(w *world) {
			filler(w, "a", "n0", 1, cpu(4000))
		}, nil, []string{"a"}},
		"priority too near": {model.JobTypeService, true, 50, func(w *world) {
			filler(w, "a", "n0", 41, cpu(4000))
		}, nil, nil},
		"priority just low enough": {model.JobTypeService, true, 50, func(w *world) {
			filler(w, "a", "n0", 40, cpu(4000))
		}, nil, []string{"a"}},
		"the least important": {model.JobTypeBatch, true, 50, func(w *world) {
			filler(w, "a", "n0", 30, cpu(2000))
			filler(w, "b", "n0", 20, cpu(2000))
		}, nil, []string{"b"}},
		"the closest in size": {model.JobTypeService, true, 50, func(w *world) {
			filler(w, "a", "n0", 20, cpu(3200))
			filler(w, "b", "n0", 20, cpu(700))
		}, nil, []string{"b"}},
		"several, and no more than needed": {model.JobTypeService, true, 90, func(w *world) {
			filler(w, "a", "n0", 10, cpu(300))
			filler(w, "b", "n0", 20, cpu(300))
			filler(w, "c", "n0", 30, cpu(3400))
		}, func(j *model.Job) { j.TaskGroups[0].Tasks[0].Resources.CPU = 3000 }, []string{"c"}},
		"the holder of a port": {model.JobTypeService, true, 50, func(w *world) {
			filler(w, "a", "n0", 1, cpu(100))
			filler(w, "b", "n0", 40, port)
		}, func(j *model.Job) {
			j.TaskGroups[0].Networks = []*model.Network{{ReservedPorts: []model.Port{{Label: "p", Value: 80}}}}
		}, []string{"b"}},
		"a port that no one may be evicted from": {model.JobTypeService, true, 50, func(w *world) {
			filler(w, "b", "n0", 45, port)
		}, func(j *model.Job) {
			j.TaskGroups[0].Networks = []*model.Network{{ReservedPorts: []model.Port{{Label: "p", Value: 80}}}}
		}, nil},
		"system jobs may": {model.JobTypeSystem, false, 50, func(w *world) {
			filler(w, "a", "n0", 1, cpu(4000))
		}, nil, []string{"a"}},
		"sysbatch jobs may not": {model.JobTypeSysBatch, false, 50, func(w *world) {
			filler(w, "a", "n0", 1, cpu(4000))
		}, nil, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.node(testNode("n0"))
			w.config.PreemptionConfig.ServiceSchedulerEnabled = c.enabled
			w.config.PreemptionConfig.BatchSchedulerEnabled = c.enabled
			c.fill(w)
			job := testJob(c.typ, 1)
			job.Priority = c.priority
			if c.change != nil {
				c.change(job)
			}
			w.job(job)
			out := w.process(w.eval(job), 1)
			var got []string
			for _, a := range out.Plan.NodePreemptions["n0"] {
				got = append(got, a.ID)
				by := out.Plan.NodeAllocation["n0"][0]
				if a.DesiredStatus != model.AllocDesiredEvict || a.PreemptedByAllocation != by.ID ||
					!strings.HasSuffix(a.DesiredDescription, by.ID) || !slices.Contains(by.PreemptedAllocations, a.ID) {
					t.Errorf("victim %+v", a)
				}
			}
			if placed := placedOn(out.Plan)["n0"]; (placed == 1) != (c.want != nil) {
				t.Errorf("placed %d", placed)
			}
			if !slices.Equal(got, c.want) && len(got)+len(c.want) > 0 {
				t.Errorf("victims %v, want %v", got, c.want)
			}
			w.commit(out.Plan)
		})
	}
}

// With several nodes, the one whose victims matter least is taken.
func TestPreemptionChoosesTheNode(t *testing.T) {
	w := newWorld(t)
	w.config.PreemptionConfig.ServiceSchedulerEnabled = true
	fill := func(r *model.AllocatedResources) { r.Tasks["t"].Cpu.CpuShares = 4000 }
	for node, priority := range map[string]int{"n0": 35, "n1": 5, "n2": 25} {
		w.node(testNode(node))
		filler(w, "on-"+node, node, priority, fill)
	}
	job := testJob(model.JobTypeService, 2)
	w.job(job)
	eval := w.eval(job)
	eval.AnnotatePlan = true
	out := w.process(eval, 1)
	if len(out.Plan.NodePreemptions["n1"]) != 1 || len(out.Plan.NodePreemptions) != 1 || placedOn(out.Plan)["n1"] != 2 {
		t.Errorf("preempted %v, placed %v", out.Plan.NodePreemptions, placedOn(out.Plan))
	}
	a := out.Plan.Annotations
	if a == nil || len(a.PreemptedAllocs) != 1 || a.DesiredTGUpdates["g"].Preemptions != 1 || a.DesiredTGUpdates["g"].Place != 2 {
		t.Errorf("annotations %+v", a)
	}
}
