package api

import (
	"slices"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

// nodeStub is a node in a list.
type nodeStub struct {
	Address               string
	ID                    string
	Attributes            map[string]string `json:",omitempty"`
	Datacenter            string
	Name                  string
	NodePool              string
	NodeClass             string
	Version               string
	Drain                 bool
	SchedulingEligibility string
	Status                string
	StatusDescription     string
	Drivers               map[string]*model.DriverInfo
	HostVolumes           map[string]*model.HostVolumeInfo
	NodeResources         *model.NodeResources         `json:",omitempty"`
	ReservedResources     *model.NodeReservedResources `json:",omitempty"`
	LastDrain             *model.DrainMetadata
	CreateIndex           uint64
	ModifyIndex           uint64
}

// nodeStubber returns the function that makes stubs as the request's flags ask.
func nodeStubber(rq *request) (func(*model.Node) nodeStub, error) {
	resources, err := rq.flag("resources", false)
	if err != nil {
		return nil, err
	}
	os, err := rq.flag("os", false)
	if err != nil {
		return nil, err
	}
	return func(n *model.Node) nodeStub {
		st := nodeStub{
			Address: n.Attributes["unique.network.ip-address"], ID: n.ID, Datacenter: n.Datacenter, Name: n.Name,
			NodePool: n.NodePool, NodeClass: n.NodeClass, Version: n.Attributes["nomad.version"],
			Drain: n.DrainStrategy != nil, SchedulingEligibility: n.SchedulingEligibility, Status: n.Status,
			StatusDescription: n.StatusDescription, Drivers: n.Drivers, HostVolumes: n.HostVolumes,
			LastDrain: n.LastDrain, CreateIndex: n.CreateIndex, ModifyIndex: n.ModifyIndex,
		}
		if os {
			st.Attributes = map[string]string{"os.name": n.Attributes["os.name"]}
		}
		if resources {
			st.NodeResources, st.ReservedResources = n.NodeResources, n.ReservedResources
		}
		return st
	}, nil
}

func nodeCursor(n *model.Node) string { return n.ID }

func (a *API) nodeList(rq *request) (any, error) {
	stub, err := nodeStubber(rq)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableNodes}, func(s *state.Snapshot) (any, error) {
		return page(rq, list[*model.Node]{items: slices.Collect(s.NodesByPrefix(rq.Prefix)), cursor: nodeCursor}, stub)
	})
}

var errNodeNotFound = rpc.Errorf(rpc.ErrNotFound, "node not found")

func (a *API) nodeGet(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableNodes}, func(s *state.Snapshot) (any, error) {
		n := s.Node(rq.arg("id"))
		if n == nil {
			return nil, errNodeNotFound
		}
		rq.shows(n.ModifyIndex)
		shown := *n
		shown.SecretID = ""
		return struct {
			*model.Node
			Drain bool
		}{&shown, n.DrainStrategy != nil}, nil
	})
}

func (a *API) nodeAllocs(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableAllocs, state.TableNodes}, func(s *state.Snapshot) (any, error) {
		if s.Node(rq.arg("id")) == nil {
			return nil, errNodeNotFound
		}
		out := []*model.Allocation{}
		for _, al := range s.AllocsByNode(rq.arg("id")) {
			full := *al
			full.Job = s.JobOf(al)
			out = append(out, &full)
		}
		return out, nil
	})
}

func (a *API) nodePlugins(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableNodes}, func(s *state.Snapshot) (any, error) {
		n := s.Node(rq.arg("id"))
		if n == nil {
			return nil, errNodeNotFound
		}
		return orEmpty(n.Plugins), nil
	})
}

func (rq *request) nodeAnswer(resp *server.NodeUpdateResponse, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

func (a *API) nodeEvaluate(rq *request) (any, error) {
	return rq.nodeAnswer(a.srv.EvaluateNode(rq.Context(), rq.arg("id")))
}

func (a *API) nodePurge(rq *request) (any, error) {
	return rq.nodeAnswer(a.srv.PurgeNode(rq.Context(), rq.arg("id")))
}

func (a *API) nodeDrain(rq *request) (any, error) {
	var body struct {
		NodeID    string
		DrainSpec *struct {
			Deadline         time.Duration
			IgnoreSystemJobs bool
		}
		MarkEligible bool
		Meta         map[string]string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if body.NodeID != "" && body.NodeID != rq.arg("id") {
		return nil, rpc.Errorf(rpc.ErrInvalid, "NodeID does not match: path has %q, body has %q", rq.arg("id"), body.NodeID)
	}
	q := &server.NodeDrainRequest{NodeID: rq.arg("id"), MarkEligible: body.MarkEligible, Meta: body.Meta}
	if d := body.DrainSpec; d != nil {
		q.DrainSpec = &model.DrainSpec{Deadline: int64(d.Deadline), IgnoreSystemJobs: d.IgnoreSystemJobs}
	}
	return rq.nodeAnswer(a.srv.DrainNode(rq.Context(), q))
}

func (a *API) nodeEligibility(rq *request) (any, error) {
	var body struct {
		NodeID      string
		Eligibility string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	switch body.Eligibility {
	case model.NodeEligible, model.NodeIneligible:
	default:
		return nil, rpc.Errorf(rpc.ErrInvalid, "Eligibility must be %q or %q, got %q", model.NodeEligible, model.NodeIneligible, body.Eligibility)
	}
	return rq.nodeAnswer(a.srv.SetNodeEligibility(rq.Context(), &server.NodeEligibilityRequest{NodeID: rq.arg("id"), Eligibility: body.Eligibility}))
}

func (a *API) poolList(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableNodePools}, func(s *state.Snapshot) (any, error) {
		var l list[*model.NodePool]
		l.cursor = func(p *model.NodePool) string { return p.Name }
		for p := range s.NodePools() {
			if hasPrefix(p.Name, rq.Prefix) {
				l.items = append(l.items, p)
			}
		}
		return page(rq, l, same)
	})
}

var errPoolNotFound = rpc.Errorf(rpc.ErrNotFound, "node pool not found")

func (a *API) poolGet(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableNodePools}, func(s *state.Snapshot) (any, error) {
		if p := s.NodePool(rq.arg("name")); p != nil {
			return p, nil
		}
		return nil, errPoolNotFound
	})
}

func (a *API) poolPut(rq *request) (any, error) {
	var p model.NodePool
	if err := rq.body(&p, false); err != nil {
		return nil, err
	}
	if name := rq.arg("name"); name != "" && p.Name != name {
		return nil, rpc.Errorf(rpc.ErrInvalid, "Node pool name does not match: path has %q, body has %q", name, p.Name)
	}
	return rq.onlyIndex(a.srv.UpsertNodePool(rq.Context(), &p))
}

func (a *API) poolDelete(rq *request) (any, error) {
	return rq.onlyIndex(a.srv.DeleteNodePool(rq.Context(), rq.arg("name")))
}

func (a *API) poolNodes(rq *request) (any, error) {
	stub, err := nodeStubber(rq)
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableNodes, state.TableNodePools}, func(s *state.Snapshot) (any, error) {
		pool := rq.arg("name")
		if s.NodePool(pool) == nil {
			return nil, errPoolNotFound
		}
		l := list[*model.Node]{cursor: nodeCursor}
		for n := range s.Nodes() {
			if pool == model.NodePoolAll || n.NodePool == pool {
				l.items = append(l.items, n)
			}
		}
		return page(rq, l, stub)
	})
}

func (a *API) poolJobs(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableJobs, state.TableNodePools}, func(s *state.Snapshot) (any, error) {
		pool := rq.arg("name")
		if s.NodePool(pool) == nil {
			return nil, errPoolNotFound
		}
		l := list[*model.Job]{cursor: func(j *model.Job) string { return j.Namespace + "." + j.ID }}
		for j := range s.Jobs(rq.Namespace, "") {
			if j.NodePool == pool {
				l.items = append(l.items, j)
			}
		}
		return page(rq, l, s.JobStub)
	})
}
