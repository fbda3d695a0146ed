package state

import "github.com/droverhq/drover/core/model"

// JobStub is a job as lists show it.
func (s *Snapshot) JobStub(j *model.Job) *model.JobListStub {
	return &model.JobListStub{
		ID: j.ID, ParentID: j.ParentID, Name: j.Name, Namespace: j.Namespace, Datacenters: j.Datacenters,
		NodePool: j.NodePool, Multiregion: j.Multiregion, Type: j.Type, Priority: j.Priority,
		Periodic: j.IsPeriodic(), ParameterizedJob: j.IsParameterized(), Stop: j.Stop,
		Status: j.Status, StatusDescription: j.StatusDescription, JobSummary: s.JobSummary(j.Namespace, j.ID),
		CreateIndex: j.CreateIndex, ModifyIndex: j.ModifyIndex, JobModifyIndex: j.JobModifyIndex, SubmitTime: j.SubmitTime,
	}
}

// AllocStub is an allocation as lists show it.
func (s *Snapshot) AllocStub(a *model.Allocation) *model.AllocListStub {
	st := &model.AllocListStub{
		ID: a.ID, EvalID: a.EvalID, Name: a.Name, Namespace: a.Namespace, NodeID: a.NodeID, NodeName: a.NodeName,
		JobID: a.JobID, JobVersion: a.JobVersion, TaskGroup: a.TaskGroup, AllocatedResources: a.AllocatedResources,
		DesiredStatus: a.DesiredStatus, DesiredDescription: a.DesiredDescription,
		ClientStatus: a.ClientStatus, ClientDescription: a.ClientDescription, DesiredTransition: a.DesiredTransition,
		TaskStates: a.TaskStates, DeploymentStatus: a.DeploymentStatus, FollowupEvalID: a.FollowupEvalID,
		NextAllocation: a.NextAllocation, RescheduleTracker: a.RescheduleTracker,
		PreemptedAllocations: a.PreemptedAllocations, PreemptedByAllocation: a.PreemptedByAllocation,
		CreateIndex: a.CreateIndex, ModifyIndex: a.ModifyIndex, CreateTime: a.CreateTime, ModifyTime: a.ModifyTime,
	}
	if j := s.JobOf(a); j != nil {
		st.JobType = j.Type
	}
	return st
}

// AllocWithJob is an allocation with the version of the job it runs.
func (s *Snapshot) AllocWithJob(a *model.Allocation) *model.Allocation {
	c := *a
	c.Job = s.JobOf(a)
	return &c
}

// RelatedEvals returns the short forms of the evaluations that an evaluation is linked to, directly or not.
func (s *Snapshot) RelatedEvals(e *model.Evaluation) []*model.EvalStub {
	seen := map[string]bool{e.ID: true}
	var out []*model.EvalStub
	todo := []string{e.PreviousEval, e.NextEval, e.BlockedEval}
	for len(todo) > 0 {
		id := todo[0]
		todo = todo[1:]
		if id == "" || seen[id] {
			continue
		}
		seen[id] = true
		r := s.Eval(id)
		if r == nil {
			continue
		}
		out = append(out, EvalStub(r))
		todo = append(todo, r.PreviousEval, r.NextEval, r.BlockedEval)
	}
	return out
}

// EvalStub is the short form of an evaluation.
func EvalStub(e *model.Evaluation) *model.EvalStub {
	return &model.EvalStub{
		ID: e.ID, Namespace: e.Namespace, Priority: e.Priority, Type: e.Type, TriggeredBy: e.TriggeredBy,
		JobID: e.JobID, NodeID: e.NodeID, DeploymentID: e.DeploymentID, Status: e.Status,
		StatusDescription: e.StatusDescription, WaitUntil: e.WaitUntil, NextEval: e.NextEval,
		PreviousEval: e.PreviousEval, BlockedEval: e.BlockedEval, CreateIndex: e.CreateIndex,
		ModifyIndex: e.ModifyIndex, CreateTime: e.CreateTime, ModifyTime: e.ModifyTime,
	}
}
