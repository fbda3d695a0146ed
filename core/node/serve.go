package node

import (
	"context"
	"errors"
	"maps"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/droverhq/drover/core/node/allocrunner"
	"github.com/droverhq/drover/core/node/fsapi"
	"github.com/droverhq/drover/core/node/hoststats"
	"github.com/droverhq/drover/core/pluginhost"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/host"
)

// signOfLife is how often a followed stream that is silent says that it is still there.
const signOfLife = time.Second

// serve registers what servers may ask of the node.
func (n *Node) serve(r *rpc.Registry) {
	meter := hoststats.New(n.cfg.AllocDir, n.found.Resources.Cpu.CpuShares)
	rpc.AllocStats.Handle(r, n.allocStats)
	rpc.AllocRestart.Handle(r, n.allocRestart)
	rpc.AllocSignal.Handle(r, n.allocSignal)
	rpc.AllocChecks.Handle(r, n.allocChecks)
	rpc.AllocExec.Handle(r, n.allocExec)
	rpc.AllocGC.Handle(r, n.allocGC)
	rpc.NodeGC.Handle(r, n.nodeGC)
	rpc.NodeStats.Handle(r, func(ctx context.Context, _ *rpc.Empty) (*rpc.HostStats, error) {
		s, err := meter.Measure(ctx)
		if err == nil {
			s.DeviceStats = deviceStats(n.cfg.Plugins.DeviceStats(), nil)
		}
		return s, err
	})
	rpc.FSList.Handle(r, n.fsList)
	rpc.FSStat.Handle(r, n.fsStat)
	rpc.FSRead.Handle(r, n.fsRead)
	rpc.TaskLogs.Handle(r, n.taskLogs)
	rpc.PluginList.Handle(r, n.pluginList)
	rpc.PluginLogs.Handle(r, n.pluginLogs)
	rpc.NodeMeta.Handle(r, n.nodeMeta)
}

func (n *Node) allocRestart(ctx context.Context, q *rpc.AllocRestartRequest) (*rpc.Empty, error) {
	r, err := n.find(q.AllocID)
	if err != nil {
		return nil, err
	}
	if q.AllTasks && q.TaskName != "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "a task and all tasks cannot be restarted in one request")
	}
	return &rpc.Empty{}, r.Restart(ctx, q.TaskName, q.AllTasks)
}

func (n *Node) allocChecks(_ context.Context, q *rpc.AllocRef) (*rpc.AllocChecksResponse, error) {
	r, err := n.find(q.AllocID)
	if err != nil {
		return nil, err
	}
	return &rpc.AllocChecksResponse{Checks: r.CheckResults()}, nil
}

func (n *Node) allocSignal(ctx context.Context, q *rpc.AllocSignalRequest) (*rpc.Empty, error) {
	r, err := n.find(q.AllocID)
	if err != nil {
		return nil, err
	}
	if q.Signal == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "missing signal")
	}
	err = r.Signal(ctx, q.Task, q.Signal)
	if refused := new(host.CallError); errors.As(err, &refused) && refused.Code == codes.Unknown && refused.Unwrap() == nil {
		return nil, rpc.Errorf(rpc.ErrInvalid, "%v", err) // the driver knows no such signal, or cannot send it
	}
	return &rpc.Empty{}, err
}

func (n *Node) allocGC(ctx context.Context, q *rpc.AllocRef) (*rpc.Empty, error) {
	r, err := n.find(q.AllocID)
	if err != nil {
		return nil, err
	}
	if !r.IsOver() {
		return nil, rpc.Errorf(rpc.ErrInvalid, "allocation %s is not terminal, only what has ended can be collected", q.AllocID)
	}
	return &rpc.Empty{}, n.remove(ctx, r)
}

// nodeGC removes what every ended allocation left.
func (n *Node) nodeGC(ctx context.Context, _ *rpc.Empty) (*rpc.Empty, error) {
	n.collectAll(ctx, n.overNow())
	return &rpc.Empty{}, nil
}

func (n *Node) tree(id string) (fsapi.Tree, error) {
	r, err := n.find(id)
	if err != nil {
		return fsapi.Tree{}, err
	}
	return fsapi.New(r.Dir().Root()), nil
}

func (n *Node) fsList(_ context.Context, q *rpc.FSRequest) (*rpc.FSListResponse, error) {
	t, err := n.tree(q.AllocID)
	if err != nil {
		return nil, err
	}
	files, err := t.List(q.Path)
	return &rpc.FSListResponse{Files: files}, err
}

func (n *Node) fsStat(_ context.Context, q *rpc.FSRequest) (*rpc.FSFileInfo, error) {
	t, err := n.tree(q.AllocID)
	if err != nil {
		return nil, err
	}
	return t.Stat(q.Path)
}

func (n *Node) fsRead(ctx context.Context, q *rpc.FSReadRequest, send func(*rpc.FSChunk) error) error {
	t, err := n.tree(q.AllocID)
	if err != nil {
		return err
	}
	p := newPulse(ctx, q.Follow, send)
	defer p.stop()
	return t.Read(ctx, q, p.send)
}

func (n *Node) taskLogs(ctx context.Context, q *rpc.TaskLogsRequest, send func(*rpc.FSChunk) error) error {
	r, err := n.find(q.AllocID)
	if err != nil {
		return err
	}
	origin, err := fsapi.Origin(q.Origin)
	switch {
	case err != nil:
		return err
	case q.Type != "stdout" && q.Type != "stderr":
		return rpc.Errorf(rpc.ErrInvalid, "invalid log type %q: must be stdout or stderr", q.Type)
	case q.Offset < 0:
		return rpc.Errorf(rpc.ErrInvalid, "offset must not be negative")
	}
	t := r.Task(q.Task)
	if t == nil {
		return rpc.Errorf(rpc.ErrInvalid, "unknown task name %q", q.Task)
	}
	if t.State().StartedAt.IsZero() {
		return rpc.Errorf(rpc.ErrNotFound, "task %q not started yet. No logs available", q.Task)
	}
	p := newPulse(ctx, q.Follow, send)
	defer p.stop()
	reader := tasklog.NewReader(r.Dir().Logs(), q.Task+"."+q.Type)
	return reader.Read(ctx, tasklog.ReadOptions{Origin: origin, Offset: q.Offset, Follow: q.Follow, Done: t.Ended()}, func(c tasklog.Chunk) error {
		return p.send(&rpc.FSChunk{Offset: c.Offset, Data: c.Data, File: c.File, FileEvent: string(c.Event)})
	})
}

func (n *Node) pluginList(context.Context, *rpc.Empty) (*rpc.PluginListResponse, error) {
	return &rpc.PluginListResponse{Plugins: n.cfg.Plugins.Measured()}, nil
}

func (n *Node) pluginLogs(ctx context.Context, q *rpc.PluginLogsRequest, send func(*rpc.FSChunk) error) error {
	p := newPulse(ctx, q.Follow, send)
	defer p.stop()
	err := n.cfg.Plugins.Logs(ctx, q.Plugin, q.Follow, func(line []byte) error {
		return p.send(&rpc.FSChunk{Data: append(line[:len(line):len(line)], '\n'), File: q.Plugin})
	})
	if errors.Is(err, pluginhost.ErrUnknownPlugin) {
		return rpc.Errorf(rpc.ErrNotFound, "no plugin %q on this node: `drover plugin list` names those there are", q.Plugin)
	}
	return err
}

func (n *Node) nodeMeta(_ context.Context, q *rpc.NodeMetaRequest) (*rpc.NodeMetaResponse, error) {
	if q.Meta != nil {
		if err := n.self.setMeta(q.Meta); err != nil {
			return nil, err
		}
	}
	n.self.mu.Lock()
	defer n.self.mu.Unlock()
	return &rpc.NodeMetaResponse{Meta: n.self.meta(), Dynamic: maps.Clone(n.self.dynamic), Static: maps.Clone(n.cfg.Meta)}, nil
}

var _ allocrunner.Catalog = (*updates)(nil)
