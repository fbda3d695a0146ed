package server

import (
	"cmp"
	"context"
	"slices"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// nodeServices keeps a node told of the services that its tasks' templates name.
func (s *Server) nodeServices(ctx context.Context, q *rpc.NodeServicesRequest, send func(*rpc.NodeServicesPush) error) error {
	if err := s.authenticate(ctx, q.NodeAuth); err != nil {
		return err
	}
	if q.Namespace == "" || q.Namespace == state.AllNamespaces {
		return rpc.Errorf(rpc.ErrInvalid, "services are watched in one namespace")
	}
	var seen uint64
	var last []*model.ServiceRegistration
	for first := true; ; first = false {
		var now []*model.ServiceRegistration
		err := s.state.Blocking(ctx, seen, func(snap *state.Snapshot) (uint64, error) {
			list := snap.Services(q.Namespace)
			if q.Name != "" {
				list = snap.ServicesByName(q.Namespace, q.Name)
			}
			now = slices.SortedFunc(list, func(a, b *model.ServiceRegistration) int { return cmp.Compare(a.ID, b.ID) })
			seen = snap.TableIndex(state.TableServices)
			return seen, nil
		})
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !first && slices.Equal(now, last) { // another service's change; registrations are replaced, never changed
			continue
		}
		last = now
		if err := send(&rpc.NodeServicesPush{Services: now}); err != nil {
			return err
		}
	}
}
