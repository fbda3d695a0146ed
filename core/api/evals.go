package api

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

func (a *API) evals(rq *request, s *state.Snapshot) (list[*model.Evaluation], error) {
	status, job := rq.str("status"), rq.str("job")
	if rq.str("filter") != "" && (status != "" || job != "") {
		return list[*model.Evaluation]{}, rpc.Errorf(rpc.ErrInvalid, "Filter expression cannot be used with other filter parameters")
	}
	l := list[*model.Evaluation]{cursor: func(e *model.Evaluation) string { return e.ID }}
	for e := range s.Evals(rq.Namespace, rq.Prefix) {
		if (status == "" || e.Status == status) && (job == "" || e.JobID == job) {
			l.items = append(l.items, e)
		}
	}
	if rq.Prefix == "" {
		l.cursor = func(e *model.Evaluation) string { return byIndex(e.CreateIndex, e.ID) }
		l.less = func(a, b *model.Evaluation) int {
			return cmp.Or(cmp.Compare(a.CreateIndex, b.CreateIndex), cmp.Compare(a.ID, b.ID))
		}
	}
	return l, nil
}

func (a *API) evalList(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableEvals}, func(s *state.Snapshot) (any, error) {
		l, err := a.evals(rq, s)
		if err != nil {
			return nil, err
		}
		return page(rq, l, same)
	})
}

func (a *API) evalCount(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableEvals}, func(s *state.Snapshot) (any, error) {
		l, err := a.evals(rq, s)
		if err != nil {
			return nil, err
		}
		found, err := page(rq, l, same)
		if err != nil {
			return nil, err
		}
		return map[string]any{"Count": len(found)}, nil
	})
}

func (a *API) evalGet(rq *request) (any, error) {
	related, err := rq.flag("related", false)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableEvals}, func(s *state.Snapshot) (any, error) {
		e := s.Eval(rq.arg("id"))
		if e == nil {
			return nil, rpc.Errorf(rpc.ErrNotFound, "eval not found")
		}
		if !related {
			rq.shows(e.ModifyIndex)
			return e, nil
		}
		e = e.Copy()
		e.RelatedEvals = s.RelatedEvals(e)
		return e, nil
	})
}

func (a *API) evalAllocs(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableAllocs}, func(s *state.Snapshot) (any, error) {
		return stubs(s, s.AllocsByEval(rq.arg("id")), true, false), nil
	})
}

func (a *API) evalDelete(rq *request) (any, error) {
	var body struct {
		EvalIDs []string
		Filter  string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	switch {
	case len(body.EvalIDs) == 0 && body.Filter == "":
		return nil, rpc.Errorf(rpc.ErrInvalid, "evals must be deleted by either ID or filter")
	case len(body.EvalIDs) > 0 && body.Filter != "":
		return nil, rpc.Errorf(rpc.ErrInvalid, "evals cannot be deleted by both ID and filter")
	case body.Filter != "":
		rq.query["filter"] = []string{body.Filter}
		l, err := a.evals(rq, a.srv.State().Snapshot())
		if err != nil {
			return nil, err
		}
		if body.EvalIDs, err = page(rq, l, func(e *model.Evaluation) string { return e.ID }); err != nil {
			return nil, err
		}
	}
	slices.Sort(body.EvalIDs)
	resp, err := a.srv.DeleteEvals(rq.Context(), &server.EvalDeleteRequest{EvalIDs: slices.Compact(body.EvalIDs)})
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}
