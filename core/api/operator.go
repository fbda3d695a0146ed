package api

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

func (a *API) raftConfiguration(rq *request) (any, error) {
	servers, index, err := a.srv.RaftConfiguration()
	if err != nil {
		return nil, err
	}
	return map[string]any{"Servers": servers, "Index": index}, nil
}

func (a *API) schedulerConfig(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableSchedulerConfig}, func(s *state.Snapshot) (any, error) {
		c := s.SchedulerConfig()
		return map[string]any{"SchedulerConfig": c, "Index": c.ModifyIndex, "LastContact": 0, "KnownLeader": true}, nil
	})
}

func (a *API) setSchedulerConfig(rq *request) (any, error) {
	config := *model.DefaultSchedulerConfig()
	if err := rq.body(&config, false); err != nil {
		return nil, err
	}
	switch config.SchedulerAlgorithm {
	case "", "binpack", "spread":
	default:
		return nil, rpc.Errorf(rpc.ErrInvalid, "SchedulerAlgorithm must be binpack or spread, got %q", config.SchedulerAlgorithm)
	}
	q := &server.SchedulerConfigRequest{Config: &config}
	if v := rq.str("cas"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return nil, rpc.Errorf(rpc.ErrInvalid, "cas must be an index, got %q", v)
		}
		q.CAS = &n
	}
	resp, err := a.srv.SetSchedulerConfig(rq.Context(), q)
	if err != nil {
		return nil, err
	}
	rq.wrote(resp.Index)
	return resp, nil
}

// snapshotSave goes through a file: the digest, which clients insist on, comes before the body.
func (a *API) snapshotSave(rq *request) (any, error) {
	f, err := os.CreateTemp("", "drover-snapshot-*")
	if err != nil {
		return nil, fmt.Errorf("save snapshot: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum := sha256.New()
	if _, err := a.srv.SnapshotSave(io.MultiWriter(f, sum)); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("save snapshot: %w", err)
	}
	h := rq.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Digest", "sha-256="+base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	a.headers(rq)
	if _, err := io.Copy(rq.w, f); err != nil {
		a.log.Debug("snapshot not received", "error", err)
	}
	return written{}, nil
}

func (a *API) snapshotRestore(rq *request) (any, error) {
	force, err := rq.flag("force", false)
	if err != nil {
		return nil, err
	}
	return nil, a.srv.SnapshotRestore(rq.Context(), rq.Body, force)
}

// license answers 204: there is none.
func (a *API) license(rq *request) (any, error) {
	rq.w.WriteHeader(http.StatusNoContent)
	return written{}, nil
}

func (a *API) systemGC(rq *request) (any, error) { return nil, a.srv.SystemGC(rq.Context()) }

func (a *API) reconcileSummaries(rq *request) (any, error) {
	return nil, a.srv.ReconcileSummaries(rq.Context())
}

// pluginList shows the plugins of all nodes for type=driver, device and network, and nothing for storage plugins, of
// which there are none.
func (a *API) pluginList(rq *request) (any, error) {
	type plugin struct {
		*model.PluginInfo
		NodeID   string
		NodeName string
	}
	kind := rq.str("type")
	return a.read(rq, []state.Table{state.TableNodes}, func(s *state.Snapshot) (any, error) {
		out := []plugin{}
		if kind == "" || kind == "csi" {
			return out, nil
		}
		for n := range s.Nodes() {
			for _, p := range n.Plugins {
				if kind == "all" || p.Type == kind {
					out = append(out, plugin{p, n.ID, n.Name})
				}
			}
		}
		return out, nil
	})
}

func (a *API) volumeList(rq *request) (any, error) { return []any{}, nil }
