package network

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/network"
)

// How often what exists is compared with what should: soon after something was lost while there is something to lose,
// and once a minute for what may have been left over.
const (
	busyInterval = 3 * time.Second
	idleInterval = time.Minute
)

// Run compares what exists with what should until ctx ends: at once, after every restart of a plugin, and then again and
// again. Every allocation of client state has been restored before it is called.
func (m *Manager) Run(ctx context.Context) {
	var drops sync.WaitGroup
	drops.Go(func() { m.retryDrops(ctx) }) // apart: a driver that does not answer must not hold up the comparison
	defer drops.Wait()
	ticker := time.NewTicker(busyInterval)
	defer ticker.Stop()
	last := map[string]visit{}
	for {
		for _, p := range m.Plugins.Networks() {
			revision := m.next() // before the list: what is set up after it is newer
			wanted := m.wantedOf(p.Name())
			v := last[p.Name()]
			if v.pid == p.Pid() && len(wanted) == 0 && m.Now().Sub(v.at) < idleInterval {
				continue
			}
			m.reconcile(ctx, p, wanted, revision)
			last[p.Name()] = visit{p.Pid(), m.Now()}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// visit is the latest reconciliation with a plugin.
type visit struct {
	pid int
	at  time.Time
}

// wantedOf is what a plugin should have set up.
func (m *Manager) wantedOf(plugin string) []*network.Allocation {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []*network.Allocation
	for _, n := range m.wanted {
		if n.Plugin == plugin {
			list = append(list, n.Wanted)
		}
	}
	return list
}

// beingSetUp are the allocations whose setup has not ended: to a plugin they look broken.
func (m *Manager) beingSetUp() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := map[string]bool{}
	for id, n := range m.wanted {
		if n.Isolation == nil {
			ids[id] = true
		}
	}
	return ids
}

// reconcile tells a plugin what should exist, and people what was otherwise.
func (m *Manager) reconcile(ctx context.Context, p Plugin, wanted []*network.Allocation, revision uint64) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unfinished := m.beingSetUp()
	outcomes, err := p.Reconcile(ctx, wanted, revision)
	if err != nil {
		if ctx.Err() == nil {
			m.Logger.Warn("networks not compared with what should exist", "plugin", p.Name(), "error", err)
		}
		return
	}
	for _, o := range outcomes {
		if unfinished[o.AllocID] {
			continue // its setup says how it went
		}
		text := fmt.Sprintf("Network of allocation %s %s: %s", o.AllocID, o.Action, o.Reason)
		if o.Action == network.Failed && !m.news(o.AllocID, text) {
			continue
		}
		m.Logger.Warn("network was not as it should be", "alloc", o.AllocID, "action", o.Action.String(), "reason", o.Reason)
		m.Event(&model.NodeEvent{Message: text, Subsystem: "Network", Timestamp: m.Now(),
			Details: map[string]string{"plugin": p.Name(), "alloc_id": o.AllocID, "action": o.Action.String()}})
	}
}

// news tells whether a failure has not been reported yet.
func (m *Manager) news(allocID, text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.said[allocID] == text {
		return false
	}
	m.said[allocID] = text
	return true
}
