package state

import (
	"maps"
	"slices"

	"github.com/droverhq/drover/core/model"
)

// ApplyPlan commits what the plan applier accepted of a plan, and the evaluations of jobs whose allocations it preempts.
func (tx *Txn) ApplyPlan(p *model.PlanResult, preempted []*model.Evaluation) {
	for _, u := range p.DeploymentUpdates {
		tx.UpdateDeploymentStatus(u)
	}
	if p.Deployment != nil {
		tx.upsertPlanned(p.Deployment)
	}
	eachPlanned(p.NodeUpdate, tx.stop)
	eachPlanned(p.NodePreemptions, tx.stop)
	eachPlanned(p.NodeAllocation, tx.place)
	tx.UpsertEvals(preempted...)
}

// eachPlanned goes through a plan's allocations in an order that is the same on every server.
func eachPlanned(allocs map[string][]*model.Allocation, fn func(*model.Allocation)) {
	for _, id := range slices.Sorted(maps.Keys(allocs)) {
		for _, a := range allocs[id] {
			fn(a)
		}
	}
}

// stop takes over the fields by which a plan ends an allocation.
func (tx *Txn) stop(planned *model.Allocation) {
	old := tx.Alloc(planned.ID)
	if old == nil {
		return
	}
	a := copyAlloc(old)
	a.DesiredStatus, a.DesiredDescription = planned.DesiredStatus, planned.DesiredDescription
	if planned.ClientStatus != "" && planned.ClientStatus != old.ClientStatus && !old.ClientTerminal() {
		tx.serverClientStatus(a, planned)
	}
	if planned.FollowupEvalID != "" {
		a.FollowupEvalID = planned.FollowupEvalID
	}
	if planned.PreemptedByAllocation != "" {
		a.PreemptedByAllocation = planned.PreemptedByAllocation
	}
	if planned.RescheduleTracker != nil {
		a.RescheduleTracker = planned.RescheduleTracker
	}
	tx.putAlloc(old, a, true)
}

// serverClientStatus is for the client statuses that servers set: lost and unknown.
func (tx *Txn) serverClientStatus(a, planned *model.Allocation) {
	a.ClientStatus = planned.ClientStatus
	if planned.ClientDescription != "" {
		a.ClientDescription = planned.ClientDescription
	}
	a.AllocStates = append(a.AllocStates, model.AllocState{Field: "ClientStatus", Value: a.ClientStatus, Time: tx.now})
}

// place stores a new allocation, or changes one in place: then what its node says of it stays.
func (tx *Txn) place(planned *model.Allocation) {
	a := copyAlloc(planned)
	old := tx.Alloc(a.ID)
	if old == nil {
		a.CreateIndex, a.CreateTime = tx.index, tx.now.UnixNano()
		if a.ClientStatus == "" {
			a.ClientStatus = model.AllocClientPending
		}
		if prev := tx.Alloc(a.PreviousAllocation); prev != nil {
			p := copyAlloc(prev)
			p.NextAllocation = a.ID
			tx.putAlloc(prev, p, true)
		}
		tx.putAlloc(nil, a, true)
		if a.DeploymentID != "" {
			tx.countPlaced(a)
		}
		return
	}
	joined := a.DeploymentID != "" && a.DeploymentID != old.DeploymentID
	status := a.ClientStatus
	a.CreateIndex, a.CreateTime = old.CreateIndex, old.CreateTime
	a.ClientStatus, a.ClientDescription = old.ClientStatus, old.ClientDescription
	a.TaskStates, a.AllocStates, a.NetworkStatus = old.TaskStates, slices.Clone(old.AllocStates), old.NetworkStatus
	if !joined {
		a.DeploymentStatus = old.DeploymentStatus
	} else if st := a.DeploymentStatus; st != nil {
		a.DeploymentStatus = &model.AllocDeploymentStatus{Canary: st.Canary} // health has to be shown anew
	}
	a.DesiredTransition = old.DesiredTransition // it may have been asked to leave since the plan was made
	if a.NextAllocation == "" {
		a.NextAllocation = old.NextAllocation
	}
	if (status == model.AllocClientUnknown || status == model.AllocClientLost) && status != old.ClientStatus && !old.ClientTerminal() {
		tx.serverClientStatus(a, planned)
	}
	tx.putAlloc(old, a, true)
	if joined {
		tx.countPlaced(a)
	}
}
