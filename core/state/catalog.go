package state

import (
	"iter"

	"github.com/droverhq/drover/core/model"
)

// Service returns one registration of the built-in catalog.
func (s *Snapshot) Service(id string) *model.ServiceRegistration {
	return one[*model.ServiceRegistration](s, TableServices, byID, id)
}

// Services lists the registrations of a namespace (or AllNamespaces) by service name.
func (s *Snapshot) Services(namespace string) iter.Seq[*model.ServiceRegistration] {
	if namespace == AllNamespaces {
		return each[*model.ServiceRegistration](s, TableServices, byService+prefix, "")
	}
	return each[*model.ServiceRegistration](s, TableServices, byService+prefix, namespace, "")
}

// ServicesByName lists the instances of a service.
func (s *Snapshot) ServicesByName(namespace, name string) iter.Seq[*model.ServiceRegistration] {
	return each[*model.ServiceRegistration](s, TableServices, byService, namespace, name)
}

// ServicesByAlloc lists what an allocation registered.
func (s *Snapshot) ServicesByAlloc(id string) iter.Seq[*model.ServiceRegistration] {
	return each[*model.ServiceRegistration](s, TableServices, byAlloc, id)
}

// ServicesByJob lists what a job's allocations registered.
func (s *Snapshot) ServicesByJob(namespace, id string) iter.Seq[*model.ServiceRegistration] {
	return each[*model.ServiceRegistration](s, TableServices, byJob, namespace, id)
}

// UpsertService stores a registration.
func (tx *Txn) UpsertService(reg *model.ServiceRegistration) {
	r := *reg
	r.CreateIndex, r.ModifyIndex = tx.index, tx.index
	if old := tx.Service(r.ID); old != nil {
		r.CreateIndex = old.CreateIndex
	}
	tx.insert(TableServices, &r)
	tx.serviceEvent(&r, "ServiceRegistration")
}

// DeleteService removes a registration.
func (tx *Txn) DeleteService(id string) bool {
	r := tx.Service(id)
	if r == nil {
		return false
	}
	tx.remove(TableServices, r)
	tx.serviceEvent(r, "ServiceDeregistration")
	return true
}

func (tx *Txn) serviceEvent(r *model.ServiceRegistration, kind string) {
	tx.event(Event{
		Topic: TopicService, Key: r.ID, Namespace: r.Namespace,
		FilterKeys: present(r.JobID, r.ServiceName), Payload: ServicePayload{Service: r},
	})
	tx.events[len(tx.events)-1].Type = kind
}

// Namespace returns a namespace.
func (s *Snapshot) Namespace(name string) *model.Namespace {
	return one[*model.Namespace](s, TableNamespaces, byID, name)
}

// Namespaces lists the namespaces.
func (s *Snapshot) Namespaces() iter.Seq[*model.Namespace] {
	return each[*model.Namespace](s, TableNamespaces, byID)
}

// NodePool returns a node pool.
func (s *Snapshot) NodePool(name string) *model.NodePool {
	return one[*model.NodePool](s, TableNodePools, byID, name)
}

// NodePools lists the node pools.
func (s *Snapshot) NodePools() iter.Seq[*model.NodePool] {
	return each[*model.NodePool](s, TableNodePools, byID)
}

// UpsertNamespace stores a namespace.
func (tx *Txn) UpsertNamespace(ns *model.Namespace) {
	n := *ns
	n.CreateIndex, n.ModifyIndex = tx.index, tx.index
	if old := tx.Namespace(n.Name); old != nil {
		n.CreateIndex = old.CreateIndex
	}
	tx.insert(TableNamespaces, &n)
}

// DeleteNamespace removes a namespace.
func (tx *Txn) DeleteNamespace(name string) {
	if n := tx.Namespace(name); n != nil {
		tx.remove(TableNamespaces, n)
	}
}

// UpsertNodePool stores a node pool.
func (tx *Txn) UpsertNodePool(pool *model.NodePool) {
	p := *pool
	p.CreateIndex, p.ModifyIndex = tx.index, tx.index
	if old := tx.NodePool(p.Name); old != nil {
		p.CreateIndex = old.CreateIndex
	}
	tx.insert(TableNodePools, &p)
	tx.event(Event{Topic: TopicNodePool, Key: p.Name, Payload: NodePoolPayload{NodePool: &p}})
	tx.events[len(tx.events)-1].Type = "NodePoolUpserted"
}

// DeleteNodePool removes a node pool.
func (tx *Txn) DeleteNodePool(name string) {
	if p := tx.NodePool(name); p != nil {
		tx.remove(TableNodePools, p)
		tx.event(Event{Topic: TopicNodePool, Key: name, Payload: NodePoolPayload{NodePool: p}})
	}
}

// SetSchedulerConfig stores the operator's choice.
func (tx *Txn) SetSchedulerConfig(cfg *model.SchedulerConfig) {
	c := *cfg
	c.CreateIndex, c.ModifyIndex = tx.index, tx.index
	if old := one[*model.SchedulerConfig](tx.Snapshot, TableSchedulerConfig, byID, "global"); old != nil {
		c.CreateIndex = old.CreateIndex
	}
	tx.insert(TableSchedulerConfig, &c)
}

// SetAutopilotConfig stores how the group of servers is tended.
func (tx *Txn) SetAutopilotConfig(cfg *model.AutopilotConfig) {
	c := *cfg
	c.CreateIndex, c.ModifyIndex = tx.index, tx.index
	if old := one[*model.AutopilotConfig](tx.Snapshot, TableAutopilotConfig, byID, "global"); old != nil {
		c.CreateIndex = old.CreateIndex
	}
	tx.insert(TableAutopilotConfig, &c)
}
