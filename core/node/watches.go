package node

import (
	"context"
	"sync"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/template"
	"github.com/droverhq/drover/core/rpc"
)

// watches follows services in the catalog for the templates of the node's tasks: one stream for each service, however
// many templates name it.
type watches struct {
	node *Node

	mu   sync.Mutex
	open map[watchKey]*watch
}

type watchKey struct{ namespace, name string }

// watch is one followed service. What is known survives the loss of the servers.
type watch struct {
	stop context.CancelFunc

	mu    sync.Mutex
	known bool
	regs  []*model.ServiceRegistration
	subs  map[*subscription]bool
}

type subscription struct {
	all  *watches
	key  watchKey
	from *watch
	poke func()
}

func newWatches(n *Node) *watches { return &watches{node: n, open: map[watchKey]*watch{}} }

// Watch implements template.Catalog.
func (w *watches) Watch(namespace, name string, poke func()) template.Subscription {
	key := watchKey{namespace, name}
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.open[key]
	if one == nil {
		ctx, stop := context.WithCancel(w.node.runCtx)
		one = &watch{stop: stop, subs: map[*subscription]bool{}}
		w.open[key] = one
		w.node.runners.Go(func() { w.node.follow(ctx, key, one) })
	}
	sub := &subscription{all: w, key: key, from: one, poke: poke}
	one.mu.Lock()
	one.subs[sub] = true
	one.mu.Unlock()
	return sub
}

// Latest implements template.Subscription.
func (s *subscription) Latest() ([]*model.ServiceRegistration, bool) {
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	return s.from.regs, s.from.known
}

// Close ends the watch with its last subscription.
func (s *subscription) Close() {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.from.mu.Lock()
	defer s.from.mu.Unlock()
	delete(s.from.subs, s)
	if len(s.from.subs) == 0 && s.all.open[s.key] == s.from {
		s.from.stop()
		delete(s.all.open, s.key)
	}
}

func (o *watch) set(regs []*model.ServiceRegistration) {
	o.mu.Lock()
	o.regs, o.known = regs, true
	pokes := make([]func(), 0, len(o.subs))
	for s := range o.subs {
		pokes = append(pokes, s.poke)
	}
	o.mu.Unlock()
	for _, poke := range pokes {
		poke()
	}
}

// follow keeps a watch up to date through whatever server the node has a session with.
func (n *Node) follow(ctx context.Context, key watchKey, one *watch) {
	for ctx.Err() == nil {
		conn, err := n.place.connection(ctx)
		if err != nil {
			return
		}
		next, err := rpc.NodeServices.Call(ctx, conn, &rpc.NodeServicesRequest{NodeAuth: n.auth(), Namespace: key.namespace, Name: key.name})
		for err == nil {
			var push *rpc.NodeServicesPush
			if push, err = next(); err == nil {
				one.set(push.Services)
			}
		}
		if ctx.Err() == nil {
			n.logger.Debug("services are not followed for a moment", "namespace", key.namespace, "service", key.name, "error", err)
			pause(ctx, retryFirst)
		}
	}
}
