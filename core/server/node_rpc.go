package server

import (
	"context"
	"crypto/subtle"

	"github.com/google/uuid"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// serveNodes answers the nodes.
func (s *Server) serveNodes(r *rpc.Registry) {
	rpc.NodeRegister.Handle(r, s.nodeRegister)
	rpc.NodeHeartbeat.Handle(r, s.nodeHeartbeat)
	rpc.NodeAllocs.Handle(r, s.nodeAllocs)
	rpc.NodeUpdate.Handle(r, s.nodeUpdate)
	rpc.NodeServices.Handle(r, s.nodeServices)
}

func sameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// nodeRegister has the leader register a node that is connected to any server.
func (s *Server) nodeRegister(ctx context.Context, q *rpc.NodeRegisterRequest) (*rpc.NodeRegisterResponse, error) {
	if err := checkNode(q.Node); err != nil {
		return nil, err
	}
	r, err := ask(ctx, s, rpc.NodeRegister, q, s.registerNode)
	if err != nil {
		return nil, err
	}
	// What the node asks next may be answered from this server's state.
	if err := s.state.WaitIndex(ctx, r.Index); err != nil {
		return nil, err
	}
	s.sessions.name(q.Node.ID, rpc.SessionOf(ctx))
	return r, nil
}

// registerNode runs on the leader.
func (s *Server) registerNode(ctx context.Context, q *rpc.NodeRegisterRequest) (*rpc.NodeRegisterResponse, error) {
	n := *q.Node
	if n.Status == "" {
		n.Status = model.NodeStatusInit
	}
	snap := s.state.Snapshot()
	old := snap.Node(n.ID)
	if old != nil && !sameSecret(old.SecretID, n.SecretID) {
		return nil, rpc.Errorf(rpc.ErrDenied, "node %s is registered with another secret ID: purge it or give this one an ID of its own", n.ID)
	}
	if old != nil && old.Status == model.NodeStatusReady && n.Status == model.NodeStatusInit {
		n.Status = old.Status // it only tells what else it offers now
	}
	entry := &consensus.RegisterNode{Node: &n}
	entry.Schemas = s.acceptSchemas(n.ID, q.Schemas)
	if old == nil || old.Status != n.Status || placementChanged(old, &n) {
		entry.Evals = nodeEvals(snap, &n, model.TriggerNodeUpdate)
	}
	admitted, err := s.introduceNode(snap, entry, q.IntroToken)
	if err != nil {
		return nil, err
	}
	// The clock starts before the entry: the answer may be late, the node's next report will not be.
	ttl := s.beat(n.ID)
	index, _, err := s.apply(ctx, admitted)
	if err != nil {
		return nil, err
	}
	return &rpc.NodeRegisterResponse{HeartbeatTTL: ttl, Index: index, Servers: s.Peers()}, nil
}

func checkNode(n *model.Node) error {
	switch {
	case n == nil:
		return rpc.Errorf(rpc.ErrInvalid, "registration without a node")
	case n.ID == "":
		return rpc.Errorf(rpc.ErrInvalid, "registration without a node ID")
	case n.SecretID == "":
		return rpc.Errorf(rpc.ErrInvalid, "node %s registers without a secret ID", n.ID)
	case n.Name == "":
		return rpc.Errorf(rpc.ErrInvalid, "node %s registers without a name", n.ID)
	case n.Datacenter == "":
		return rpc.Errorf(rpc.ErrInvalid, "node %s registers without a datacenter", n.ID)
	}
	switch n.Status {
	case "", model.NodeStatusInit, model.NodeStatusReady:
		return nil
	}
	return rpc.Errorf(rpc.ErrInvalid, "node %s registers with status %q: it must be %s or %s", n.ID, n.Status, model.NodeStatusInit, model.NodeStatusReady)
}

// placementChanged tells whether something changed that system jobs look at.
func placementChanged(old, n *model.Node) bool {
	if old.Datacenter != n.Datacenter || old.NodePool != n.NodePool || old.NodeClass != n.NodeClass || len(old.Drivers) != len(n.Drivers) {
		return true
	}
	for name, d := range n.Drivers {
		o := old.Drivers[name]
		if o == nil || o.Detected != d.Detected || o.Healthy != d.Healthy || o.SchemaDigest != d.SchemaDigest {
			return true
		}
	}
	return false
}

func (s *Server) nodeHeartbeat(ctx context.Context, q *rpc.NodeHeartbeatRequest) (*rpc.NodeHeartbeatResponse, error) {
	if err := s.authenticate(ctx, q.NodeAuth); err != nil {
		return nil, err
	}
	return ask(ctx, s, rpc.NodeHeartbeat, q, s.noteHeartbeat)
}

// noteHeartbeat runs on the leader.
func (s *Server) noteHeartbeat(ctx context.Context, q *rpc.NodeHeartbeatRequest) (*rpc.NodeHeartbeatResponse, error) {
	snap := s.state.Snapshot()
	n := snap.Node(q.NodeID)
	if n == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "node not found: %s", q.NodeID)
	}
	ttl := s.beat(q.NodeID)
	if q.Status != "" && q.Status != n.Status {
		changed := *n
		changed.Status = q.Status
		_, _, err := s.apply(ctx, &consensus.NodeStatus{
			NodeID: q.NodeID, Status: q.Status, Evals: nodeEvals(snap, &changed, model.TriggerNodeUpdate),
		})
		if err != nil {
			return nil, err
		}
	}
	return &rpc.NodeHeartbeatResponse{HeartbeatTTL: ttl, Servers: s.Peers()}, nil
}

// nodeEvals asks anew for every job that a change of a node may concern: those with allocations on it and, when it can
// take some, the system jobs.
func nodeEvals(snap *state.Snapshot, n *model.Node, trigger string) []*model.Evaluation {
	seen := map[model.JobID]bool{}
	var out []*model.Evaluation
	add := func(namespace, id, kind string, priority int, index uint64) {
		key := model.JobID{Namespace: namespace, ID: id}
		if seen[key] {
			return
		}
		seen[key] = true
		out = append(out, &model.Evaluation{
			ID: uuid.NewString(), Namespace: namespace, Priority: priority, Type: kind, TriggeredBy: trigger, JobID: id,
			JobModifyIndex: index, NodeID: n.ID, NodeModifyIndex: n.ModifyIndex, Status: model.EvalPending,
		})
	}
	for _, a := range snap.AllocsByNode(n.ID) {
		if a.Terminal() {
			continue
		}
		if j := snap.Job(a.Namespace, a.JobID); j != nil {
			add(j.Namespace, j.ID, j.Type, j.Priority, j.JobModifyIndex)
		} else if j := snap.JobOf(a); j != nil {
			add(a.Namespace, a.JobID, j.Type, j.Priority, 0)
		}
	}
	if n.Status != model.NodeStatusReady {
		return out
	}
	for j := range snap.Jobs(state.AllNamespaces, "") {
		if (j.Type == model.JobTypeSystem || j.Type == model.JobTypeSysBatch) && !j.Stop && !j.IsPeriodic() && !j.IsParameterized() {
			add(j.Namespace, j.ID, j.Type, j.Priority, j.JobModifyIndex)
		}
	}
	return out
}

// nodeAllocs streams a node's allocations: first all of them, then what the servers change, as it commits.
func (s *Server) nodeAllocs(ctx context.Context, q *rpc.NodeAllocsRequest, send func(*rpc.NodeAllocsPush) error) error {
	if err := s.authenticate(ctx, q.NodeAuth); err != nil {
		return err
	}
	feed, snap := s.state.NodeFeed(q.NodeID)
	defer feed.Close()
	sent := sentJobs{}
	full := &rpc.NodeAllocsPush{Full: true, Index: snap.Index(), Allocs: forNode(snap.AllocsByNode(q.NodeID))}
	full.Jobs = sent.fresh(snap, full.Allocs)
	if err := send(full); err != nil {
		return err
	}
	for {
		c, err := feed.Next(ctx)
		if err != nil {
			return err
		}
		p := &rpc.NodeAllocsPush{Index: c.Index, Allocs: forNode(c.Allocs), Removed: c.Removed}
		p.Jobs = sent.fresh(s.state.Snapshot(), p.Allocs)
		if err := send(p); err != nil {
			return err
		}
	}
}

// forNode leaves out what nodes have no use for: why an allocation was placed is larger than all the rest of it.
func forNode(allocs []*model.Allocation) []*model.Allocation {
	out := make([]*model.Allocation, len(allocs))
	for i, a := range allocs {
		bare := *a
		bare.Metrics = nil
		out[i] = &bare
	}
	return out
}

// sentJobs remembers which job versions a stream has carried.
type sentJobs map[sentJob]bool

type sentJob struct {
	model.JobID
	created, version uint64
}

// fresh returns the versions that the allocations run and the stream has not carried.
func (sent sentJobs) fresh(snap *state.Snapshot, allocs []*model.Allocation) []*model.Job {
	var out []*model.Job
	for _, a := range allocs {
		j := snap.JobOf(a)
		if j == nil {
			continue
		}
		key := sentJob{j.Key(), j.CreateIndex, j.Version}
		if !sent[key] {
			sent[key] = true
			out = append(out, j)
		}
	}
	return out
}
