package node

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// control is a server as a node sees it: it takes registrations and reports and pushes allocations.
type control struct {
	t    testing.TB
	mux  *rpc.Mux
	grpc *grpc.Server
	addr string

	mu       sync.Mutex
	sess     *rpc.Session
	nodes    []*model.Node                // registrations, in order
	allocs   map[string]*model.Allocation // wanted
	reports  map[string]*model.Allocation // last report of each
	history  map[string][]string          // client statuses of each
	events   []*model.NodeEvent
	services map[string]*model.ServiceRegistration
	index    uint64
	feed     chan *rpc.NodeAllocsPush
	refuse   error // answer to reports
	sessions int
}

func newControl(t testing.TB) *control {
	c := &control{
		t: t, allocs: map[string]*model.Allocation{}, reports: map[string]*model.Allocation{}, history: map[string][]string{},
		services: map[string]*model.ServiceRegistration{},
	}
	reg := rpc.NewRegistry()
	rpc.NodeRegister.Handle(reg, func(ctx context.Context, q *rpc.NodeRegisterRequest) (*rpc.NodeRegisterResponse, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.nodes = append(c.nodes, q.Node)
		if s := rpc.SessionOf(ctx); s != c.sess {
			c.sess = s
			c.sessions++
		}
		return &rpc.NodeRegisterResponse{HeartbeatTTL: 10 * time.Second}, nil
	})
	rpc.NodeHeartbeat.Handle(reg, func(context.Context, *rpc.NodeHeartbeatRequest) (*rpc.NodeHeartbeatResponse, error) {
		return &rpc.NodeHeartbeatResponse{HeartbeatTTL: 10 * time.Second}, nil
	})
	rpc.NodeAllocs.Handle(reg, func(ctx context.Context, _ *rpc.NodeAllocsRequest, send func(*rpc.NodeAllocsPush) error) error {
		feed := make(chan *rpc.NodeAllocsPush, 4096)
		c.mu.Lock()
		first := c.everything()
		c.feed = feed // a node has one stream; an older one is dead
		c.mu.Unlock()
		if err := send(first); err != nil {
			return err
		}
		for {
			select {
			case p := <-feed:
				if err := send(p); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	rpc.NodeUpdate.Handle(reg, func(_ context.Context, q *rpc.NodeUpdateRequest) (*rpc.NodeUpdateResponse, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.refuse != nil {
			return nil, c.refuse
		}
		for _, a := range q.Allocs {
			c.reports[a.ID] = a
			if h := c.history[a.ID]; len(h) == 0 || h[len(h)-1] != a.ClientStatus {
				c.history[a.ID] = append(h, a.ClientStatus)
			}
		}
		c.events = append(c.events, q.Events...)
		for _, s := range q.RegisterServices {
			c.services[s.ID] = s
		}
		for _, id := range q.RemoveServices {
			delete(c.services, id)
		}
		return &rpc.NodeUpdateResponse{}, nil
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.addr = ln.Addr().String()
	c.mux = rpc.NewMux(ln, hclog.NewNullLogger())
	go c.mux.Serve()
	c.grpc = reg.Server()
	go func() {
		for {
			conn, err := c.mux.Nodes().Accept()
			if err != nil {
				return
			}
			rpc.AcceptSession(conn, c.grpc)
		}
	}()
	t.Cleanup(func() {
		c.grpc.Stop()
		c.mux.Close()
	})
	return c
}

// push sends to the node's stream if there is one. Called with the lock held.
func (c *control) push(p *rpc.NodeAllocsPush) {
	if c.feed != nil {
		c.feed <- p
	}
}

// everything is the first push of a stream. Called with the lock held.
func (c *control) everything() *rpc.NodeAllocsPush {
	p := &rpc.NodeAllocsPush{Full: true, Index: c.index}
	for _, a := range c.allocs {
		c.add(p, a)
	}
	return p
}

func (c *control) add(p *rpc.NodeAllocsPush, a *model.Allocation) {
	cp := *a
	cp.Job = nil
	if r := c.reports[a.ID]; r != nil {
		cp.ClientStatus, cp.TaskStates = r.ClientStatus, r.TaskStates
	}
	p.Jobs = append(p.Jobs, a.Job)
	p.Allocs = append(p.Allocs, &cp)
}

// run has the node run an allocation, or changes it.
func (c *control) run(a *model.Allocation) {
	c.mu.Lock()
	c.index++
	a.AllocModifyIndex = c.index
	c.allocs[a.ID] = a
	p := &rpc.NodeAllocsPush{Index: c.index}
	c.add(p, a)
	c.push(p)
	c.mu.Unlock()
}

func (c *control) change(id string, fn func(*model.Allocation)) {
	c.mu.Lock()
	a := *c.allocs[id]
	c.mu.Unlock()
	fn(&a)
	c.run(&a)
}

func (c *control) stop(id string) {
	c.change(id, func(a *model.Allocation) { a.DesiredStatus = model.AllocDesiredStop })
}

// forget is what a collection of garbage does.
func (c *control) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.allocs, id)
	c.push(&rpc.NodeAllocsPush{Removed: []string{id}})
}

func (c *control) report(id string) *model.Allocation {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reports[id]
}

func (c *control) awaitStatus(id, status string) *model.Allocation {
	c.t.Helper()
	eventually(c.t, id+" becomes "+status, func() bool {
		r := c.report(id)
		return r != nil && r.ClientStatus == status
	})
	return c.report(id)
}

// vanish ends the session and takes no new one.
func (c *control) vanish() {
	c.mux.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sess.Close()
}

func (c *control) conn() grpc.ClientConnInterface {
	c.t.Helper()
	var s *rpc.Session
	eventually(c.t, "a session", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		s = c.sess
		return s != nil
	})
	return s.Conn()
}

// rig is a node with everything around it.
type rig struct {
	t      testing.TB
	dir    string // of client state
	allocs string // alloc_dir
	world  *world
	logs   *fakeLogs
	ctl    *control
	node   *Node
	stop   func()
	gc     GC
}

func newRig(t *testing.T) *rig {
	dir := t.TempDir()
	r := &rig{t: t, dir: dir, allocs: dir + "/alloc", world: newWorld(), logs: newLogs(), ctl: newControl(t)}
	r.boot()
	return r
}

// boot starts a node on the rig's directory, as an agent would.
func (r *rig) boot() {
	r.t.Helper()
	n, err := New(Config{
		Name: "n1", StateDir: r.dir + "/client", AllocDir: r.allocs, Servers: []string{r.ctl.addr},
		HTTPAddr: "127.0.0.1:4646", Plugins: r.world, Logs: r.logs, Logger: testLogger(r.t), GC: r.gc,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.node = n
	n.shared.StopRetry = time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Run(ctx)
	}()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		if err := n.Shutdown(context.Background(), false); err != nil {
			r.t.Error(err)
		}
		cancel()
		<-done
	}
	r.t.Cleanup(func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancelStop := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancelStop()
		if err := n.Shutdown(ctx, true); err != nil {
			r.t.Error(err)
		}
		cancel()
		<-done
	})
}

func testLogger(t testing.TB) hclog.Logger {
	if !testing.Verbose() {
		return hclog.NewNullLogger()
	}
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: t.Output()})
}

// task makes a task of the fake driver.
func task(name string, change ...func(*model.Task)) *model.Task {
	t := &model.Task{Name: name, Driver: "fake", KillTimeout: time.Second, Config: map[string]any{}, Env: map[string]string{},
		LogConfig: &model.LogConfig{MaxFiles: 2, MaxFileSizeMB: 1}}
	for _, c := range change {
		c(t)
	}
	return t
}

// alloc makes an allocation of a service with these tasks.
func alloc(id, jobType string, tasks ...*model.Task) *model.Allocation {
	g := &model.TaskGroup{Name: "g", Tasks: tasks, RestartPolicy: &model.RestartPolicy{Attempts: 1, Interval: time.Hour, Delay: 0, Mode: "fail"}}
	j := &model.Job{ID: "job-" + id, Name: "job-" + id, Namespace: "default", Type: jobType, TaskGroups: []*model.TaskGroup{g}, JobModifyIndex: 7}
	a := &model.Allocation{ID: id, Namespace: "default", Name: j.ID + ".g[0]", JobID: j.ID, Job: j, TaskGroup: "g", NodeID: "n1",
		DesiredStatus: model.AllocDesiredRun, ClientStatus: model.AllocClientPending,
		AllocatedResources: &model.AllocatedResources{Tasks: map[string]*model.AllocatedTaskResources{}}}
	for _, t := range tasks {
		a.AllocatedResources.Tasks[t.Name] = &model.AllocatedTaskResources{Cpu: model.AllocatedCpu{CpuShares: 100}, Memory: model.AllocatedMemory{MemoryMB: 32}}
	}
	return a
}

// eventTypes are the types of a task's events in order.
func eventTypes(a *model.Allocation, task string) []string {
	var out []string
	for _, e := range a.TaskStates[task].Events {
		out = append(out, e.Type)
	}
	return out
}
