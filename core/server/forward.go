package server

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/membership"
	"github.com/droverhq/drover/core/rpc"
)

// holdForLeader is how long a request that needs the leader waits for one: an election takes about a second.
const holdForLeader = 5 * time.Second

// AwaitLeader returns the leader's address, waiting for an election that is under way. local tells that it is this
// server, whose loops run then.
func (s *Server) AwaitLeader(ctx context.Context) (addr string, local bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, holdForLeader)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.leads() {
			return s.addr.String(), true, nil
		}
		if addr, id := s.raft.Leader(); addr != "" && id != s.id {
			return addr, false, nil
		}
		if full := s.raft.DiskError(); full != nil { // which is why there is none, as far as this server knows
			return "", false, &rpc.Error{Class: rpc.ErrExhausted, Text: full.Error()}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", false, errNoLeader()
		case <-s.ctx.Done():
			return "", false, errNoLeader()
		}
	}
}

// leads tells whether this server is the leader and has taken up its work.
func (s *Server) leads() bool {
	s.leadMu.Lock()
	ready := s.ready
	s.leadMu.Unlock()
	select {
	case <-ready:
		return s.raft.IsLeader()
	default:
		return false
	}
}

// ask calls the leader, or local when that is this server.
func ask[Q, R any](ctx context.Context, s *Server, m rpc.Unary[Q, R], q *Q, local func(context.Context, *Q) (*R, error)) (*R, error) {
	addr, here, err := s.AwaitLeader(ctx)
	if err != nil {
		return nil, err
	}
	if here {
		return local(ctx, q)
	}
	if rpc.Forwarded(ctx) {
		return nil, errNoLeader() // whoever passed it on knows less of the election than this server
	}
	conn, err := s.peers.Conn(addr)
	if err != nil {
		return nil, err
	}
	return m.Call(rpc.Forward(ctx), conn, q)
}

// NodeElsewhere says that a node is connected to another server.
type NodeElsewhere struct{ Addr string }

func (e *NodeElsewhere) Error() string { return "the node is connected to the server at " + e.Addr }

// NodeConn is for calls to a node: they go over the connection that the node opened. The error is a *NodeElsewhere when
// it opened that to another server.
func (s *Server) NodeConn(ctx context.Context, nodeID string) (grpc.ClientConnInterface, error) {
	if sess := s.sessions.get(nodeID); sess != nil {
		return sess.Conn(), nil
	}
	if s.state.Snapshot().Node(nodeID) == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "node not found: %s", nodeID)
	}
	if addr := s.whoHas(ctx, nodeID); addr != "" {
		return nil, &NodeElsewhere{addr}
	}
	return nil, rpc.Errorf(rpc.ErrNoPath, "No path to node %s: it is not connected to any server", nodeID)
}

// whoHas asks the other servers which of them a node is connected to; "" none.
func (s *Server) whoHas(ctx context.Context, nodeID string) string {
	if s.members == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	found := make(chan string, 1)
	var wg sync.WaitGroup
	for _, m := range s.regional() {
		if m.ID == s.id || m.Status != membership.Alive {
			continue
		}
		wg.Go(func() {
			conn, err := s.peers.Conn(m.RPCAddr)
			if err != nil {
				return
			}
			if r, err := rpc.ServerNode.Call(ctx, conn, &rpc.ServerNodeRequest{NodeID: nodeID}); err == nil && r.Connected {
				select {
				case found <- m.RPCAddr:
					cancel()
				default:
				}
			}
		})
	}
	wg.Wait()
	select {
	case addr := <-found:
		return addr
	default:
		return ""
	}
}

// Consistent returns once it is certain that nothing newer was acknowledged than what this server's state holds.
func (s *Server) Consistent(ctx context.Context) error {
	if err := s.raft.VerifyLeader(ctx); err != nil {
		return err
	}
	return s.raft.Barrier(ctx)
}

// Contact is how long ago this server heard of the leader; negative: never.
func (s *Server) Contact() time.Duration { return s.raft.Contact() }
