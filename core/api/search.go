package api

import (
	"iter"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// searchLimit is how many matches are listed per context.
const searchLimit = 20

// search finds IDs by prefix; the CLI resolves abbreviated IDs with it.
func (a *API) search(rq *request) (any, error) {
	var body struct {
		Prefix    string
		Context   string
		Namespace string
	}
	if err := rq.body(&body, false); err != nil {
		return nil, err
	}
	s := a.srv.State().Snapshot()
	contexts := searchContexts(s, rq.Namespace)
	matches, truncated := map[string][]string{}, map[string]bool{}
	found := false
	for _, c := range contexts {
		if body.Context != "" && body.Context != "all" && body.Context != c.name {
			continue
		}
		found = true
		ids := []string{}
		for id := range c.ids(body.Prefix) {
			if !hasPrefix(id, body.Prefix) {
				continue
			}
			if len(ids) == searchLimit {
				truncated[c.name] = true
				break
			}
			ids = append(ids, id)
		}
		if len(ids) > 0 || body.Context == c.name {
			matches[c.name] = ids
			truncated[c.name] = truncated[c.name]
		}
	}
	if !found {
		return nil, rpc.Errorf(rpc.ErrInvalid, "invalid context %q", body.Context)
	}
	rq.meta.index = s.Index()
	return map[string]any{"Matches": matches, "Truncations": truncated, "Index": s.Index(), "LastContact": 0, "KnownLeader": true}, nil
}

type searchContext struct {
	name string
	ids  func(prefix string) iter.Seq[string]
}

func searchContexts(s *state.Snapshot, ns string) []searchContext {
	return []searchContext{
		{"allocs", func(p string) iter.Seq[string] { return idsOf(s.Allocs(ns, p), func(v alloc) string { return v.ID }) }},
		{"deployment", func(p string) iter.Seq[string] {
			return idsOf(s.Deployments(ns, p), func(v deployment) string { return v.ID })
		}},
		{"evals", func(p string) iter.Seq[string] { return idsOf(s.Evals(ns, p), func(v eval) string { return v.ID }) }},
		{"jobs", func(p string) iter.Seq[string] { return idsOf(s.Jobs(ns, p), func(v job) string { return v.ID }) }},
		{"nodes", func(p string) iter.Seq[string] { return idsOf(s.NodesByPrefix(p), func(v node) string { return v.ID }) }},
		{"node_pools", func(string) iter.Seq[string] { return idsOf(s.NodePools(), func(v nodePool) string { return v.Name }) }},
		{"namespaces", func(string) iter.Seq[string] {
			return idsOf(s.Namespaces(), func(v namespace) string { return v.Name })
		}},
		{"plugins", none}, {"volumes", none}, {"host_volumes", none}, {"vars", none}, {"quotas", none}, {"scaling_policy", none},
	}
}

func none(string) iter.Seq[string] { return func(func(string) bool) {} }

func idsOf[T any](items iter.Seq[T], id func(T) string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for v := range items {
			if !yield(id(v)) {
				return
			}
		}
	}
}

// Short names for what search walks over.
type (
	alloc      = *model.Allocation
	deployment = *model.Deployment
	eval       = *model.Evaluation
	job        = *model.Job
	node       = *model.Node
	nodePool   = *model.NodePool
	namespace  = *model.Namespace
)
