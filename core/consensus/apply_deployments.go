package consensus

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

func (e *DeploymentStatus) apply(tx *state.Txn) (any, error) {
	if tx.UpdateDeploymentStatus(&e.Update) == nil {
		return nil, deploymentEnded(tx, e.Update.DeploymentID)
	}
	return revert(tx, e.Update.DeploymentID, e.Revert, e.Eval, e.Tracked), nil
}

func deploymentEnded(tx *state.Txn, id string) error {
	d := tx.Deployment(id)
	if d == nil {
		return rpc.Errorf(rpc.ErrNotFound, "deployment not found")
	}
	return rpc.Errorf(rpc.ErrConflict, "can't change terminal deployment %s: it is %s", id, d.Status)
}

// revert registers an older version anew, if there is one, and stores the evaluation. A version that came after the
// roll-out stays.
func revert(tx *state.Txn, deployment string, job *model.Job, eval *model.Evaluation, tracked int) *Registered {
	d := tx.Deployment(deployment)
	var now *model.Job
	if job != nil && d != nil {
		now = tx.Job(job.Namespace, job.ID)
	}
	if now == nil || now.CreateIndex != d.JobCreateIndex || now.Version != d.JobVersion {
		return registered(tx, nil, false, eval)
	}
	stored, changed := tx.UpsertJob(job, nil, tracked)
	return registered(tx, stored, changed, eval)
}

func (e *PromoteDeployment) apply(tx *state.Txn) (any, error) {
	if d := tx.Deployment(e.DeploymentID); d == nil || !d.Active() {
		return nil, deploymentEnded(tx, e.DeploymentID)
	}
	tx.PromoteDeployment(e.DeploymentID, e.Groups)
	return registered(tx, nil, false, e.Eval), nil
}

func (e *DeploymentHealth) apply(tx *state.Txn) (any, error) {
	if d := tx.Deployment(e.DeploymentID); d == nil || !d.Active() {
		return nil, deploymentEnded(tx, e.DeploymentID)
	}
	tx.SetAllocHealth(e.Healthy, e.Unhealthy)
	if e.Update != nil {
		tx.UpdateDeploymentStatus(e.Update)
	}
	return revert(tx, e.DeploymentID, e.Revert, e.Eval, e.Tracked), nil
}
