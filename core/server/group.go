package server

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/membership"
	"github.com/droverhq/drover/core/rpc"
)

// groupInterval is how often the group is compared with the gossip when nobody came or went.
const groupInterval = 5 * time.Second

// role is what this server is to its group; changed is closed when it begins or ceases to lead.
type role struct {
	mu      sync.Mutex
	changed chan struct{}
}

func (r *role) turn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *role) next() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// newGroup begins to gossip.
func (s *Server) newGroup() error {
	g := s.cfg.Gossip
	dir := ""
	if s.cfg.DataDir != "" {
		dir = filepath.Join(s.cfg.DataDir, "server", "gossip")
	}
	var err error
	s.members, err = membership.Open(membership.Config{
		Self: s.self(), Bind: g.Bind, Advertise: g.Advertise, Dir: dir, Key: g.Key, RejoinAfterLeave: g.RejoinAfterLeave, Logger: s.cfg.Logger,
	})
	if errors.Is(err, membership.ErrNoUDP) && s.cfg.BootstrapExpect == 1 && len(g.Join) == 0 {
		s.logger.Warn("this server does not gossip, so no other can join it", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	s.newAutopilot()
	return nil
}

// self is this server as the others see it.
func (s *Server) self() membership.Member {
	m := membership.Member{
		ID: s.id, Name: s.cfg.Name, Region: s.cfg.Region, Datacenter: s.cfg.Datacenter, Build: s.cfg.Version,
		Expect: s.cfg.BootstrapExpect, RPCAddr: s.addr.String(), Status: membership.Alive,
	}
	m.NonVoter = s.cfg.Gossip != nil && s.cfg.Gossip.NonVoter
	return m
}

// joinGroup asks the configured servers until one answers.
func (s *Server) joinGroup() {
	g := s.cfg.Gossip
	if len(g.Join) == 0 {
		return
	}
	interval := g.RetryInterval
	if interval <= 0 {
		interval = 30 * time.Second
	}
	wait := min(time.Second, interval) // servers of a new group are started one after the other
	for try := 1; ; try++ {
		n, err := s.members.Join(g.Join)
		// The list may name this server too, and then one has answered in any case.
		if others := company(s.id, s.members.Members()); others > 0 {
			s.logger.Info("joined other servers", "answered", n, "known", others)
			return
		}
		if g.RetryMax > 0 && try >= g.RetryMax {
			s.logger.Error("no other server answered; giving up (server_join.retry_max)", "tries", try, "error", err)
			return
		}
		s.logger.Warn("no other server answered", "servers", g.Join, "error", err, "retry_in", wait)
		select {
		case <-time.After(wait):
		case <-s.ctx.Done():
			return
		}
		wait = min(2*wait, interval)
	}
}

// company counts the servers that gossip besides this one. Those that are only remembered do not count: all of them may
// have other addresses by now, which then only the configured list tells.
func company(self string, members []membership.Member) int {
	n := 0
	for _, m := range members {
		if m.ID != self && m.Status == membership.Alive {
			n++
		}
	}
	return n
}

// watchGroup founds the group when enough servers have met and, on the leader, keeps raft's members in step with those
// that gossip.
func (s *Server) watchGroup() {
	tick := time.NewTicker(groupInterval)
	defer tick.Stop()
	for {
		changed, turned := s.members.Changed(), s.role.next()
		switch {
		case !s.raft.Member():
			if err := s.found(); err != nil && s.ctx.Err() == nil {
				s.logger.Warn("the group is not founded yet", "error", err)
			}
		case s.raft.IsLeader():
			s.adjustGroup()
		}
		s.keepPeers()
		select {
		case <-changed:
		case <-turned:
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// regional are the servers of this region that the gossip knows.
func (s *Server) regional() []membership.Member {
	return slices.DeleteFunc(s.members.Members(), func(m membership.Member) bool { return m.Region != s.cfg.Region })
}

// found makes a new group of all servers known, if they are as many as each of them expects and none belongs to a group.
// Only the one with the lowest ID does it: the others are taken in by its first message.
func (s *Server) found() error {
	servers, err := founders(s.id, s.cfg.BootstrapExpect, s.regional())
	if err != nil || len(servers) == 0 {
		return err
	}
	for _, m := range servers {
		if m.ID == s.id {
			continue
		}
		conn, err := s.peers.Conn(m.RPCAddr)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		r, err := rpc.ServerGroup.Call(ctx, conn, &rpc.Empty{})
		cancel()
		if err != nil {
			return fmt.Errorf("ask server %s at %s: %w", m.Name, m.RPCAddr, err)
		}
		if r.ID != m.ID {
			return fmt.Errorf("server %s at %s says that its ID is %s, the gossip says %s", m.Name, m.RPCAddr, r.ID, m.ID)
		}
		if r.Member {
			s.logger.Info("a group exists; waiting to be taken in", "through", m.Name)
			return nil
		}
	}
	var group []raft.Server
	for _, m := range servers {
		group = append(group, raft.Server{ID: raft.ServerID(m.ID), Address: raft.ServerAddress(m.RPCAddr)})
	}
	s.logger.Info("founding the group", "servers", len(group))
	return s.raft.Found(group)
}

// founders are the servers that found a group together, none while it is not yet, or not for this server, to do so.
func founders(self string, expect int, members []membership.Member) ([]membership.Member, error) {
	if expect < 2 {
		return nil, nil
	}
	var out []membership.Member
	seen := map[string]string{}
	for _, m := range members {
		if m.Status != membership.Alive || m.NonVoter || m.Expect == 0 {
			continue
		}
		if m.Expect != expect {
			return nil, fmt.Errorf("server %s expects %d servers, this one %d: set the same server.bootstrap_expect on all", m.Name, m.Expect, expect)
		}
		if other := seen[m.ID]; other != "" {
			return nil, fmt.Errorf("servers %s and %s have the same ID %s: a data directory was copied; delete its file server/server-id", other, m.Name, m.ID)
		}
		seen[m.ID] = m.Name
		out = append(out, m)
	}
	if len(out) < expect {
		return nil, nil
	}
	slices.SortFunc(out, func(a, b membership.Member) int { return strings.Compare(a.ID, b.ID) })
	if out[0].ID != self {
		return nil, nil
	}
	return out, nil
}

// keepPeers forgets connections to servers that are gone.
func (s *Server) keepPeers() {
	known := map[string]bool{}
	for _, m := range s.members.Members() {
		if m.Status == membership.Alive {
			known[m.RPCAddr] = true
		}
	}
	s.peers.Keep(known)
}

// awaitRemoval returns when the leader has taken this server out of the group.
func (s *Server) awaitRemoval(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		servers, _, err := s.raft.Servers()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(servers, func(m raft.Server) bool { return string(m.ID) == s.id }) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the leader has not taken this server out of the group within 10s; `drover operator raft remove-peer` does it by hand")
		}
	}
}

// serveServers answers the other servers.
func (s *Server) serveServers(r *rpc.Registry) {
	rpc.ServerGroup.Handle(r, func(context.Context, *rpc.Empty) (*rpc.ServerGroupResponse, error) {
		a := &rpc.ServerGroupResponse{ID: s.id, LastIndex: s.raft.LastIndex(), LastTerm: s.raft.LastTerm(), Contact: int64(s.raft.Contact())}
		if servers, _, err := s.raft.Servers(); err == nil {
			for _, m := range servers {
				a.Servers = append(a.Servers, string(m.ID))
			}
		}
		a.Member = len(a.Servers) > 0
		return a, nil
	})
	rpc.ServerNode.Handle(r, func(_ context.Context, q *rpc.ServerNodeRequest) (*rpc.ServerNodeResponse, error) {
		return &rpc.ServerNodeResponse{Connected: s.sessions.get(q.NodeID) != nil}, nil
	})
	rpc.EvalDequeue.Handle(r, s.serveDequeue)
	rpc.EvalFinish.Handle(r, s.serveFinish)
	rpc.EvalStore.Handle(r, s.serveStore)
	rpc.PlanSubmit.Handle(r, s.servePlan)
}
