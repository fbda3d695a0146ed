package server

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/droverhq/drover/core/rpc"
)

// sessions are the nodes' connections: one for each node, the newest.
type sessions struct {
	mu     sync.Mutex
	byNode map[string]*rpc.Session
	all    map[*rpc.Session]bool
	closed bool
}

func newSessions() *sessions {
	return &sessions{byNode: map[string]*rpc.Session{}, all: map[*rpc.Session]bool{}}
}

func (ss *sessions) add(s *rpc.Session) bool {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if ss.closed {
		return false
	}
	ss.all[s] = true
	return true
}

// name says which node a connection belongs to. The node's first call may come before add: what it registers with must
// lead to it all the same. One that is gone is not taken up again, because remove has come or will come.
func (ss *sessions) name(node string, s *rpc.Session) {
	if s == nil {
		return
	}
	ss.mu.Lock()
	defer ss.mu.Unlock()
	select {
	case <-s.Done():
		return
	default:
	}
	if !ss.closed {
		ss.byNode[node] = s
	}
}

func (ss *sessions) remove(s *rpc.Session) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	delete(ss.all, s)
	for node, cur := range ss.byNode {
		if cur == s {
			delete(ss.byNode, node)
		}
	}
}

func (ss *sessions) get(node string) *rpc.Session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.byNode[node]
}

func (ss *sessions) closeAll() {
	ss.mu.Lock()
	ss.closed = true
	var all []*rpc.Session
	for s := range ss.all {
		all = append(all, s)
	}
	ss.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
}

// acceptNodes takes the nodes' connections until the port is closed.
func (s *Server) acceptNodes() {
	for {
		conn, err := s.mux.Nodes().Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.logger.Error("accept node connections", "error", err)
			}
			return
		}
		sess, err := rpc.AcceptSession(conn, s.nodes)
		if err != nil {
			s.logger.Warn("node connection refused", "from", conn.RemoteAddr(), "error", err)
			continue
		}
		if !s.sessions.add(sess) {
			sess.Close()
			return
		}
		s.goRun(func() {
			select {
			case <-sess.Done():
			case <-s.ctx.Done():
				sess.Close()
			}
			s.sessions.remove(sess)
		})
	}
}

// authenticate checks that a call comes from the node it names.
func (s *Server) authenticate(ctx context.Context, a rpc.NodeAuth) error {
	n := s.state.Snapshot().Node(a.NodeID)
	if n == nil {
		return rpc.Errorf(rpc.ErrNotFound, "node not found: %s: it must register first", a.NodeID)
	}
	if !sameSecret(n.SecretID, a.SecretID) {
		return rpc.Errorf(rpc.ErrDenied, "node %s is registered with another secret ID", a.NodeID)
	}
	s.sessions.name(a.NodeID, rpc.SessionOf(ctx))
	return nil
}
