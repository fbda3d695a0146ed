// Package tasks is what every driver that runs processes through package
// executor has in common: the tasks it knows, and all of the driver interface
// that needs nothing but a process. A driver embeds a [Table] and adds how its
// tasks are started.
package tasks

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/proc"
	"github.com/droverhq/drover/drivers-exec/executor/slim"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// Table holds a driver's tasks by id.
type Table struct {
	sup *executor.Supervisor

	mu    sync.Mutex
	tasks map[string]*task
	core  float64 // speed of one core in MHz
	trim  func()  // stops trimming
}

// task is one task of the table.
type task struct {
	process *executor.Process
	env     []string // for commands run inside it
}

var (
	_ driver.WithSignals  = (*Table)(nil)
	_ driver.WithExec     = (*Table)(nil)
	_ driver.WithStats    = (*Table)(nil)
	_ driver.WithInspect  = (*Table)(nil)
	_ driver.WithInit     = (*Table)(nil)
	_ driver.WithShutdown = (*Table)(nil)
	_ driver.WithHandOver = (*Table)(nil)
)

// New makes a table whose processes the supervisor runs.
func New(sup *executor.Supervisor) *Table {
	return &Table{sup: sup, tasks: map[string]*task{}}
}

// Configure takes what statistics need from the node's configuration, which
// may be nil.
func (t *Table) Configure(node *plugin.NodeConfig) {
	if node == nil || node.Topology == nil || len(node.Topology.Cores) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.core = float64(node.Topology.TotalCompute()) / float64(len(node.Topology.Cores))
}

// Start runs a command as a task and enters it in the table. emit shows its user what no exit tells.
func (t *Table) Start(ctx context.Context, c executor.Command, emit driver.EmitFunc) (executor.State, error) {
	p, err := t.sup.Start(ctx, c)
	if err != nil {
		return executor.State{}, err
	}
	t.enter(c.ID, &task{process: p, env: c.Spec.Env})
	t.watchMemory(p, emit)
	return p.State(), nil
}

// Adopt enters a task that an earlier process of the driver started. env is
// the environment for commands inside it, emit as for Start.
func (t *Table) Adopt(ctx context.Context, st executor.State, env []string, emit driver.EmitFunc) error {
	p, err := t.sup.Recover(ctx, st)
	if err != nil {
		return err
	}
	t.enter(st.ID, &task{process: p, env: env})
	t.watchMemory(p, emit)
	return nil
}

// watchMemory shows the task's user that the kernel killed a part of the task. A task that cannot be watched runs on: how
// it ends is told all the same.
func (t *Table) watchMemory(p *executor.Process, emit driver.EmitFunc) {
	if emit == nil {
		return
	}
	_ = p.WatchMemory(func(killed int, limit bool) {
		what, whose := "a process", ""
		if killed > 1 {
			what = strconv.Itoa(killed) + " processes"
		}
		if !limit {
			whose = "; " + executor.NotItsLimit
		}
		emit("Out of memory: the kernel killed "+what+" of the task, which goes on"+whose, map[string]string{"oom_kills": strconv.Itoa(killed)})
	})
}

func (t *Table) enter(id string, k *task) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tasks[id] = k
}

func (t *Table) task(id string) (*task, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.tasks[id]
	if k == nil {
		return nil, driver.ErrTaskNotFound
	}
	return k, nil
}

// Wait blocks until the task has ended.
func (t *Table) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	k, err := t.task(id)
	if err != nil {
		return nil, err
	}
	e, err := k.process.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return result(e), nil
}

func result(e proc.Exit) *driver.ExitResult {
	r := &driver.ExitResult{ExitCode: e.Code, Signal: e.Signal, OOMKilled: e.OOMKilled}
	switch {
	case e.Unknown:
		r.Err = "exit code unknown: " + e.Reason
	case e.OOMKilled:
		r.Err = e.Reason
	}
	return r
}

// Stop sends the signal (SIGINT without a name), waits and then kills the task
// with everything it started.
func (t *Table) Stop(ctx context.Context, req *driver.StopRequest) error {
	k, err := t.task(req.TaskID)
	if err != nil {
		return err
	}
	return k.process.Stop(ctx, req.Signal, req.Timeout)
}

// Destroy forgets the task and removes what it left.
func (t *Table) Destroy(ctx context.Context, req *driver.DestroyRequest) error {
	k, err := t.task(req.TaskID)
	if err != nil {
		return err
	}
	if !req.Force {
		select {
		case <-k.process.Done():
		default:
			return driver.ErrTaskRunning
		}
	}
	if err := k.process.Destroy(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.tasks, req.TaskID)
	return nil
}

// Signal sends a signal to the task's first process.
func (t *Table) Signal(_ context.Context, req *driver.SignalRequest) error {
	k, err := t.task(req.TaskID)
	if err != nil {
		return err
	}
	return k.process.Signal(req.Signal)
}

// Inspect tells the task's pid, when it began, and when it ended, which may be
// long before this process learned of it.
func (t *Table) Inspect(ctx context.Context, id string) (*driver.Inspection, error) {
	k, err := t.task(id)
	if err != nil {
		return nil, err
	}
	st := k.process.State()
	in := &driver.Inspection{StartedAt: st.Started, Attributes: map[string]string{"pid": strconv.Itoa(st.Proc.PID)}}
	select {
	case <-k.process.Done():
		if e, err := k.process.Wait(ctx); err == nil {
			in.CompletedAt = e.At
		}
	default:
	}
	return in, nil
}

// Init lets the plugin shrink once it has answered its host's first questions,
// and after each time it was busy.
func (t *Table) Init(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trim == nil {
		t.trim = slim.Start()
	}
	return nil
}

// Shutdown lets go of the keeper. Tasks run on.
func (t *Table) Shutdown(context.Context) error {
	t.sup.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.trim != nil {
		t.trim()
		t.trim = nil
	}
	return nil
}

// Release lets a newer version of the plugin take the task over. There is
// nothing to let go of: the keeper tells every driver process how tasks end, and
// all that one needs is in the state.
func (t *Table) Release(context.Context, string) error { return nil }

// Stats measures the task.
func (t *Table) Stats(_ context.Context, id string) (*driver.TaskStats, error) {
	k, err := t.task(id)
	if err != nil {
		return nil, err
	}
	select {
	case <-k.process.Done():
		return nil, fmt.Errorf("measure task %s: %w", id, executor.ErrEnded)
	default:
	}
	t.mu.Lock()
	core := t.core
	t.mu.Unlock()
	return &driver.TaskStats{Usage: usage(k.process.Measure(), core)}, nil
}

// usage turns a sample into what the driver interface reports; core is the
// speed of one core in MHz.
func usage(s executor.Sample, core float64) driver.ResourceUsage {
	var r driver.ResourceUsage
	if c := s.Usage.CPU; c.Known {
		r.CPU = driver.CPUUsage{
			SystemMode: s.System * 100, UserMode: s.User * 100, Percent: s.CPU * 100, TotalTicks: s.CPU * core,
			ThrottledPeriods: c.ThrottledTimes, ThrottledTime: c.ThrottledTime,
			Measured: []driver.CPUField{
				driver.CPUSystemMode, driver.CPUUserMode, driver.CPUTotalTicks,
				driver.CPUThrottledPeriods, driver.CPUThrottledTime, driver.CPUPercent,
			},
		}
	}
	if m := s.Usage.Memory; m.Known {
		r.Memory = driver.MemoryUsage{
			RSS: m.RSS, Cache: m.Cache, Swap: m.Swap, Usage: m.Usage,
			MaxUsage: m.Max, KernelUsage: m.Kernel, KernelMaxUsage: m.MaxKrn,
			Measured: []driver.MemoryField{
				driver.MemoryRSS, driver.MemoryCache, driver.MemorySwap, driver.MemoryUsageField,
				driver.MemoryMaxUsage, driver.MemoryKernelUsage, driver.MemoryKernelMaxUsage,
			},
		}
	}
	return r
}
