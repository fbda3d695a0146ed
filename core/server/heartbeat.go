package server

import (
	"context"
	"sync"
	"time"

	"github.com/droverhq/drover/core/consensus"
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/state"
)

// heartbeats has a timer for each node that is expected to report.
type heartbeats struct {
	missed func(node string)

	mu     sync.Mutex
	timers map[string]*time.Timer
}

func newHeartbeats(missed func(string)) *heartbeats {
	return &heartbeats{missed: missed, timers: map[string]*time.Timer{}}
}

// reset gives a node this long until its next report.
func (h *heartbeats) reset(node string, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.timers[node]; t != nil {
		t.Stop()
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		h.mu.Lock()
		current := h.timers[node] == timer
		if current {
			delete(h.timers, node)
		}
		h.mu.Unlock()
		if current {
			h.missed(node)
		}
	})
	h.timers[node] = timer
}

func (h *heartbeats) remove(node string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t := h.timers[node]; t != nil {
		t.Stop()
		delete(h.timers, node)
	}
}

func (h *heartbeats) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, t := range h.timers {
		t.Stop()
		delete(h.timers, id)
	}
}

func (h *heartbeats) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.timers)
}

// beat notes that a node reported and returns how soon it must do so again.
func (s *Server) beat(node string) time.Duration {
	ttl := s.cfg.Heartbeat.MinTTL
	if rate := s.cfg.Heartbeat.MaxPerSecond; rate > 0 {
		ttl = max(ttl, time.Duration(float64(s.beats.count())/rate*float64(time.Second)))
	}
	ttl += jitter(ttl)
	s.beats.reset(node, ttl+s.cfg.Heartbeat.Grace)
	return ttl
}

// retryMissed is how soon a missed heartbeat is looked at again when it could not be stored.
const retryMissed = 5 * time.Second

// missed gives a silent node up.
func (s *Server) missed(id string) {
	snap := s.state.Snapshot()
	n := snap.Node(id)
	if n == nil || n.Status == model.NodeStatusDown || !s.raft.IsLeader() {
		return
	}
	status := lostStatus(snap, n, time.Now())
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	s.logger.Warn("node missed its heartbeat", "node", id, "name", n.Name, "status", status)
	changed := *n
	changed.Status = status
	_, _, err := s.apply(ctx, &consensus.NodeStatus{
		NodeID: id, Status: status, Description: "heartbeat missed", Missed: true,
		Evals: nodeEvals(snap, &changed, model.TriggerNodeUpdate),
	})
	if err != nil && s.ctx.Err() == nil {
		s.logger.Error("cannot store that a node is lost", "node", id, "error", err)
		s.beats.reset(id, retryMissed)
		return
	}
	if status == model.NodeStatusDisconnected {
		s.beats.reset(id, disconnectLeft(snap, n, time.Now()))
	}
}

// lostStatus is disconnected while an allocation may outlast the silence, down otherwise.
func lostStatus(snap *state.Snapshot, n *model.Node, now time.Time) string {
	if disconnectLeft(snap, n, now) > 0 {
		return model.NodeStatusDisconnected
	}
	return model.NodeStatusDown
}

// disconnectLeft is how long the last of a node's allocations may still be out of reach.
func disconnectLeft(snap *state.Snapshot, n *model.Node, now time.Time) time.Duration {
	var left time.Duration
	for _, a := range snap.AllocsByNode(n.ID) {
		if a.Terminal() {
			continue
		}
		j := snap.JobOf(a)
		if j == nil {
			continue
		}
		g := j.Group(a.TaskGroup)
		if g == nil || g.Disconnect == nil || g.Disconnect.LostAfter <= 0 {
			continue
		}
		left = max(left, g.Disconnect.LostAfter-now.Sub(unknownSince(a, now)))
	}
	return left
}

// unknownSince is when the allocation became unknown; now when it is not.
func unknownSince(a *model.Allocation, now time.Time) time.Time {
	if a.ClientStatus != model.AllocClientUnknown {
		return now
	}
	for i := len(a.AllocStates) - 1; i >= 0; i-- {
		if st := a.AllocStates[i]; st.Field == "ClientStatus" && st.Value == model.AllocClientUnknown {
			return st.Time
		}
	}
	return now
}
