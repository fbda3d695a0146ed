package server

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/membership"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
)

// SchedulerConfigRequest changes the operator's choice; with CAS only when the present one has that ModifyIndex.
type SchedulerConfigRequest struct {
	Config *model.SchedulerConfig
	CAS    *uint64
}

// SchedulerConfigResponse tells whether it was changed.
type SchedulerConfigResponse struct {
	Updated bool
	Index   uint64
}

// SetSchedulerConfig changes how the schedulers work.
func (s *Server) SetSchedulerConfig(ctx context.Context, q *SchedulerConfigRequest) (*SchedulerConfigResponse, error) {
	if q.Config == nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "missing scheduler configuration")
	}
	c := *q.Config
	switch c.SchedulerAlgorithm {
	case "":
		c.SchedulerAlgorithm = model.DefaultSchedulerConfig().SchedulerAlgorithm
	case "binpack", "spread":
	default:
		return nil, rpc.Errorf(rpc.ErrInvalid, "invalid scheduler algorithm: %q: it must be binpack or spread", c.SchedulerAlgorithm)
	}
	if c.NodeLimitForFeasibilityChecks < 0 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "node_limit_for_feasibility_checks is %d: it must not be negative", c.NodeLimitForFeasibilityChecks)
	}
	if c.NodeLimitForFeasibilityChecks == 0 {
		c.NodeLimitForFeasibilityChecks = model.DefaultSchedulerConfig().NodeLimitForFeasibilityChecks
	}
	index, v, err := s.apply(ctx, &consensus.SchedulerConfig{Config: &c, CAS: q.CAS})
	if err != nil {
		return nil, err
	}
	s.broker.Pause(s.state.Snapshot().SchedulerConfig().PauseEvalBroker)
	updated, _ := v.(bool)
	return &SchedulerConfigResponse{Updated: updated, Index: index}, nil
}

// ReconcileSummaries counts the jobs' summaries anew.
func (s *Server) ReconcileSummaries(ctx context.Context) error {
	_, _, err := s.apply(ctx, &consensus.ReconcileSummaries{})
	return err
}

// RaftServer is a member of the raft group.
type RaftServer struct {
	ID           string
	Node         string
	Address      string
	Leader       bool
	Voter        bool
	RaftProtocol string
}

// RaftConfiguration lists the group's members.
func (s *Server) RaftConfiguration() ([]RaftServer, uint64, error) {
	servers, index, err := s.raft.Servers()
	if err != nil {
		return nil, 0, err
	}
	_, leader := s.raft.Leader()
	names := map[string]string{}
	for _, m := range s.Members() {
		names[m.ID] = m.Name
	}
	var out []RaftServer
	for _, p := range servers {
		m := RaftServer{
			ID: string(p.ID), Node: "(unknown)", Address: string(p.Address), Leader: string(p.ID) == leader,
			Voter: p.Suffrage == 0, RaftProtocol: "3",
		}
		if name := names[m.ID]; name != "" {
			m.Node = name
		}
		if m.ID == s.id {
			m.Address = s.addr.String()
		}
		out = append(out, m)
	}
	return out, index, nil
}

// Member is a server as the agent's API lists it.
type Member struct {
	ID     string
	Name   string
	Addr   string
	Port   int
	Tags   map[string]string
	Status string
	Leader bool
}

// Members lists the servers of all regions that this one knows.
func (s *Server) Members() []Member {
	if s.members == nil {
		return []Member{s.Self()}
	}
	var out []Member
	for _, m := range s.members.Members() {
		out = append(out, s.member(&m))
	}
	return out
}

// Self is this server as a member.
func (s *Server) Self() Member {
	m := s.self()
	m.Tags = m.TagsOf()
	if s.members != nil {
		for _, known := range s.members.Members() {
			if known.ID == s.id {
				m = known
			}
		}
	}
	return s.member(&m)
}

func (s *Server) member(m *membership.Member) Member {
	_, leader := s.raft.Leader()
	host, text, _ := net.SplitHostPort(m.RPCAddr)
	port, _ := strconv.Atoi(text)
	if m.Addr != nil {
		host, port = m.Addr.String(), m.Port
	}
	return Member{
		ID: m.ID, Name: m.FullName(), Addr: host, Port: port, Status: string(m.Status), Leader: m.ID == leader && leader != "", Tags: m.Tags,
	}
}

// Stats are figures for people.
func (s *Server) Stats() map[string]map[string]string {
	m := s.Metrics()
	return map[string]map[string]string{
		"nomad": {
			"server": "true", "leader": strconv.FormatBool(s.IsLeader()), "leader_addr": s.Leader(),
			"bootstrap": strconv.FormatBool(s.cfg.BootstrapExpect == 1), "known_regions": strconv.Itoa(len(s.Regions())), "server_id": s.id,
		},
		"raft": s.raft.Stats(),
		"broker": {
			"ready": fmt.Sprint(m.Broker.Ready), "unacked": fmt.Sprint(m.Broker.Unacked), "pending": fmt.Sprint(m.Broker.Pending),
			"waiting": fmt.Sprint(m.Broker.Waiting), "blocked": fmt.Sprint(m.Blocked), "plan_queue": fmt.Sprint(m.PlanQueue),
		},
	}
}

func (s *Server) tempDir() string { return s.cfg.DataDir }

var (
	namespaceName = regexp.MustCompile(`^[a-zA-Z0-9-]{1,128}$`)
	poolName      = regexp.MustCompile(`^[a-zA-Z0-9-_]{1,128}$`)
)

const maxDescription = 256

// UpsertNamespace stores a namespace.
func (s *Server) UpsertNamespace(ctx context.Context, ns *model.Namespace) (*IndexResponse, error) {
	switch {
	case ns == nil || !namespaceName.MatchString(ns.Name):
		return nil, rpc.Errorf(rpc.ErrInvalid, "invalid namespace name: it must have 1 to 128 letters, digits or dashes")
	case len(ns.Description) > maxDescription:
		return nil, rpc.Errorf(rpc.ErrInvalid, "description of namespace %q is longer than %d", ns.Name, maxDescription)
	}
	index, _, err := s.apply(ctx, &consensus.Namespaces{Upsert: []*model.Namespace{ns}})
	return &IndexResponse{index}, err
}

// DeleteNamespace forgets a namespace in which nothing runs.
func (s *Server) DeleteNamespace(ctx context.Context, name string) (*IndexResponse, error) {
	if name == model.DefaultNamespace {
		return nil, rpc.Errorf(rpc.ErrInvalid, "can not delete default namespace")
	}
	index, _, err := s.apply(ctx, &consensus.Namespaces{Delete: []string{name}})
	return &IndexResponse{index}, err
}

func builtInPool(name string) bool { return name == model.NodePoolDefault || name == model.NodePoolAll }

// UpsertNodePool stores a node pool.
func (s *Server) UpsertNodePool(ctx context.Context, p *model.NodePool) (*IndexResponse, error) {
	switch {
	case p == nil || !poolName.MatchString(p.Name):
		return nil, rpc.Errorf(rpc.ErrInvalid, "invalid node pool name: it must have 1 to 128 letters, digits, dashes or underscores")
	case builtInPool(p.Name):
		return nil, rpc.Errorf(rpc.ErrInvalid, "modifying node pool %q is not allowed", p.Name)
	case len(p.Description) > maxDescription:
		return nil, rpc.Errorf(rpc.ErrInvalid, "description of node pool %q is longer than %d", p.Name, maxDescription)
	}
	index, _, err := s.apply(ctx, &consensus.NodePools{Upsert: []*model.NodePool{p}})
	return &IndexResponse{index}, err
}

// DeleteNodePool forgets a node pool that nothing uses.
func (s *Server) DeleteNodePool(ctx context.Context, name string) (*IndexResponse, error) {
	if builtInPool(name) {
		return nil, rpc.Errorf(rpc.ErrInvalid, "node pool %q is built-in and cannot be deleted", name)
	}
	index, _, err := s.apply(ctx, &consensus.NodePools{Delete: []string{name}})
	return &IndexResponse{index}, err
}

// DeregisterService removes one instance from the built-in catalog.
func (s *Server) DeregisterService(ctx context.Context, namespace, name, id string) (*IndexResponse, error) {
	r := s.state.Snapshot().Service(id)
	if r == nil || r.Namespace != namespace || r.ServiceName != name {
		return nil, rpc.Errorf(rpc.ErrNotFound, "service registration not found")
	}
	index, _, err := s.apply(ctx, &consensus.DeleteServices{IDs: []string{id}})
	return &IndexResponse{index}, err
}
