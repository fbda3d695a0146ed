package consensus

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

func (e *UpsertEvals) apply(tx *state.Txn) (any, error) {
	tx.UpsertEvals(e.Evals...)
	return nil, nil
}

func (e *Reap) apply(tx *state.Txn) (any, error) {
	n := 0
	count := func(deleted bool) {
		if deleted {
			n++
		}
	}
	for _, id := range e.Evals {
		count(tx.DeleteEval(id))
	}
	for _, id := range e.Allocs {
		count(tx.DeleteAlloc(id))
	}
	for _, id := range e.Deployments {
		count(tx.DeleteDeployment(id))
	}
	for _, j := range e.Jobs {
		if tx.Job(j.Namespace, j.ID) != nil {
			tx.DeleteJob(j.Namespace, j.ID)
			n++
		}
	}
	return n, nil
}

func (e *ApplyPlans) apply(tx *state.Txn) (any, error) {
	for _, p := range e.Plans {
		tx.ApplyPlan(&model.PlanResult{
			NodeUpdate: p.NodeUpdate, NodeAllocation: unpack(p.Placed, p.NodeAllocation), NodePreemptions: p.NodePreemptions,
			Deployment: p.Deployment, DeploymentUpdates: p.DeploymentUpdates,
		}, p.Evals)
	}
	return nil, nil
}

func (e *RegisterNode) apply(tx *state.Txn) (any, error) {
	schemas := make([]*state.Schema, len(e.Schemas))
	for i, s := range e.Schemas {
		schemas[i] = &state.Schema{Driver: s.Driver, Version: s.Version, Digest: s.Digest, Spec: s.Spec}
	}
	n := tx.RegisterNode(e.Node, schemas)
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func (e *NodeStatus) apply(tx *state.Txn) (any, error) {
	n := tx.SetNodeStatus(e.NodeID, e.Status, e.Description, e.Missed)
	if n == nil {
		return nil, nodeNotFound(e.NodeID)
	}
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func nodeNotFound(id string) error { return rpc.Errorf(rpc.ErrNotFound, "node not found: %s", id) }

func (e *NodeDrain) apply(tx *state.Txn) (any, error) {
	n := tx.SetNodeDrain(e.NodeID, e.Strategy, e.MarkEligible, e.Complete, e.Meta)
	if n == nil {
		return nil, nodeNotFound(e.NodeID)
	}
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func (e *NodeEligibility) apply(tx *state.Txn) (any, error) {
	n := tx.Node(e.NodeID)
	if n == nil {
		return nil, nodeNotFound(e.NodeID)
	}
	if n.DrainStrategy != nil && e.Eligibility == model.NodeEligible {
		return nil, rpc.Errorf(rpc.ErrConflict, "can not set node %s eligible while it is draining", e.NodeID)
	}
	n = tx.SetNodeEligibility(e.NodeID, e.Eligibility)
	tx.UpsertEvals(e.Evals...)
	return n, nil
}

func (e *DeleteNodes) apply(tx *state.Txn) (any, error) {
	for _, id := range e.NodeIDs {
		tx.DeleteNode(id)
	}
	tx.UpsertEvals(e.Evals...)
	return nil, nil
}

func (e *NodeUpdates) apply(tx *state.Txn) (any, error) {
	var changed []state.AllocChange
	for _, u := range e.Updates {
		changed = append(changed, tx.UpdateAllocsFromNode(u.NodeID, u.Allocs)...)
		tx.AddNodeEvents(u.NodeID, u.Events)
		for _, r := range u.RegisterServices {
			tx.UpsertService(r)
		}
		for _, id := range u.RemoveServices {
			tx.DeleteService(id)
		}
	}
	tx.UpsertEvals(e.Evals...)
	return changed, nil
}

func (e *AllocTransitions) apply(tx *state.Txn) (any, error) {
	tx.SetTransition(e.AllocIDs, e.Transition)
	tx.UpsertEvals(e.Evals...)
	return nil, nil
}

func (e *SchedulerConfig) apply(tx *state.Txn) (any, error) {
	if e.CAS != nil && tx.SchedulerConfig().ModifyIndex != *e.CAS {
		return false, nil
	}
	tx.SetSchedulerConfig(e.Config)
	return true, nil
}

func (e *AutopilotConfig) apply(tx *state.Txn) (any, error) {
	if e.CAS != nil && tx.AutopilotConfig().ModifyIndex != *e.CAS {
		return false, nil
	}
	tx.SetAutopilotConfig(e.Config)
	return true, nil
}

func (e *Namespaces) apply(tx *state.Txn) (any, error) {
	for _, ns := range e.Upsert {
		tx.UpsertNamespace(ns)
	}
	for _, name := range e.Delete {
		if tx.Namespace(name) == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "namespace %q not found", name)
		}
		for j := range tx.Jobs(name, "") {
			if j.Status != model.JobStatusDead {
				return nil, rpc.Errorf(rpc.ErrConflict, "namespace %q has at least one job that is not dead: %q; stop the namespace's jobs before deleting it", name, j.ID)
			}
		}
		tx.DeleteNamespace(name)
	}
	return nil, nil
}

func (e *NodePools) apply(tx *state.Txn) (any, error) {
	for _, p := range e.Upsert {
		tx.UpsertNodePool(p)
	}
	for _, name := range e.Delete {
		if tx.NodePool(name) == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "node pool %q not found", name)
		}
		for n := range tx.Nodes() {
			if n.NodePool == name {
				return nil, rpc.Errorf(rpc.ErrConflict, "node pool %q has nodes, among them %s: move or purge them first", name, n.ID)
			}
		}
		for j := range tx.Jobs(state.AllNamespaces, "") {
			if j.NodePool == name && j.Status != model.JobStatusDead {
				return nil, rpc.Errorf(rpc.ErrConflict, "node pool %q is used by job %q of namespace %q: stop it first", name, j.ID, j.Namespace)
			}
		}
		tx.DeleteNodePool(name)
	}
	return nil, nil
}

func (e *DeleteServices) apply(tx *state.Txn) (any, error) {
	n := 0
	for _, id := range e.IDs {
		if tx.DeleteService(id) {
			n++
		}
	}
	return n, nil
}

func (e *ReconcileSummaries) apply(tx *state.Txn) (any, error) {
	tx.ReconcileSummaries()
	return nil, nil
}
