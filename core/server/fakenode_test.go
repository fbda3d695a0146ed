package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/sdk/schema"
)

// fakeNode is a node without runtimes: it speaks the real RPC and says of every allocation what behave tells it to.
type fakeNode struct {
	t       *testing.T
	id      string
	secret  string
	sess    *rpc.Session
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	pushed  chan struct{} // holds a token after each push
	behave  func(*model.Allocation) string
	mu      sync.Mutex
	allocs  map[string]*model.Allocation
	status  map[string]string
	jobs    int
	removed []string
	pushAt  map[string]time.Time
	schema  rpc.DriverSchema
	shape   func(*model.Node)
}

type taskConfig struct {
	Command string   `config:"command,required"`
	Args    []string `config:"args"`
}

func testSchema(t *testing.T) rpc.DriverSchema { return schemaOf[taskConfig](t, "1.0.0") }

// schemaOf is the schema of a version of the driver whose tasks' configs are a C.
func schemaOf[C any](t *testing.T, version string) rpc.DriverSchema {
	t.Helper()
	spec, err := schema.Of[C]()
	if err != nil {
		t.Fatal(err)
	}
	wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec.Proto())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(wire)
	return rpc.DriverSchema{Driver: "test", Version: version, Digest: hex.EncodeToString(sum[:]), Spec: wire}
}

func testNode(id string) *model.Node {
	return &model.Node{
		ID: id, SecretID: "secret-" + id, Name: "node-" + id[:4], Datacenter: "dc1", Status: model.NodeStatusReady,
		Attributes: map[string]string{"kernel.name": "linux", "nomad.version": "1.11.3", "nomad.service_discovery": "true"},
		NodeResources: &model.NodeResources{
			Cpu: model.NodeCPU{CpuShares: 4000, TotalCpuCores: 4}, Memory: model.NodeMemory{MemoryMB: 4096}, Disk: model.NodeDisk{DiskMB: 100000},
			NodeNetworks:   []*model.NodeNetworkDevice{{Mode: "host", Device: "lo", Addresses: []model.NodeNetworkAddress{{Family: "ipv4", Alias: "default", Address: "127.0.0.1"}}}},
			MinDynamicPort: 20000, MaxDynamicPort: 32000,
		},
		ReservedResources: &model.NodeReservedResources{},
		Drivers:           map[string]*model.DriverInfo{"test": {Detected: true, Healthy: true, Version: "1.0.0"}},
	}
}

// join starts a node and waits until it is ready.
func join(t *testing.T, s *Server, behave func(*model.Allocation) string) *fakeNode {
	t.Helper()
	return joinWith(t, s, testSchema(t), behave)
}

// joinWith is join for a node whose driver has that schema.
func joinWith(t *testing.T, s *Server, sc rpc.DriverSchema, behave func(*model.Allocation) string) *fakeNode {
	t.Helper()
	return joinAs(t, s, sc, behave, func(*model.Node) {})
}

// joinAs is joinWith for a node that says of itself what shape makes of it.
func joinAs(t *testing.T, s *Server, sc rpc.DriverSchema, behave func(*model.Allocation) string, shape func(*model.Node)) *fakeNode {
	t.Helper()
	n := &fakeNode{
		schema: sc, shape: shape,
		t: t, id: uuid.NewString(), pushed: make(chan struct{}, 1), behave: behave,
		allocs: map[string]*model.Allocation{}, status: map[string]string{}, pushAt: map[string]time.Time{},
	}
	n.secret = "secret-" + n.id
	n.connect(s)
	t.Cleanup(n.leave)
	return n
}

func (n *fakeNode) connect(s *Server) {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	r := rpc.NewRegistry()
	rpc.NodeStats.Handle(r, func(context.Context, *rpc.Empty) (*rpc.HostStats, error) { return &rpc.HostStats{Uptime: 42}, nil })
	local := r.Server()
	sess, err := rpc.DialSession(ctx, nil, s.mux.Addr().String(), local)
	if err != nil {
		n.t.Fatal(err)
	}
	n.sess = sess
	sc := n.schema
	node := testNode(n.id)
	node.Drivers["test"].SchemaDigest, node.Drivers["test"].Version = sc.Digest, sc.Version
	n.shape(node)
	if _, err := rpc.NodeRegister.Call(ctx, sess.Conn(), &rpc.NodeRegisterRequest{Node: node, Schemas: []rpc.DriverSchema{sc}}); err != nil {
		n.t.Fatal(err)
	}
	next, err := rpc.NodeAllocs.Call(ctx, sess.Conn(), &rpc.NodeAllocsRequest{NodeAuth: n.auth()})
	if err != nil {
		n.t.Fatal(err)
	}
	n.wg.Go(func() {
		for {
			p, err := next()
			if err != nil {
				return
			}
			n.take(ctx, p)
		}
	})
}

func (n *fakeNode) leave() {
	n.cancel()
	n.sess.Close()
	n.wg.Wait()
}

func (n *fakeNode) auth() rpc.NodeAuth { return rpc.NodeAuth{NodeID: n.id, SecretID: n.secret} }

func (n *fakeNode) take(ctx context.Context, p *rpc.NodeAllocsPush) {
	var updates []*model.Allocation
	n.mu.Lock()
	if p.Full {
		clear(n.allocs)
	}
	n.jobs += len(p.Jobs)
	n.removed = append(n.removed, p.Removed...)
	for _, id := range p.Removed {
		delete(n.allocs, id)
	}
	for _, a := range p.Allocs {
		if _, ok := n.pushAt[a.ID]; !ok {
			n.pushAt[a.ID] = time.Now()
		}
		n.allocs[a.ID] = a
		want := model.AllocClientComplete
		if !a.ServerTerminal() {
			want = n.behave(a)
		}
		said := want + a.DeploymentID // an allocation that joins a roll-out is watched anew
		if want == "" || a.ClientTerminal() || n.status[a.ID] == said {
			continue
		}
		n.status[a.ID] = said
		updates = append(updates, &model.Allocation{ID: a.ID, ClientStatus: want, DeploymentStatus: health(a, want)})
	}
	n.mu.Unlock()
	select {
	case n.pushed <- struct{}{}:
	default:
	}
	if len(updates) > 0 {
		if err := n.report(ctx, updates...); err != nil && ctx.Err() == nil {
			select {
			case <-n.sess.Done(): // the server went away
			default:
				if !errors.Is(err, rpc.ErrNoLeader) { // it is about to
					n.t.Error(err)
				}
			}
		}
	}
}

func health(a *model.Allocation, status string) *model.AllocDeploymentStatus {
	if a.DeploymentID == "" || (status != model.AllocClientRunning && status != model.AllocClientFailed) {
		return nil
	}
	ok := status == model.AllocClientRunning
	return &model.AllocDeploymentStatus{Healthy: &ok, Timestamp: time.Now()}
}

func (n *fakeNode) report(ctx context.Context, updates ...*model.Allocation) error {
	_, err := rpc.NodeUpdate.Call(ctx, n.sess.Conn(), &rpc.NodeUpdateRequest{NodeAuth: n.auth(), Allocs: updates})
	return err
}

func (n *fakeNode) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.allocs)
}

func runs(*model.Allocation) string { return model.AllocClientRunning }
