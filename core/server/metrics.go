package server

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/server/broker"
	"github.com/droverhq/drover/core/state"
)

// Metrics are the leader's gauges.
type Metrics struct {
	Broker     broker.Stats
	Blocked    int
	Escaped    int
	PlanQueue  int
	Heartbeats int
	Nodes      int // connected to this server
	JobStatus  map[string]int
	Summaries  []*model.JobSummary
}

// Metrics counts.
func (s *Server) Metrics() Metrics {
	m := Metrics{
		Broker: s.broker.Stats(), PlanQueue: s.plans.depth(), Heartbeats: s.beats.count(), Nodes: s.sessions.count(),
		JobStatus: map[string]int{},
	}
	s.blockedMu.Lock()
	m.Blocked, m.Escaped = s.blocked.Stats()
	s.blockedMu.Unlock()
	snap := s.state.Snapshot()
	for j := range snap.Jobs(state.AllNamespaces, "") {
		m.JobStatus[j.Status]++
		if sum := snap.JobSummary(j.Namespace, j.ID); sum != nil {
			m.Summaries = append(m.Summaries, sum)
		}
	}
	return m
}

func (ss *sessions) count() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.byNode)
}
