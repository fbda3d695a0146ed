package api

import (
	"net/http"
	"strconv"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// The group of servers: who belongs to it, who leads, how it is tended.

func (a *API) agentJoin(rq *request) (any, error) {
	addrs := rq.query["address"]
	if len(addrs) == 0 {
		return nil, rpc.Errorf(rpc.ErrInvalid, "missing address to join")
	}
	var out struct {
		Joined int    `json:"num_joined"`
		Error  string `json:"error"`
	}
	n, err := a.srv.Join(addrs)
	out.Joined = n
	if err != nil {
		out.Error = err.Error()
	}
	return out, nil
}

func (a *API) agentForceLeave(rq *request) (any, error) {
	name := rq.str("node")
	if name == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "missing node to force leave")
	}
	prune, err := rq.flag("prune", false)
	if err != nil {
		return nil, err
	}
	return nil, a.srv.ForceLeave(name, prune)
}

func (a *API) gossipKeys(op string) handler {
	return func(rq *request) (any, error) {
		var body struct{ Key string }
		if op != "list" {
			if err := rq.body(&body, false); err != nil {
				return nil, err
			}
			if body.Key == "" {
				return nil, rpc.Errorf(rpc.ErrInvalid, "missing Key")
			}
		}
		return a.srv.GossipKeys(op, body.Key)
	}
}

func (a *API) raftRemovePeer(rq *request) (any, error) {
	id := rq.str("id")
	if id == "" {
		return nil, rpc.Errorf(rpc.ErrInvalid, "must specify ?id with the server's ID; addresses are not taken")
	}
	return nil, a.srv.RemovePeer(rq.Context(), id)
}

func (a *API) raftTransfer(rq *request) (any, error) {
	id, addr := rq.str("id"), rq.str("address")
	if (id == "") == (addr == "") {
		return nil, rpc.Errorf(rpc.ErrInvalid, "must specify either ?id or ?address of the server that should lead")
	}
	return a.srv.TransferLeadership(id, addr)
}

func (a *API) autopilotConfig(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableAutopilotConfig}, func(s *state.Snapshot) (any, error) {
		return s.AutopilotConfig(), nil
	})
}

func (a *API) setAutopilotConfig(rq *request) (any, error) {
	config := *model.DefaultAutopilotConfig()
	if err := rq.body(&config, false); err != nil {
		return nil, err
	}
	var cas *uint64
	if v := rq.str("cas"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return nil, rpc.Errorf(rpc.ErrInvalid, "cas must be an index, got %q", v)
		}
		cas = &n
	}
	updated, index, err := a.srv.SetAutopilotConfig(rq.Context(), &config, cas)
	if err != nil {
		return nil, err
	}
	rq.wrote(index)
	return updated, nil
}

// autopilotHealth answers 429 while a server is unhealthy, with the same body.
func (a *API) autopilotHealth(rq *request) (any, error) {
	h := a.srv.GroupHealth()
	if !h.Healthy {
		return withStatus{http.StatusTooManyRequests, h}, nil
	}
	return h, nil
}
