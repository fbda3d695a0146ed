package api

import (
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/server"
	"github.com/droverhq/drover/core/state"
)

// introCreate answers with the token under the name that existing clients look for; it is opaque to them.
func (a *API) introCreate(rq *request) (any, error) {
	var q struct {
		TTL                model.Text
		Uses               int
		NodeName, NodePool string
	}
	if err := rq.body(&q, true); err != nil {
		return nil, err
	}
	text, t, err := a.srv.CreateIntroToken(rq.Context(), &server.IntroTokenRequest{TTL: time.Duration(q.TTL), Uses: q.Uses, NodeName: q.NodeName, NodePool: q.NodePool})
	if err != nil {
		return nil, err
	}
	rq.wrote(t.CreateIndex)
	return struct {
		JWT string
		*model.IntroToken
	}{text, t.Shown()}, nil
}

func (a *API) introList(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableIntroTokens}, func(s *state.Snapshot) (any, error) {
		out := []*model.IntroToken{}
		for t := range s.IntroTokens() {
			out = append(out, t.Shown())
		}
		return out, nil
	})
}

func (a *API) introRevoke(rq *request) (any, error) {
	return rq.onlyIndex(a.srv.RevokeIntroToken(rq.Context(), rq.arg("id")))
}
