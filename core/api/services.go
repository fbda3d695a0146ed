package api

import (
	"slices"
	"strconv"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

func (a *API) serviceList(rq *request) (any, error) {
	type service struct {
		ServiceName string
		Tags        []string
	}
	type namespace struct {
		Namespace string
		Services  []*service
	}
	return a.read(rq, []state.Table{state.TableServices}, func(s *state.Snapshot) (any, error) {
		out := []*namespace{}
		for r := range s.Services(rq.Namespace) {
			i := slices.IndexFunc(out, func(n *namespace) bool { return n.Namespace == r.Namespace })
			if i < 0 {
				i = len(out)
				out = append(out, &namespace{Namespace: r.Namespace})
			}
			ns := out[i]
			j := slices.IndexFunc(ns.Services, func(v *service) bool { return v.ServiceName == r.ServiceName })
			if j < 0 {
				j = len(ns.Services)
				ns.Services = append(ns.Services, &service{ServiceName: r.ServiceName, Tags: []string{}})
			}
			for _, t := range r.Tags {
				if !slices.Contains(ns.Services[j].Tags, t) {
					ns.Services[j].Tags = append(ns.Services[j].Tags, t)
				}
			}
		}
		return out, nil
	})
}

func (a *API) serviceGet(rq *request) (any, error) {
	n, key, err := parseChoose(rq.str("choose"))
	if err != nil {
		return nil, err
	}
	return a.read(rq, []state.Table{state.TableServices}, func(s *state.Snapshot) (any, error) {
		items := slices.Collect(s.ServicesByName(rq.Namespace, rq.arg("name")))
		if n > 0 {
			items = model.ChooseServices(items, n, key)
		}
		return page(rq, list[*model.ServiceRegistration]{
			items:  items,
			cursor: func(r *model.ServiceRegistration) string { return r.Namespace + "." + r.ID },
		}, same)
	})
}

// parseChoose reads "3|key".
func parseChoose(v string) (n int, key string, err error) {
	if v == "" {
		return 0, "", nil
	}
	num, key, ok := strings.Cut(v, "|")
	n, err = strconv.Atoi(num)
	if !ok || err != nil || n < 1 {
		return 0, "", rpc.Errorf(rpc.ErrInvalid, "choose must look like \"<number>|<key>\", got %q", v)
	}
	return n, key, nil
}

func (a *API) serviceDelete(rq *request) (any, error) {
	return rq.onlyIndex(a.srv.DeregisterService(rq.Context(), rq.Namespace, rq.arg("name"), rq.arg("service")))
}

func (a *API) namespaceList(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableNamespaces}, func(s *state.Snapshot) (any, error) {
		l := list[*model.Namespace]{cursor: func(n *model.Namespace) string { return n.Name }}
		for n := range s.Namespaces() {
			if hasPrefix(n.Name, rq.Prefix) {
				l.items = append(l.items, n)
			}
		}
		return page(rq, l, same)
	})
}

func (a *API) namespaceGet(rq *request) (any, error) {
	return a.read(rq, []state.Table{state.TableNamespaces}, func(s *state.Snapshot) (any, error) {
		if n := s.Namespace(rq.arg("name")); n != nil {
			return n, nil
		}
		return nil, rpc.Errorf(rpc.ErrNotFound, "Namespace not found")
	})
}

func (a *API) namespacePut(rq *request) (any, error) {
	var n model.Namespace
	if err := rq.body(&n, false); err != nil {
		return nil, err
	}
	if name := rq.arg("name"); name != "" && n.Name != name {
		return nil, rpc.Errorf(rpc.ErrInvalid, "Namespace name does not match: path has %q, body has %q", name, n.Name)
	}
	return rq.onlyIndex(a.srv.UpsertNamespace(rq.Context(), &n))
}

func (a *API) namespaceDelete(rq *request) (any, error) {
	return rq.onlyIndex(a.srv.DeleteNamespace(rq.Context(), rq.arg("name")))
}

func hasPrefix(s, prefix string) bool { return strings.HasPrefix(s, prefix) }
