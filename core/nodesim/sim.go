// Package nodesim runs thousands of simulated nodes in one process, for measuring servers. A node is a session of its own
// over the real protocol: it registers, sends heartbeats, follows its stream of allocations and reports them as running.
// It is not the real node: it starts nothing, keeps nothing, and answers no call of a server.
package nodesim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// Config describes a fleet.
type Config struct {
	Server string // RPC address
	Nodes  int
	Racks  int           // distinct values of ${meta.rack}
	CPU    int64         // MHz of each node
	Memory int64         // MB of each node
	Batch  time.Duration // reports of a node gather for this long, as a real node's do
	Joins  int           // nodes that register at the same time
}

// Fleet is the running nodes and what they have done so far.
type Fleet struct {
	Ready    atomic.Int64 // nodes that are registered
	Received atomic.Int64 // allocations that nodes were told to run
	Acked    atomic.Int64 // of them, those whose running a server has acknowledged
	cfg      Config
	wg       sync.WaitGroup
}

// Driver is what the tasks of simulated nodes must name.
const Driver = "sim"

// Start connects all nodes and returns when every one is registered, or with the first error. They run until ctx ends;
// Wait waits for them.
func Start(ctx context.Context, cfg Config) (*Fleet, error) {
	f := &Fleet{cfg: cfg}
	slots := make(chan struct{}, max(cfg.Joins, 1))
	errs := make(chan error, cfg.Nodes)
	for i := range cfg.Nodes {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			n := &node{fleet: f, model: f.describe(i)}
			if err := n.join(ctx); err != nil {
				errs <- fmt.Errorf("node %d: %w", i, err)
				return
			}
			f.Ready.Add(1)
			errs <- nil
		}()
	}
	for range cfg.Nodes {
		if err := <-errs; err != nil {
			return f, err
		}
	}
	return f, nil
}

// Wait returns when every node has ended.
func (f *Fleet) Wait() { f.wg.Wait() }

func (f *Fleet) describe(i int) *model.Node {
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", i*2654435761&0xffffffff, i)
	return &model.Node{
		ID: id, SecretID: "secret-" + id, Name: fmt.Sprintf("sim-%05d", i), Datacenter: "dc1", NodePool: model.NodePoolDefault,
		Status: model.NodeStatusReady,
		Attributes: map[string]string{
			"kernel.name": "linux", "cpu.arch": "amd64", "nomad.version": "1.11.3", "nomad.service_discovery": "true",
			"unique.hostname": fmt.Sprintf("sim-%05d", i),
		},
		Meta: map[string]string{"rack": fmt.Sprintf("r%d", i%max(f.cfg.Racks, 1)), "disk": []string{"ssd", "hdd"}[i%2]},
		NodeResources: &model.NodeResources{
			Cpu: model.NodeCPU{CpuShares: f.cfg.CPU, TotalCpuCores: 32}, Memory: model.NodeMemory{MemoryMB: f.cfg.Memory},
			Disk: model.NodeDisk{DiskMB: 10_000_000},
			NodeNetworks: []*model.NodeNetworkDevice{{Mode: "host", Device: "eth0", Addresses: []model.NodeNetworkAddress{
				{Family: "ipv4", Alias: "default", Address: fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)},
			}}},
			MinDynamicPort: 20000, MaxDynamicPort: 32000,
		},
		ReservedResources: &model.NodeReservedResources{},
		Drivers:           map[string]*model.DriverInfo{Driver: {Detected: true, Healthy: true, Version: "1.0.0"}},
	}
}

// node is one simulated node.
type node struct {
	fleet *Fleet
	model *model.Node
	sess  *rpc.Session

	mu    sync.Mutex
	known map[string]string // what was reported last, by allocation
	queue []*model.Allocation
	wake  chan struct{}
}

func (n *node) auth() rpc.NodeAuth {
	return rpc.NodeAuth{NodeID: n.model.ID, SecretID: n.model.SecretID}
}

// join registers the node and starts its loops.
func (n *node) join(ctx context.Context) error {
	sess, err := rpc.DialSession(ctx, nil, n.fleet.cfg.Server, rpc.NewRegistry().Server())
	if err != nil {
		return err
	}
	n.sess, n.known, n.wake = sess, map[string]string{}, make(chan struct{}, 1)
	resp, err := rpc.NodeRegister.Call(ctx, sess.Conn(), &rpc.NodeRegisterRequest{Node: n.model})
	if err != nil {
		sess.Close()
		return fmt.Errorf("register: %w", err)
	}
	next, err := rpc.NodeAllocs.Call(ctx, sess.Conn(), &rpc.NodeAllocsRequest{NodeAuth: n.auth()})
	if err != nil {
		sess.Close()
		return fmt.Errorf("follow allocations: %w", err)
	}
	wg := &n.fleet.wg
	wg.Go(func() { <-ctx.Done(); sess.Close() })
	wg.Go(func() { n.heartbeats(ctx, resp.HeartbeatTTL) })
	wg.Go(func() { n.follow(next) })
	wg.Go(func() { n.reports(ctx) })
	return nil
}

// heartbeats keeps the node ready; a failed one is repeated soon.
func (n *node) heartbeats(ctx context.Context, ttl time.Duration) {
	wait := time.Duration(float64(ttl) * (0.3 + 0.5*rand.Float64()))
	for {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		resp, err := rpc.NodeHeartbeat.Call(ctx, n.sess.Conn(), &rpc.NodeHeartbeatRequest{NodeAuth: n.auth(), Status: model.NodeStatusReady})
		if wait = time.Second; err == nil {
			wait = resp.HeartbeatTTL * 8 / 10
		}
	}
}

func (n *node) follow(next func() (*rpc.NodeAllocsPush, error)) {
	for {
		p, err := next()
		if err != nil {
			return
		}
		n.take(p)
	}
}

// take notes what is to be reported: what should run runs at once, what should stop is complete.
func (n *node) take(p *rpc.NodeAllocsPush) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range p.Removed {
		delete(n.known, id)
	}
	for _, a := range p.Allocs {
		want := model.AllocClientRunning
		if a.ServerTerminal() {
			want = model.AllocClientComplete
		}
		if a.ClientTerminal() || n.known[a.ID] == want+a.DeploymentID {
			continue
		}
		if n.known[a.ID] == "" && want == model.AllocClientRunning {
			n.fleet.Received.Add(1)
		}
		n.known[a.ID] = want + a.DeploymentID
		u := &model.Allocation{ID: a.ID, ClientStatus: want}
		if a.DeploymentID != "" && want == model.AllocClientRunning {
			u.DeploymentStatus = &model.AllocDeploymentStatus{Healthy: new(true), Timestamp: time.Now()}
		}
		n.queue = append(n.queue, u)
	}
	if len(n.queue) > 0 {
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
}

// reports sends what has gathered, again until the server takes it.
func (n *node) reports(ctx context.Context) {
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(n.fleet.cfg.Batch):
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		list := n.queue
		n.queue = nil
		n.mu.Unlock()
		for len(list) > 0 {
			_, err := rpc.NodeUpdate.Call(ctx, n.sess.Conn(), &rpc.NodeUpdateRequest{NodeAuth: n.auth(), Allocs: list})
			if err == nil {
				break
			}
			if ctx.Err() != nil || errors.Is(err, rpc.ErrNotFound) {
				return
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
		for _, u := range list {
			if u.ClientStatus == model.AllocClientRunning {
				n.fleet.Acked.Add(1)
			}
		}
	}
}
