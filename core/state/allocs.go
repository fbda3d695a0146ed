package state

import (
	"iter"
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/scheduler/fleet"
	"github.com/droverhq/drover/core/state/paged"
)

// allocTable is the one table that is large and changes all the time.
type allocTable = paged.Table[*model.Allocation]

// The indexes of allocTable.
const (
	allocsByNode = iota
	allocsByJob
	allocsByEval
	allocsByDeployment
)

func newAllocTable() *allocTable {
	return paged.New(paged.Schema[*model.Allocation]{
		ID: func(a *model.Allocation) string { return a.ID },
		Indexes: []func(*model.Allocation) string{
			allocsByNode:       func(a *model.Allocation) string { return a.NodeID },
			allocsByJob:        func(a *model.Allocation) string { return allocJob(a.Namespace, a.JobID) },
			allocsByEval:       func(a *model.Allocation) string { return a.EvalID },
			allocsByDeployment: func(a *model.Allocation) string { return a.DeploymentID },
		},
	})
}

// allocJob is a job's key: neither part may hold a zero byte.
func allocJob(namespace, id string) string { return namespace + "\x00" + id }

// editAllocs begins to write allocations: the transaction then reads what it has written.
func (tx *Txn) editAllocs() *paged.Txn[*model.Allocation] {
	if tx.allocEdit == nil {
		tx.allocEdit = tx.allocs.Txn()
		tx.allocs = &tx.allocEdit.Table
	}
	tx.touched[TableAllocs] = true
	return tx.allocEdit
}

// Alloc returns an allocation, nil when there is none with that full ID.
func (s *Snapshot) Alloc(id string) *model.Allocation {
	if s.watch != nil {
		s.watch.Add(s.allocs.WatchID(id))
	}
	a, _ := s.allocs.Get(id)
	return a
}

// Allocs lists the allocations of a namespace (or AllNamespaces) whose ID begins with idPrefix.
func (s *Snapshot) Allocs(namespace, idPrefix string) iter.Seq[*model.Allocation] {
	if s.watch != nil {
		s.watch.Add(s.allocs.WatchAll())
	}
	all := s.allocs.Prefix(idPrefix)
	if namespace == AllNamespaces {
		return all
	}
	return filter(all, func(a *model.Allocation) bool { return a.Namespace == namespace })
}

// AllocsByJob returns a job's allocations, those of earlier jobs of the same name included.
func (s *Snapshot) AllocsByJob(namespace, id string) []*model.Allocation {
	return collect(s.allocsBy(allocsByJob, allocJob(namespace, id)))
}

// AllocsByNode returns a node's allocations.
func (s *Snapshot) AllocsByNode(id string) []*model.Allocation {
	return collect(s.allocsBy(allocsByNode, id))
}

// AllocsByEval returns the allocations an evaluation made.
func (s *Snapshot) AllocsByEval(id string) []*model.Allocation {
	return collect(s.allocsBy(allocsByEval, id))
}

// AllocsByDeployment returns the allocations of a roll-out.
func (s *Snapshot) AllocsByDeployment(id string) []*model.Allocation {
	return collect(s.allocsBy(allocsByDeployment, id))
}

func (s *Snapshot) allocsBy(index int, key string) iter.Seq[*model.Allocation] {
	if s.watch != nil {
		s.watch.Add(s.allocs.WatchBy(index, key))
	}
	return s.allocs.By(index, key)
}

// copyAlloc returns a copy whose own fields may be set. Its maps and lists are shared: they are replaced, not changed.
func copyAlloc(old *model.Allocation) *model.Allocation {
	a := *old
	a.AllocStates = slices.Clip(old.AllocStates)
	if old.DeploymentStatus != nil {
		st := *old.DeploymentStatus
		a.DeploymentStatus = &st
	}
	return &a
}

// putAlloc writes an allocation over old (nil when it is new). Changes of the servers are pushed to its node.
func (tx *Txn) putAlloc(old, a *model.Allocation, byServer bool) {
	a.Job = nil
	a.ModifyIndex, a.ModifyTime = tx.index, tx.now.UnixNano()
	if byServer {
		a.AllocModifyIndex = tx.index
	}
	tx.editAllocs().Put(a)
	tx.countAlloc(old, a)
	tx.columns = append(tx.columns, func(t *fleet.Table) { t.ApplyAlloc(old, a) })
	if old != nil && (!old.Terminal() && a.Terminal() || !old.ClientTerminal() && a.ClientTerminal()) {
		tx.commit.Freed = append(tx.commit.Freed, a.NodeID)
	}
	if a.ClientTerminal() && (old == nil || !old.ClientTerminal()) {
		for _, r := range collect(tx.ServicesByAlloc(a.ID)) {
			tx.DeleteService(r.ID)
		}
	}
	if a.DeploymentID != "" {
		tx.commit.Deployments = append(tx.commit.Deployments, a.DeploymentID)
	}
	if byServer {
		tx.push(a)
	}
	tx.event(Event{
		Topic: TopicAllocation, Key: a.ID, Namespace: a.Namespace,
		FilterKeys: present(a.JobID, a.DeploymentID), Payload: AllocationPayload{Allocation: a},
	})
}

// UpdateAllocsFromNode takes over what a node says of its allocations: the client-side fields only. Allocations that
// are not known, or not that node's, are left out. It returns those that changed, as they were and as they are.
func (tx *Txn) UpdateAllocsFromNode(nodeID string, updates []*model.Allocation) (changed []AllocChange) {
	for _, u := range updates {
		old := tx.Alloc(u.ID)
		if old == nil || (nodeID != "" && old.NodeID != nodeID) {
			continue
		}
		a := copyAlloc(old)
		if u.ClientStatus != "" {
			a.ClientStatus, a.ClientDescription = u.ClientStatus, u.ClientDescription
			if u.ClientStatus != old.ClientStatus && (old.ClientStatus == model.AllocClientUnknown || len(old.AllocStates) > 0) {
				a.AllocStates = append(a.AllocStates, model.AllocState{Field: "ClientStatus", Value: u.ClientStatus, Time: tx.now})
			}
		}
		if u.TaskStates != nil {
			a.TaskStates = u.TaskStates
		}
		if u.NetworkStatus != nil {
			a.NetworkStatus = u.NetworkStatus
		}
		if u.DeploymentStatus != nil && u.DeploymentStatus.Healthy != nil {
			tx.setHealth(old, a, *u.DeploymentStatus.Healthy, u.DeploymentStatus.Timestamp)
		}
		tx.putAlloc(old, a, false)
		changed = append(changed, AllocChange{old, a})
	}
	return changed
}

// AllocChange is an allocation before and after.
type AllocChange struct {
	Old, New *model.Allocation
}

// setHealth records an allocation's health within its deployment and counts it there.
func (tx *Txn) setHealth(old, a *model.Allocation, healthy bool, at time.Time) {
	was := healthOf(old)
	st := model.AllocDeploymentStatus{}
	if a.DeploymentStatus != nil {
		st = *a.DeploymentStatus
	}
	if was != nil && *was == healthy {
		return
	}
	if at.IsZero() {
		at = tx.now
	}
	st.Healthy, st.Timestamp, st.ModifyIndex = &healthy, at, tx.index
	a.DeploymentStatus = &st
	if a.DeploymentID != "" {
		tx.countHealth(a, was, healthy, at)
	}
}

func healthOf(a *model.Allocation) *bool {
	if a.DeploymentStatus == nil {
		return nil
	}
	return a.DeploymentStatus.Healthy
}

// SetTransition changes what the scheduler is asked to do with allocations. A field that is nil stays as it is.
func (tx *Txn) SetTransition(ids []string, t model.DesiredTransition) {
	for _, id := range ids {
		old := tx.Alloc(id)
		if old == nil {
			continue
		}
		a := copyAlloc(old)
		for _, f := range []struct{ to, from **bool }{
			{&a.DesiredTransition.Migrate, &t.Migrate},
			{&a.DesiredTransition.Reschedule, &t.Reschedule},
			{&a.DesiredTransition.ForceReschedule, &t.ForceReschedule},
			{&a.DesiredTransition.NoShutdownDelay, &t.NoShutdownDelay},
			{&a.DesiredTransition.MigrateDisablePlacement, &t.MigrateDisablePlacement},
		} {
			if *f.from != nil {
				*f.to = *f.from
			}
		}
		tx.putAlloc(old, a, true)
	}
}

// DeleteAlloc forgets an allocation and tells its node.
func (tx *Txn) DeleteAlloc(id string) bool {
	a := tx.Alloc(id)
	if a == nil {
		return false
	}
	tx.editAllocs().Delete(a.ID)
	tx.countAlloc(a, nil)
	tx.columns = append(tx.columns, func(t *fleet.Table) { t.ApplyAlloc(a, nil) })
	for _, r := range collect(tx.ServicesByAlloc(id)) {
		tx.DeleteService(r.ID)
	}
	tx.dropOrphanVersion(a)
	tx.pushRemoved(a)
	return true
}
