package api

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/rpc"
)

func (a *API) agentSelf(rq *request) (any, error) { return a.Agent.Self(), nil }

func (a *API) agentMembers(rq *request) (any, error) {
	name, region, dc := a.Agent.Identity()
	return map[string]any{"ServerName": name, "ServerRegion": region, "ServerDC": dc, "Members": orEmpty(a.srv.Members())}, nil
}

func (a *API) agentServers(rq *request) (any, error) {
	if a.Agent.NodeID() == "" {
		return nil, rpc.Errorf(rpc.ErrUnknown, "this agent runs no node")
	}
	return orEmpty(a.Agent.Servers()), nil
}

func (a *API) agentHealth(rq *request) (any, error) {
	srv, cl := a.Agent.Health()
	out := struct {
		Client *PartHealth `json:"client,omitempty"`
		Server *PartHealth `json:"server,omitempty"`
	}{}
	switch kind := rq.str("type"); kind {
	case "":
		out.Server, out.Client = srv, cl
	case "server":
		out.Server = srv
	case "client":
		out.Client = cl
	default:
		return nil, rpc.Errorf(rpc.ErrInvalid, "type must be \"server\" or \"client\", got %q", kind)
	}
	if out.Server == nil && out.Client == nil {
		return nil, &httpError{http.StatusInternalServerError, "the part asked for does not run on this agent"}
	}
	if out.Server != nil && !out.Server.OK || out.Client != nil && !out.Client.OK {
		b, err := json.Marshal(out)
		if err != nil {
			return nil, err
		}
		return nil, &httpError{http.StatusInternalServerError, string(b)}
	}
	return out, nil
}

func (a *API) agentReload(rq *request) (any, error) { return nil, a.Agent.Reload(rq.str("plugin")) }

func (a *API) agentMonitor(rq *request) (any, error) {
	text := rq.str("log_level")
	if text == "" {
		text = "info"
	}
	level := hclog.LevelFromString(text)
	if level == hclog.NoLevel {
		return nil, rpc.Errorf(rpc.ErrInvalid, "Unknown log level: %s", text)
	}
	asJSON, err := rq.flag("log_json", false)
	if err != nil {
		return nil, err
	}
	plain, err := rq.flag("plain", false)
	if err != nil {
		return nil, err
	}
	lines, stop := a.Agent.Monitor(level, asJSON) // before the answer begins: whoever has it misses nothing
	defer stop()
	first := true
	next := func() (*rpc.FSChunk, error) {
		if first { // answer at once: the first line may be a while
			first = false
			return &rpc.FSChunk{}, nil
		}
		select {
		case line := <-lines:
			return &rpc.FSChunk{Data: line}, nil
		case <-rq.Context().Done():
			return nil, rq.Context().Err()
		}
	}
	if plain {
		return rq.plain(next)
	}
	return rq.frames(next)
}

func (a *API) agentProfile(rq *request) (any, error) {
	if !a.EnableDebug {
		return nil, rpc.Errorf(rpc.ErrNotFound, "profiles are off: set enable_debug = true in the agent's configuration")
	}
	switch name := rq.arg("profile"); name {
	case "cmdline":
		pprof.Cmdline(rq.w, rq.Request)
	case "profile":
		pprof.Profile(rq.w, rq.Request)
	case "trace":
		pprof.Trace(rq.w, rq.Request)
	default:
		pprof.Handler(name).ServeHTTP(rq.w, rq.Request)
	}
	return written{}, nil
}

func (a *API) statusLeader(rq *request) (any, error) {
	return a.srv.Leader(), nil
}

func (a *API) statusPeers(rq *request) (any, error) { return orEmpty(a.srv.Peers()), nil }

func (a *API) regions(rq *request) (any, error) {
	return a.srv.Regions(), nil
}

func (a *API) metrics(rq *request) (any, error) {
	a.Agent.Metrics().ServeHTTP(rq.w, rq.Request)
	return written{}, nil
}
