package api

import (
	"context"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/core/rpc"
)

// clientConn makes calls to a node.
type clientConn = grpc.ClientConnInterface

// nodeOf returns the connection to the node that runs an allocation.
func (a *API) nodeOf(ctx context.Context, allocID string) (clientConn, error) {
	al := a.srv.State().Snapshot().Alloc(allocID)
	if al == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "Unknown allocation %q", allocID)
	}
	return a.srv.NodeConn(ctx, al.NodeID)
}

// namedNode returns the connection to the node that a request names, or to the agent's own.
func (a *API) namedNode(rq *request, id string) (clientConn, error) {
	if id == "" {
		id = rq.str("node_id")
	}
	if id == "" {
		id = a.Agent.NodeID()
	}
	if id == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "node_id is required: this agent runs no node itself")
	}
	if a.srv.State().Snapshot().Node(id) == nil {
		return nil, rpc.Errorf(rpc.ErrNotFound, "Unknown node %q", id)
	}
	return a.srv.NodeConn(rq.Context(), id)
}

func (a *API) clientStats(rq *request) (any, error) {
	node, err := a.namedNode(rq, "")
	if err != nil {
		return nil, err
	}
	return rpc.NodeStats.Call(rq.Context(), node, &rpc.Empty{})
}

func (a *API) clientGC(rq *request) (any, error) {
	node, err := a.namedNode(rq, "")
	if err != nil {
		return nil, err
	}
	_, err = rpc.NodeGC.Call(rq.Context(), node, &rpc.Empty{})
	return nil, err
}

func (a *API) clientMeta(rq *request) (any, error) {
	node, err := a.namedNode(rq, "")
	if err != nil {
		return nil, err
	}
	return rpc.NodeMeta.Call(rq.Context(), node, &rpc.NodeMetaRequest{})
}

func (a *API) clientSetMeta(rq *request) (any, error) {
	var body struct {
		NodeID string
		Meta   map[string]*string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	if len(body.Meta) == 0 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "missing required Meta object")
	}
	node, err := a.namedNode(rq, body.NodeID)
	if err != nil {
		return nil, err
	}
	return rpc.NodeMeta.Call(rq.Context(), node, &rpc.NodeMetaRequest{Meta: body.Meta})
}

func (a *API) clientAllocStats(rq *request) (any, error) {
	node, err := a.nodeOf(rq.Context(), rq.arg("id"))
	if err != nil {
		return nil, err
	}
	return rpc.AllocStats.Call(rq.Context(), node, &rpc.AllocStatsRequest{AllocID: rq.arg("id"), Task: rq.str("task")})
}

func (a *API) clientAllocRestart(rq *request) (any, error) {
	var body struct {
		TaskName string
		AllTasks bool
	}
	if err := rq.body(&body, true); err != nil {
		return nil, err
	}
	if body.AllTasks && body.TaskName != "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "TaskName and AllTasks exclude each other")
	}
	node, err := a.nodeOf(rq.Context(), rq.arg("id"))
	if err != nil {
		return nil, err
	}
	if _, err := rpc.AllocRestart.Call(rq.Context(), node, &rpc.AllocRestartRequest{AllocID: rq.arg("id"), TaskName: body.TaskName, AllTasks: body.AllTasks}); err != nil {
		return nil, err
	}
	return a.indexOnly(), nil
}

func (a *API) clientAllocSignal(rq *request) (any, error) {
	var body struct {
		Task   string
		Signal string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	node, err := a.nodeOf(rq.Context(), rq.arg("id"))
	if err != nil {
		return nil, err
	}
	if _, err := rpc.AllocSignal.Call(rq.Context(), node, &rpc.AllocSignalRequest{AllocID: rq.arg("id"), Task: body.Task, Signal: body.Signal}); err != nil {
		return nil, err
	}
	return a.indexOnly(), nil
}

func (a *API) clientAllocGC(rq *request) (any, error) {
	node, err := a.nodeOf(rq.Context(), rq.arg("id"))
	if err != nil {
		return nil, err
	}
	_, err = rpc.AllocGC.Call(rq.Context(), node, &rpc.AllocRef{AllocID: rq.arg("id")})
	return struct{}{}, err // the official client decodes an object
}

// indexOnly answers calls that change nothing in state.
func (a *API) indexOnly() any {
	return map[string]any{"Index": a.srv.State().Snapshot().Index()}
}

func (a *API) clientPlugins(rq *request) (any, error) {
	node, err := a.namedNode(rq, "")
	if err != nil {
		return nil, err
	}
	resp, err := rpc.PluginList.Call(rq.Context(), node, &rpc.Empty{})
	if err != nil {
		return nil, err
	}
	return orEmpty(resp.Plugins), nil
}
