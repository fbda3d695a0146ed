package api

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

func (a *API) deploymentList(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableDeployments}, func(s *state.Snapshot) (any, error) {
		l := list[*model.Deployment]{
			items:  slices.Collect(s.Deployments(rq.Namespace, rq.Prefix)),
			cursor: func(d *model.Deployment) string { return d.ID },
		}
		if rq.Prefix == "" {
			l.cursor = func(d *model.Deployment) string { return byIndex(d.CreateIndex, d.ID) }
			l.less = func(a, b *model.Deployment) int {
				return cmp.Or(cmp.Compare(a.CreateIndex, b.CreateIndex), cmp.Compare(a.ID, b.ID))
			}
		}
		return page(rq, l, same)
	})
}

func (a *API) deploymentGet(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableDeployments}, func(s *state.Snapshot) (any, error) {
		if d := s.Deployment(rq.arg("id")); d != nil {
			rq.shows(d.ModifyIndex)
			return d, nil
		}
		return nil, rpc.Errorf(rpc.ErrNotFound, "deployment not found")
	})
}

func (a *API) deploymentAllocs(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableAllocs}, func(s *state.Snapshot) (any, error) {
		return stubs(s, s.AllocsByDeployment(rq.arg("id")), true, false), nil
	})
}

func (rq *request) deploymentAnswer(resp *server.DeploymentUpdateResponse, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

// sameDeployment checks that a body, when it names a deployment, names the one of the path.
func (rq *request) sameDeployment(id string) error {
	if id != "" && id != rq.arg("id") {
		return rpc.Errorf(rpc.ErrInvalid, "Deployment ID does not match: path has %q, body has %q", rq.arg("id"), id)
	}
	return nil
}

func (a *API) deploymentFail(rq *request) (any, error) {
	return rq.deploymentAnswer(a.srv.FailDeployment(rq.Context(), rq.arg("id")))
}

func (a *API) deploymentPause(rq *request) (any, error) {
	var body struct {
		DeploymentID string
		Pause        bool
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if err := rq.sameDeployment(body.DeploymentID); err != nil {
		return nil, err
	}
	return rq.deploymentAnswer(a.srv.PauseDeployment(rq.Context(), rq.arg("id"), body.Pause))
}

func (a *API) deploymentPromote(rq *request) (any, error) {
	var body struct {
		DeploymentID string
		All          bool
		Groups       []string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if err := rq.sameDeployment(body.DeploymentID); err != nil {
		return nil, err
	}
	if body.All == (len(body.Groups) > 0) {
		return nil, rpc.Errorf(rpc.ErrInvalid, "give All or Groups, one of both")
	}
	return rq.deploymentAnswer(a.srv.PromoteDeployment(rq.Context(), rq.arg("id"), body.Groups))
}

func (a *API) deploymentHealth(rq *request) (any, error) {
	var body struct {
		DeploymentID           string
		HealthyAllocationIDs   []string
		UnhealthyAllocationIDs []string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if err := rq.sameDeployment(body.DeploymentID); err != nil {
		return nil, err
	}
	return rq.deploymentAnswer(a.srv.SetAllocHealth(rq.Context(), rq.arg("id"), body.HealthyAllocationIDs, body.UnhealthyAllocationIDs))
}
