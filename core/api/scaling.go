package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

// listedPolicy is a scaling policy in a list.
type listedPolicy struct {
	ID          string
	Enabled     bool
	Type        string
	Target      map[string]string
	CreateIndex uint64
	ModifyIndex uint64
}

func (a *API) scalingPolicies(rq *request) (any, error) {
	job, kind := rq.str("job"), rq.str("type")
	return a.read(rq, []state.Table{state.TableJobs}, func(s *state.Snapshot) (any, error) {
		l := list[*model.Scaling]{cursor: func(p *model.Scaling) string { return p.ID }, less: func(a, b *model.Scaling) int { return cmp.Compare(a.ID, b.ID) }}
		for p := range s.ScalingPolicies(rq.Namespace) {
			if strings.HasPrefix(p.ID, rq.Prefix) && (job == "" || job == p.Target["Job"]) && (kind == "" || strings.HasPrefix(p.Type, kind)) {
				l.items = append(l.items, p)
			}
		}
		slices.SortFunc(l.items, l.less)
		return page(rq, l, func(p *model.Scaling) listedPolicy {
			return listedPolicy{p.ID, p.Enabled, p.Type, p.Target, p.CreateIndex, p.ModifyIndex}
		})
	})
}

func (a *API) scalingPolicyGet(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableJobs}, func(s *state.Snapshot) (any, error) {
		for p := range s.ScalingPolicies(state.AllNamespaces) {
			if p.ID == rq.arg("id") {
				rq.shows(p.ModifyIndex)
				return p, nil
			}
		}
		return nil, rpc.Errorf(rpc.ErrNotFound, "policy not found")
	})
}

func (a *API) jobScaleStatus(rq *request) (any, error) {
	type group struct {
		Desired   int
		Placed    int
		Running   int
		Healthy   int
		Unhealthy int
		Events    any
	}
	return a.read(rq, []state.Table{state.TableJobs, state.TableAllocs}, func(s *state.Snapshot) (any, error) {
		j := s.Job(rq.Namespace, rq.arg("id"))
		if j == nil {
			return nil, errJobNotFound
		}
		events := s.ScalingEvents(j.Namespace, j.ID)
		groups := map[string]*group{}
		for _, g := range j.TaskGroups {
			groups[g.Name] = &group{Desired: g.Count, Events: orEmpty(events[g.Name])}
		}
		for _, al := range s.AllocsByJob(j.Namespace, j.ID) {
			g := groups[al.TaskGroup]
			if g == nil || al.Terminal() || al.CreateIndex < j.CreateIndex {
				continue
			}
			g.Placed++
			if al.ClientStatus == model.AllocClientRunning {
				g.Running++
			}
			if d := al.DeploymentStatus; d != nil && d.Healthy != nil {
				if *d.Healthy {
					g.Healthy++
				} else {
					g.Unhealthy++
				}
			}
		}
		return map[string]any{
			"JobID": j.ID, "Namespace": j.Namespace, "JobCreateIndex": j.CreateIndex, "JobModifyIndex": j.JobModifyIndex,
			"JobStopped": j.Stop, "TaskGroups": groups,
		}, nil
	})
}

func (a *API) jobScale(rq *request) (any, error) {
	var body struct {
		Target         map[string]string
		Count          *int64
		Message        string
		Error          bool
		Meta           map[string]any
		EnforceIndex   bool
		JobModifyIndex uint64
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	group := body.Target["Group"]
	switch {
	case group == "":
		return nil, rpc.Errorf(rpc.ErrInvalid, "missing task group name for scaling action")
	case body.Count != nil && *body.Count < 0:
		return nil, rpc.Errorf(rpc.ErrInvalid, "scaling action count can't be negative, got %d", *body.Count)
	case body.Error && body.Count != nil:
		return nil, rpc.Errorf(rpc.ErrInvalid, "scaling action should not contain count if error is true")
	case body.Target["Job"] != "" && body.Target["Job"] != rq.arg("id"):
		return nil, &httpError{http.StatusBadRequest, "job ID in payload did not match URL"}
	}
	resp, err := a.srv.ScaleJob(rq.Context(), &server.JobScaleRequest{
		Namespace: rq.Namespace, JobID: rq.arg("id"), Group: group, Count: body.Count, Message: body.Message,
		Error: body.Error, Meta: body.Meta, EnforceIndex: body.EnforceIndex, JobModifyIndex: body.JobModifyIndex,
	})
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}
