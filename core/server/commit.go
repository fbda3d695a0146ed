package server

import (
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// committed tells the leader's loops what an entry changed. It runs in the goroutine that applies the log, so it only
// moves things into queues. On a server that does not lead the queues are disabled; whoever becomes leader fills them
// from the state (restoreLeader).
func (s *Server) committed(c *state.Commit) {
	if s.broker == nil {
		return
	}
	var ready []*model.Evaluation
	now := time.Now()
	s.blockedMu.Lock()
	if s.blocked != nil {
		for _, id := range c.EvalsGone {
			s.blocked.Forget(id)
		}
		for _, e := range c.Evals {
			if e.Status == model.EvalBlocked {
				if s.blocked.Block(e) {
					ready = append(ready, e)
				}
				continue
			}
			s.blocked.Forget(e.ID)
		}
		for _, class := range s.changedClasses(c) {
			ready = append(ready, s.blocked.Unblock(class, c.Index, now)...)
		}
	}
	s.blockedMu.Unlock()

	for _, e := range c.Evals {
		if e.Status == model.EvalPending {
			ready = append(ready, e)
		}
	}
	s.broker.Enqueue(ready...)
	s.broker.Forget(ended(c)...)
	s.nudges.evals.poke()
	if len(c.Deployments) > 0 {
		s.rollouts.add(c.Deployments)
		s.nudges.deployments.poke()
	}
	if len(c.Nodes) > 0 || len(c.Freed) > 0 {
		s.nudges.drains.poke()
	}
	if len(c.Jobs) > 0 {
		s.nudges.periodic.poke()
	}
	for _, id := range c.NodesGone {
		s.beats.remove(id)
	}
}

// changedClasses are the classes of nodes on which something may fit now that did not before.
func (s *Server) changedClasses(c *state.Commit) []string {
	if len(c.Nodes) == 0 && len(c.Freed) == 0 {
		return nil
	}
	var out []string
	seen := map[string]bool{}
	add := func(n *model.Node) {
		if n != nil && n.Ready() && !seen[n.ComputedClass] {
			seen[n.ComputedClass] = true
			out = append(out, n.ComputedClass)
		}
	}
	for _, n := range c.Nodes {
		add(n)
	}
	if len(c.Freed) > 0 {
		snap := s.state.Snapshot()
		for _, id := range c.Freed {
			add(snap.Node(id))
		}
	}
	return out
}

// ended are the evaluations that need no worker any more.
func ended(c *state.Commit) []string {
	out := slices.Clone(c.EvalsGone)
	for _, e := range c.Evals {
		if e.Terminal() {
			out = append(out, e.ID)
		}
	}
	return out
}
