package state

import (
	"iter"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
)

// Node returns a node, nil when there is none with that full ID.
func (s *Snapshot) Node(id string) *model.Node { return one[*model.Node](s, TableNodes, byID, id) }

// Nodes lists all nodes.
func (s *Snapshot) Nodes() iter.Seq[*model.Node] { return each[*model.Node](s, TableNodes, byID) }

// NodesByPrefix lists the nodes whose ID begins with p.
func (s *Snapshot) NodesByPrefix(p string) iter.Seq[*model.Node] {
	return each[*model.Node](s, TableNodes, byID+prefix, p)
}

// RegisterNode adds a node or takes over what it says of itself. What the servers and users decided stays: eligibility,
// drain, events. A node that was not ready becomes so only by its own status.
func (tx *Txn) RegisterNode(reg *model.Node, schemas []*Schema) *model.Node {
	n := *reg
	n.ModifyIndex = tx.index
	old := tx.Node(n.ID)
	if old == nil {
		n.CreateIndex = tx.index
		n.StatusUpdatedAt = tx.now.Unix()
		if n.SchedulingEligibility == "" {
			n.SchedulingEligibility = model.NodeEligible
		}
		n.Events = []*model.NodeEvent{tx.nodeEvent("Node registered", "Cluster", nil)}
	} else {
		n.CreateIndex = old.CreateIndex
		n.SchedulingEligibility = old.SchedulingEligibility
		n.DrainStrategy = old.DrainStrategy
		n.LastDrain = old.LastDrain
		n.Events = old.Events
		n.LastMissedHeartbeatIndex, n.LastAllocUpdateIndex = old.LastMissedHeartbeatIndex, old.LastAllocUpdateIndex
		n.StatusUpdatedAt = old.StatusUpdatedAt
		if n.Status != old.Status {
			n.StatusUpdatedAt = tx.now.Unix()
		}
		if old.Status == model.NodeStatusDown || old.Status == model.NodeStatusDisconnected {
			n.Events = appendEvent(n.Events, tx.nodeEvent("Node re-registered", "Cluster", nil))
		}
	}
	if n.NodePool == "" {
		n.NodePool = model.NodePoolDefault
	}
	if tx.NodePool(n.NodePool) == nil {
		tx.UpsertNodePool(&model.NodePool{Name: n.NodePool})
	}
	n.ComputedClass = fleet.ComputedClass(&n)
	tx.putNode(&n)
	tx.registerSchemas(&n, schemas)
	return &n
}

func (tx *Txn) putNode(n *model.Node) {
	tx.insert(TableNodes, n)
	tx.columns = append(tx.columns, func(t *fleet.Table) { t.UpsertNode(n) })
	tx.commit.Nodes = append(tx.commit.Nodes, n)
	tx.event(Event{Topic: TopicNode, Key: n.ID, Payload: NodePayload{Node: public(n)}})
}

// public is a node without its secret.
func public(n *model.Node) *model.Node {
	c := *n
	c.SecretID = ""
	return &c
}

// changeNode replaces a node by what change makes of a copy; nil when there is none.
func (tx *Txn) changeNode(id string, change func(*model.Node)) *model.Node {
	old := tx.Node(id)
	if old == nil {
		return nil
	}
	n := *old
	n.ModifyIndex = tx.index
	change(&n)
	tx.putNode(&n)
	return &n
}

// SetNodeStatus changes a node's status; missed says that it did not report in time.
func (tx *Txn) SetNodeStatus(id, status, description string, missed bool) *model.Node {
	return tx.changeNode(id, func(n *model.Node) {
		if missed {
			n.LastMissedHeartbeatIndex = tx.index
			n.Events = appendEvent(n.Events, tx.nodeEvent("Node heartbeat missed", "Cluster", nil))
		} else if status == model.NodeStatusReady && (n.Status == model.NodeStatusDown || n.Status == model.NodeStatusDisconnected) {
			n.Events = appendEvent(n.Events, tx.nodeEvent("Node reregistered by heartbeat", "Cluster", nil))
		}
		if n.Status != status {
			n.StatusUpdatedAt = tx.now.Unix()
		}
		n.Status, n.StatusDescription = status, description
	})
}

// SetNodeEligibility changes whether a node takes new allocations.
func (tx *Txn) SetNodeEligibility(id, eligibility string) *model.Node {
	return tx.changeNode(id, func(n *model.Node) {
		if n.SchedulingEligibility != eligibility {
			n.Events = appendEvent(n.Events, tx.nodeEvent("Node marked as "+eligibility+" for scheduling", "Cluster", nil))
		}
		n.SchedulingEligibility = eligibility
	})
}

// SetNodeDrain starts a drain or, with a nil strategy, ends it: complete says that the node is empty, otherwise it was
// cancelled. eligible makes the node eligible again.
func (tx *Txn) SetNodeDrain(id string, strategy *model.DrainStrategy, eligible, complete bool, meta map[string]string) *model.Node {
	return tx.changeNode(id, func(n *model.Node) {
		message := "Node drain strategy set"
		switch {
		case strategy != nil:
			s := *strategy
			s.StartedAt = tx.now
			if s.Deadline > 0 {
				s.ForceDeadline = tx.now.Add(s.Deadline)
			}
			n.DrainStrategy = &s
			n.SchedulingEligibility = model.NodeIneligible
			n.LastDrain = &model.DrainMetadata{StartedAt: tx.now, UpdatedAt: tx.now, Status: model.DrainDraining, Meta: meta}
		case n.DrainStrategy == nil:
			message = ""
		default:
			n.DrainStrategy = nil
			last := model.DrainMetadata{StartedAt: tx.now}
			if n.LastDrain != nil {
				last = *n.LastDrain
			}
			last.UpdatedAt, last.Status = tx.now, model.DrainCanceled
			message = "Node drain strategy unset"
			if complete {
				last.Status, message = model.DrainComplete, "Node drain complete"
			}
			if meta != nil {
				last.Meta = meta
			}
			n.LastDrain = &last
		}
		if strategy == nil && eligible {
			n.SchedulingEligibility = model.NodeEligible
		}
		if message != "" {
			n.Events = appendEvent(n.Events, tx.nodeEvent(message, "Drain", nil))
		}
	})
}

// AddNodeEvents appends what a node tells of itself.
func (tx *Txn) AddNodeEvents(id string, events []*model.NodeEvent) {
	if len(events) == 0 {
		return
	}
	tx.changeNode(id, func(n *model.Node) {
		for _, e := range events {
			c := *e
			c.CreateIndex = tx.index
			n.Events = appendEvent(n.Events, &c)
		}
	})
}

// DeleteNode forgets a node.
func (tx *Txn) DeleteNode(id string) bool {
	n := tx.Node(id)
	if n == nil {
		return false
	}
	tx.remove(TableNodes, n)
	tx.columns = append(tx.columns, func(t *fleet.Table) { t.DeleteNode(id) })
	tx.commit.NodesGone = append(tx.commit.NodesGone, id)
	tx.dropSchemas(id, nil)
	tx.event(Event{Topic: TopicNode, Key: id, Payload: NodePayload{Node: public(n)}})
	return true
}

func (tx *Txn) nodeEvent(message, subsystem string, details map[string]string) *model.NodeEvent {
	return &model.NodeEvent{Message: message, Subsystem: subsystem, Details: details, Timestamp: tx.now, CreateIndex: tx.index}
}

// appendEvent keeps the newest events and leaves the given slice as it is.
func appendEvent(events []*model.NodeEvent, e *model.NodeEvent) []*model.NodeEvent {
	if over := len(events) + 1 - model.MaxNodeEvents; over > 0 {
		events = events[over:]
	}
	return append(append(make([]*model.NodeEvent, 0, len(events)+1), events...), e)
}
