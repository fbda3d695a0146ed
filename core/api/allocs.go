package api

import (
	"cmp"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

var errAllocNotFound = rpc.Errorf(rpc.ErrNotFound, "alloc not found")

// stubs turns allocations into their list form, oldest first.
func stubs(s *state.Snapshot, allocs []*model.Allocation, taskStates, resources bool) []*model.AllocListStub {
	sorted := slices.SortedFunc(slices.Values(allocs), func(a, b *model.Allocation) int {
		return cmp.Or(cmp.Compare(a.CreateIndex, b.CreateIndex), cmp.Compare(a.ID, b.ID))
	})
	out := make([]*model.AllocListStub, 0, len(sorted))
	for _, al := range sorted {
		out = append(out, stub(s, al, taskStates, resources))
	}
	return out
}

func stub(s *state.Snapshot, al *model.Allocation, taskStates, resources bool) *model.AllocListStub {
	st := s.AllocStub(al)
	if !taskStates {
		st.TaskStates = nil
	}
	if resources {
		st.AllocatedResources = al.AllocatedResources
	}
	return st
}

func (a *API) allocList(rq *request) (any, error) {
	resources, err := rq.flag("resources", false)
	if err != nil {
		return nil, err
	}
	taskStates, err := rq.flag("task_states", true)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableAllocs}, func(s *state.Snapshot) (any, error) {
		l := list[*model.Allocation]{items: slices.Collect(s.Allocs(rq.Namespace, rq.Prefix))}
		if rq.Prefix == "" {
			l.cursor = func(al *model.Allocation) string { return byIndex(al.CreateIndex, al.ID) }
			l.less = func(a, b *model.Allocation) int {
				return cmp.Or(cmp.Compare(a.CreateIndex, b.CreateIndex), cmp.Compare(a.ID, b.ID))
			}
		} else {
			l.cursor = func(al *model.Allocation) string { return al.ID }
		}
		return page(rq, l, func(al *model.Allocation) *model.AllocListStub { return stub(s, al, taskStates, resources) })
	})
}

func (a *API) allocGet(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableAllocs}, func(s *state.Snapshot) (any, error) {
		al := s.Alloc(rq.arg("id"))
		if al == nil {
			return nil, errAllocNotFound
		}
		rq.shows(al.ModifyIndex)
		full := *al
		full.Job = s.JobOf(al)
		return &full, nil
	})
}

func (a *API) allocStop(rq *request) (any, error) {
	noDelay, err := rq.flag("no_shutdown_delay", false)
	if err != nil {
		return nil, err
	}
	reschedule, err := rq.flag("reschedule", false)
	if err != nil {
		return nil, err
	}
	resp, err := a.srv.StopAlloc(rq.Context(), &server.AllocStopRequest{
		AllocID: rq.arg("id"), NoShutdownDelay: noDelay, Reschedule: reschedule,
	})
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) allocServices(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableServices}, func(s *state.Snapshot) (any, error) {
		if s.Alloc(rq.arg("id")) == nil {
			return nil, errAllocNotFound
		}
		return collect(s.ServicesByAlloc(rq.arg("id"))), nil
	})
}

// allocChecks asks the node, which runs the checks and acts on them.
func (a *API) allocChecks(rq *request) (any, error) {
	node, err := a.nodeOf(rq.Context(), rq.arg("id"))
	if err != nil {
		return nil, err
	}
	resp, err := rpc.AllocChecks.Call(rq.Context(), node, &rpc.AllocRef{AllocID: rq.arg("id")})
	if err != nil {
		return nil, err
	}
	if resp.Checks == nil {
		return map[string]rpc.CheckResult{}, nil
	}
	return resp.Checks, nil
}
