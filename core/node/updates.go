package node

import (
	"context"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/allocrunner"
	"github.com/droverhq/drover/core/rpc"
)

const (
	lazyReport    = 200 * time.Millisecond // how long an event may wait for company
	reportSpacing = 20 * time.Millisecond  // least time between two reports
	reportTimeout = 15 * time.Second
	reportRetry   = time.Second
	reportMost    = 500 // allocations in one report: messages are bounded (rpc.MaxMessage)
)

// updates brings to the servers what happens here: in batches when much happens, at once when a status changed and
// little else does. Nothing is reported before it is on disk.
type updates struct {
	n      *Node
	lazy   chan struct{}
	urgent chan struct{}

	mu       sync.Mutex
	runners  map[string]*allocrunner.Runner
	inFlight map[string]*allocrunner.Runner // in a report that is not acknowledged yet
	plain    map[string]*model.Allocation   // of allocations without a runner
	events   []*model.NodeEvent
	show     map[string]*model.ServiceRegistration
	hide     map[string]bool
}

func newUpdates(n *Node) *updates {
	return &updates{
		n: n, lazy: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		runners: map[string]*allocrunner.Runner{}, plain: map[string]*model.Allocation{},
		show: map[string]*model.ServiceRegistration{}, hide: map[string]bool{},
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (u *updates) alloc(r *allocrunner.Runner, urgent bool) {
	u.mu.Lock()
	u.runners[r.ID()] = r
	u.mu.Unlock()
	if urgent {
		poke(u.urgent)
	} else {
		poke(u.lazy)
	}
}

// forget: the allocation was removed on the servers' word, they need not hear of it.
func (u *updates) forget(id string) {
	u.mu.Lock()
	delete(u.runners, id)
	u.mu.Unlock()
}

// waiting tells whether something of the allocation is still to be reported.
func (u *updates) waiting(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.runners[id] != nil || u.inFlight[id] != nil
}

// gone reports an allocation that should stop and of which nothing is here.
func (u *updates) gone(a *model.Allocation) {
	u.bare(a, model.AllocClientComplete, "Nothing of the allocation runs on this node")
}

// failed reports an allocation that cannot even be tried.
func (u *updates) failed(a *model.Allocation, why string) { u.bare(a, model.AllocClientFailed, why) }

func (u *updates) bare(a *model.Allocation, status, why string) {
	u.mu.Lock()
	u.plain[a.ID] = &model.Allocation{
		ID: a.ID, Namespace: a.Namespace, NodeID: a.NodeID, JobID: a.JobID, TaskGroup: a.TaskGroup,
		ClientStatus: status, ClientDescription: why, TaskStates: a.TaskStates, DeploymentStatus: a.DeploymentStatus,
	}
	u.mu.Unlock()
	poke(u.urgent)
}

func (u *updates) event(e *model.NodeEvent) {
	u.mu.Lock()
	u.events = append(u.events, e)
	u.events = u.events[max(0, len(u.events)-4*model.MaxNodeEvents):]
	u.mu.Unlock()
	poke(u.lazy)
}

// Register is allocrunner.Catalog's.
func (u *updates) Register(regs []*model.ServiceRegistration) {
	u.mu.Lock()
	for _, r := range regs {
		u.show[r.ID] = r
		delete(u.hide, r.ID)
	}
	u.mu.Unlock()
	poke(u.lazy)
}

// Remove is allocrunner.Catalog's. Clients should not be sent to an instance that is about to end, so it is urgent.
func (u *updates) Remove(ids []string) {
	u.mu.Lock()
	for _, id := range ids {
		delete(u.show, id)
		u.hide[id] = true
	}
	u.mu.Unlock()
	poke(u.urgent)
}

// run reports until ctx ends.
func (u *updates) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	armed := false
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.lazy:
			if !armed {
				timer.Reset(lazyReport)
				armed = true
			}
			continue
		case <-timer.C:
			armed = false
		case <-u.urgent:
		}
		if wait := reportSpacing - time.Since(last); wait > 0 {
			pause(ctx, wait)
		}
		if !u.report(ctx) && ctx.Err() == nil {
			pause(ctx, reportRetry)
			poke(u.urgent)
		}
		last = time.Now()
	}
}

// batch is one report with where its parts came from.
type batch struct {
	runners map[string]*allocrunner.Runner
	plain   map[string]*model.Allocation
	events  []*model.NodeEvent
	show    map[string]*model.ServiceRegistration
	hide    map[string]bool
}

func (u *updates) take() (batch, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := batch{u.runners, u.plain, u.events, u.show, u.hide}
	if len(b.runners)+len(b.plain)+len(b.events)+len(b.show)+len(b.hide) == 0 {
		return b, false
	}
	rest := map[string]*allocrunner.Runner{}
	if len(b.runners) > reportMost {
		b.runners = map[string]*allocrunner.Runner{}
		for id, r := range u.runners {
			if len(b.runners) < reportMost {
				b.runners[id] = r
			} else {
				rest[id] = r
			}
		}
		poke(u.urgent)
	}
	u.inFlight = b.runners
	u.runners, u.plain, u.events = rest, map[string]*model.Allocation{}, nil
	u.show, u.hide = map[string]*model.ServiceRegistration{}, map[string]bool{}
	return b, true
}

// giveBack queues a batch that was not delivered; what came since is newer and wins.
func (u *updates) giveBack(b batch) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, r := range b.runners {
		u.runners[id] = r
	}
	for id, a := range b.plain {
		if u.plain[id] == nil {
			u.plain[id] = a
		}
	}
	u.events = append(b.events, u.events...)
	for id, s := range b.show {
		if u.show[id] == nil && !u.hide[id] {
			u.show[id] = s
		}
	}
	for id := range b.hide {
		if u.show[id] == nil {
			u.hide[id] = true
		}
	}
}

func (u *updates) landed() {
	u.mu.Lock()
	u.inFlight = nil
	u.mu.Unlock()
}

// report delivers what is queued; false: it is still queued.
func (u *updates) report(ctx context.Context) bool {
	conn, err := u.n.place.connection(ctx)
	if err != nil {
		return false
	}
	b, any := u.take()
	if !any {
		return true
	}
	req := &rpc.NodeUpdateRequest{NodeAuth: u.n.auth(), Events: b.events}
	for _, r := range b.runners {
		req.Allocs = append(req.Allocs, r.ClientAlloc())
	}
	for _, a := range b.plain {
		req.Allocs = append(req.Allocs, a)
	}
	for _, s := range b.show {
		req.RegisterServices = append(req.RegisterServices, s)
	}
	for id := range b.hide {
		req.RemoveServices = append(req.RemoveServices, id)
	}
	call, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	defer u.landed()
	if err := u.n.store.Flush(call); err != nil && ctx.Err() == nil {
		// A full disk must not keep the servers in the dark; what is reported stays true as long as this process lives.
		u.n.logger.Error("client state not written", "error", err)
	}
	if _, err := rpc.NodeUpdate.Call(call, conn, req); err != nil {
		u.giveBack(b)
		if ctx.Err() == nil {
			u.n.logger.Warn("report to the servers failed, trying again", "error", err)
		}
		return false
	}
	return true
}
