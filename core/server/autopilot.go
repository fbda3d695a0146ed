package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	autopilot "github.com/hashicorp/raft-autopilot"

	"github.com/droverhq/drover/core/membership"
	"github.com/droverhq/drover/core/rpc"
)

// newAutopilot prepares what tends the group while this server leads: new servers vote once they have been stable for a
// while, dead ones are removed when that does not cost the majority.
func (s *Server) newAutopilot() {
	s.autopilot = autopilot.New(s.raft.Raft(), pilot{s}, autopilot.WithLogger(s.logger.Named("autopilot")),
		autopilot.WithUpdateInterval(2*time.Second), autopilot.WithReconcileInterval(5*time.Second))
}

// adjustGroup takes servers in that gossip but do not belong to the group, and out that left for good.
func (s *Server) adjustGroup() {
	if running, _ := s.autopilot.IsRunning(); running != autopilot.Running {
		return
	}
	servers, _, err := s.raft.Servers()
	if err != nil {
		return
	}
	at := map[raft.ServerID]raft.ServerAddress{}
	for _, m := range servers {
		at[m.ID] = m.Address
	}
	for _, m := range s.regional() {
		id, addr := raft.ServerID(m.ID), raft.ServerAddress(m.RPCAddr)
		cur, in := at[id]
		switch {
		case m.ID == s.id:
		case m.Status == membership.Alive && !in && !s.mayTake(m, at):
		case m.Status == membership.Alive && (!in || cur != addr):
			s.logger.Info("taking a server into the group", "name", m.Name, "id", m.ID, "address", m.RPCAddr)
			if err := s.autopilot.AddServer(s.pilotServer(m)); err != nil {
				s.logger.Error("cannot take a server into the group", "name", m.Name, "error", err)
			}
		case m.Status == membership.Left && in:
			s.logger.Info("taking a server that left out of the group", "name", m.Name, "id", m.ID)
			if err := s.autopilot.RemoveServer(id); err != nil {
				s.logger.Error("cannot take a server out of the group", "name", m.Name, "error", err)
			}
		}
	}
}

// mayTake asks a server whether it can be taken in without a loss. What it says against it is logged once.
func (s *Server) mayTake(m membership.Member, ours map[raft.ServerID]raft.ServerAddress) bool {
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	defer cancel()
	conn, err := s.peers.Conn(m.RPCAddr)
	var r *rpc.ServerGroupResponse
	if err == nil {
		r, err = rpc.ServerGroup.Call(ctx, conn, &rpc.Empty{})
	}
	if err == nil {
		err = strange(m.ID, r, ours)
	}
	if err == nil {
		delete(s.refused, m.ID)
		return true
	}
	if text := err.Error(); s.refused[m.ID] != text && s.ctx.Err() == nil {
		s.refused[m.ID] = text
		s.logger.Warn("a server is not taken into the group", "name", m.Name, "id", m.ID, "address", m.RPCAddr, "error", err)
	}
	return false
}

// strange is why a server that gossips under an ID cannot be taken in. One that has a group of its own, which has nobody
// in common with this one, would lose that group's state for this one's. One that comes back knows some of ours.
func strange(id string, r *rpc.ServerGroupResponse, ours map[raft.ServerID]raft.ServerAddress) error {
	if r.ID != id {
		return fmt.Errorf("what answers there is server %s", r.ID)
	}
	for _, known := range r.Servers {
		if _, in := ours[raft.ServerID(known)]; in {
			return nil
		}
	}
	if len(r.Servers) == 0 {
		return nil
	}
	return errors.New("it belongs to another group, whose state it would lose: to have it join this one, stop it, remove the directory server in its data_dir, and start it with server_join")
}

func (s *Server) pilotServer(m membership.Member) *autopilot.Server {
	status := map[membership.Status]autopilot.NodeStatus{
		membership.Alive: autopilot.NodeAlive, membership.Leaving: autopilot.NodeAlive,
		membership.Left: autopilot.NodeLeft, membership.Failed: autopilot.NodeFailed,
	}
	_, leader := s.raft.Leader()
	return &autopilot.Server{
		ID: raft.ServerID(m.ID), Name: m.Name, Address: raft.ServerAddress(m.RPCAddr), NodeStatus: status[m.Status], Version: m.Build,
		RaftVersion: 3, NodeType: autopilot.NodeVoter, IsLeader: m.ID == leader,
	}
}

// pilot is what the autopilot library asks of a server.
type pilot struct{ s *Server }

var _ autopilot.ApplicationIntegration = pilot{}

func (p pilot) AutopilotConfig() *autopilot.Config {
	c := p.s.state.Snapshot().AutopilotConfig()
	return &autopilot.Config{
		CleanupDeadServers: c.CleanupDeadServers, LastContactThreshold: time.Duration(c.LastContactThreshold), MaxTrailingLogs: c.MaxTrailingLogs,
		MinQuorum: minQuorum(c.MinQuorum, p.s.cfg.BootstrapExpect), ServerStabilizationTime: time.Duration(c.ServerStabilizationTime),
	}
}

// minQuorum is how many servers stay in the group even if they are dead: those it was founded with, unless the operator
// says otherwise. A server that is only out of reach for a while thus keeps its vote until another one has its place;
// without it the next failure would cost the majority.
func minQuorum(wanted uint, expect int) uint {
	if wanted > 0 {
		return wanted
	}
	return uint(max(expect, 0))
}

func (p pilot) NotifyState(*autopilot.State) {}

func (p pilot) FetchServerStats(ctx context.Context, servers map[raft.ServerID]*autopilot.Server) map[raft.ServerID]*autopilot.ServerStats {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[raft.ServerID]*autopilot.ServerStats{}
	for id, srv := range servers {
		if string(id) == p.s.id {
			mu.Lock()
			out[id] = &autopilot.ServerStats{LastTerm: p.s.raft.LastTerm(), LastIndex: p.s.raft.LastIndex()}
			mu.Unlock()
			continue
		}
		wg.Go(func() {
			conn, err := p.s.peers.Conn(string(srv.Address))
			if err != nil {
				return
			}
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			r, err := rpc.ServerGroup.Call(ctx, conn, &rpc.Empty{})
			if err != nil || r.ID != string(id) || r.Contact < 0 {
				return // no answer is what makes it unhealthy
			}
			mu.Lock()
			defer mu.Unlock()
			out[id] = &autopilot.ServerStats{LastContact: time.Duration(r.Contact), LastTerm: r.LastTerm, LastIndex: r.LastIndex}
		})
	}
	wg.Wait()
	return out
}

func (p pilot) KnownServers() map[raft.ServerID]*autopilot.Server {
	out := map[raft.ServerID]*autopilot.Server{}
	for _, m := range p.s.regional() {
		if !m.NonVoter {
			out[raft.ServerID(m.ID)] = p.s.pilotServer(m)
		}
	}
	return out
}

func (p pilot) RemoveFailedServer(srv *autopilot.Server) {
	p.s.goRun(func() {
		p.s.logger.Warn("a dead server is taken out of the group", "name", srv.Name, "id", string(srv.ID))
		if err := p.s.members.ForceLeave(srv.Name+"."+p.s.cfg.Region, false); err != nil {
			p.s.logger.Error("cannot take a dead server out of the gossip", "name", srv.Name, "error", err)
		}
	})
}
