package network

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/sdk/driver"
)

// dropInterval is between two attempts at namespaces that drivers could not remove, and bounds each.
const dropInterval = 10 * time.Second

// retryDrops asks drivers again to remove the namespaces of allocations that have ended, until ctx ends. Nobody else
// would: a driver keeps what it was not told to remove. A restarted agent tears down again what client state still has.
func (m *Manager) retryDrops(ctx context.Context) {
	ticker := time.NewTicker(dropInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		m.mu.Lock()
		ids := slices.Sorted(maps.Keys(m.undropped))
		m.mu.Unlock()
		for _, id := range ids {
			m.dropAgain(ctx, id)
		}
	}
}

func (m *Manager) dropAgain(ctx context.Context, allocID string) {
	ctx, cancel := context.WithTimeout(ctx, dropInterval)
	defer cancel()
	m.mu.Lock()
	n := m.undropped[allocID]
	m.mu.Unlock()
	if n == nil {
		return
	}
	if err := m.dropNamespace(ctx, n); err != nil {
		m.Logger.Debug("network namespace of an ended allocation still not removed", "alloc", allocID, "error", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.undropped[allocID] == n {
		delete(m.undropped, allocID)
	}
	m.Logger.Info("network namespace of an ended allocation removed", "alloc", allocID, "driver", n.Driver)
}

func (m *Manager) dropNamespace(ctx context.Context, n *statedb.Network) error {
	d, err := m.Drivers.Driver(ctx, n.Driver)
	if err != nil {
		return fmt.Errorf("driver %q: %w", n.Driver, err)
	}
	mk, ok := d.(maker)
	if !ok {
		return nil
	}
	req := &driver.DestroyNetworkRequest{AllocID: n.Wanted.ID}
	if n.Isolation != nil {
		req.Network = n.Isolation
	}
	if err := mk.DestroyNetwork(ctx, req); err != nil {
		return fmt.Errorf("driver %q: remove the network namespace: %w", n.Driver, err)
	}
	return nil
}
