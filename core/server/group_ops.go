package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/membership"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

func errAlone() error {
	return rpc.Errorf(rpc.ErrInvalid, "this server does not gossip (-dev): it is alone for good")
}

// Join makes this server known to others. It returns how many answered.
func (s *Server) Join(addrs []string) (int, error) {
	if s.members == nil {
		return 0, errAlone()
	}
	return s.members.Join(addrs)
}

// ForceLeave has a failed server count as one that left.
func (s *Server) ForceLeave(name string, prune bool) error {
	if s.members == nil {
		return errAlone()
	}
	for _, m := range s.members.Members() {
		if m.FullName() != name && m.Name != name {
			continue
		}
		if m.Status == membership.Alive {
			return rpc.Errorf(rpc.ErrInvalid, "server %s is alive: only a failed one can be made to leave; stop it first", m.FullName())
		}
		return s.members.ForceLeave(m.FullName(), prune)
	}
	return rpc.Errorf(rpc.ErrNotFound, "no server is called %q", name)
}

// GossipKeys lists, installs, uses or removes a key of the gossip on every server.
func (s *Server) GossipKeys(op, key string) (*membership.KeyAnswer, error) {
	if s.members == nil {
		return nil, errAlone()
	}
	return s.members.Keys(op, key)
}

// RemovePeer takes a server out of the raft group.
func (s *Server) RemovePeer(ctx context.Context, id string) error {
	servers, _, err := s.raft.Servers()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(servers, func(m raft.Server) bool { return string(m.ID) == id }) {
		return rpc.Errorf(rpc.ErrNotFound, "no server of the group has ID %q; see `drover operator raft list-peers`", id)
	}
	return s.raft.Remove(ctx, id)
}

// Transfer tells who led and who was asked to.
type Transfer struct {
	From, To raft.Server
	Noop     bool
	Err      error `json:",omitempty"`
}

// TransferLeadership hands leadership to the server with this ID or address.
func (s *Server) TransferLeadership(id, addr string) (*Transfer, error) {
	servers, _, err := s.raft.Servers()
	if err != nil {
		return nil, err
	}
	t := &Transfer{}
	found := false
	for _, m := range servers {
		if string(m.ID) == s.id {
			t.From = m
		}
		if id != "" && string(m.ID) == id || addr != "" && string(m.Address) == addr {
			t.To, found = m, true
		}
	}
	switch {
	case !found:
		return nil, rpc.Errorf(rpc.ErrNotFound, "no server of the group has ID or address %q; see `drover operator raft list-peers`", id+addr)
	case t.To.Suffrage != raft.Voter:
		return nil, rpc.Errorf(rpc.ErrInvalid, "server %s does not vote, so it cannot lead", t.To.ID)
	case t.From.ID == t.To.ID:
		t.Noop = true
		return t, nil
	}
	return t, s.raft.TransferTo(t.To)
}

// SetAutopilotConfig changes how the group is tended; with cas only when the present configuration has that ModifyIndex.
func (s *Server) SetAutopilotConfig(ctx context.Context, c *model.AutopilotConfig, cas *uint64) (updated bool, index uint64, err error) {
	for name, d := range map[string]model.Text{"LastContactThreshold": c.LastContactThreshold, "ServerStabilizationTime": c.ServerStabilizationTime} {
		if d < 0 {
			return false, 0, rpc.Errorf(rpc.ErrInvalid, "%s is %s: it must not be negative", name, time.Duration(d))
		}
	}
	if c.EnableRedundancyZones || c.EnableCustomUpgrades {
		return false, 0, rpc.Errorf(rpc.ErrInvalid, "redundancy zones and upgrade versions are not part of this release")
	}
	index, v, err := s.apply(ctx, &consensus.AutopilotConfig{Config: c, CAS: cas})
	updated, _ = v.(bool)
	return updated, index, err
}

// GroupHealth is what autopilot thinks of the group.
type GroupHealth struct {
	Healthy          bool
	FailureTolerance int // servers that may fail before nothing can be written
	Leader           string
	Voters           []string
	Servers          []ServerHealth
}

// ServerHealth is what it thinks of one server.
type ServerHealth struct {
	ID, Name, Address, SerfStatus, Version string
	Leader, Voter, Healthy                 bool
	LastContact                            model.Text
	LastTerm, LastIndex                    uint64
	StableSince                            time.Time
}

// GroupHealth is known to the leader.
func (s *Server) GroupHealth() *GroupHealth {
	if s.autopilot == nil {
		return &GroupHealth{Healthy: true, Leader: s.id, Voters: []string{s.id}, Servers: []ServerHealth{{
			ID: s.id, Name: s.cfg.Name, Address: s.addr.String(), SerfStatus: "alive", Version: s.cfg.Version,
			Leader: true, Voter: true, Healthy: true, LastTerm: s.raft.LastTerm(), LastIndex: s.raft.LastIndex(),
		}}}
	}
	st := s.autopilot.GetState()
	if st == nil {
		return &GroupHealth{} // it has just begun to look
	}
	out := &GroupHealth{Healthy: st.Healthy, FailureTolerance: st.FailureTolerance, Leader: string(st.Leader)}
	for _, id := range st.Voters {
		out.Voters = append(out.Voters, string(id))
	}
	for _, m := range st.Servers {
		out.Servers = append(out.Servers, ServerHealth{
			ID: string(m.Server.ID), Name: m.Server.Name, Address: string(m.Server.Address), SerfStatus: string(m.Server.NodeStatus),
			Version: m.Server.Version, Leader: m.Server.ID == st.Leader, Voter: m.HasVotingRights(), Healthy: m.Health.Healthy,
			LastContact: model.Text(m.Stats.LastContact), LastTerm: m.Stats.LastTerm, LastIndex: m.Stats.LastIndex, StableSince: m.Health.StableSince,
		})
	}
	slices.SortFunc(out.Servers, func(a, b ServerHealth) int { return strings.Compare(a.Name, b.Name) })
	return out
}
