package network

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/statedb"
	"github.com/droverhq/drover/core/node/taskenv"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/network"
)

// Plugin is one process of a network plugin.
type Plugin interface {
	Name() string
	Pid() int
	Setup(ctx context.Context, a *network.Allocation, revision uint64) (*network.Status, error)
	Teardown(ctx context.Context, r *network.TeardownRequest, revision uint64) error
	Reconcile(ctx context.Context, wanted []*network.Allocation, revision uint64) ([]network.Outcome, error)
}

// Plugins finds network plugins.
type Plugins interface {
	// Network is the process that sets up networks of a mode. It waits while one is being launched.
	Network(ctx context.Context, mode string) (Plugin, error)
	// NetworkPlugin is the process of the plugin of that name, likewise.
	NetworkPlugin(ctx context.Context, name string) (Plugin, error)
	// Networks are those that are up.
	Networks() []Plugin
}

// maker is a driver that makes the namespaces of groups itself.
type maker interface {
	CreateNetwork(ctx context.Context, r *driver.CreateNetworkRequest) (*driver.CreateNetworkResponse, error)
	DestroyNetwork(ctx context.Context, r *driver.DestroyNetworkRequest) error
}

// Config is what a Manager needs.
type Config struct {
	Plugins  Plugins
	Drivers  taskrunner.Drivers
	Store    *statedb.Store
	Wildcard bool // ports of the default host network are opened on every address
	Now      func() time.Time
	Event    func(*model.NodeEvent)
	Logger   hclog.Logger
}

// Manager gives allocations their networks.
type Manager struct {
	Config

	mu       sync.Mutex
	revision uint64
	wanted   map[string]*statedb.Network // by allocation
	said     map[string]string           // failures that have been reported

	undropped map[string]*statedb.Network // by allocation: of those that ended, whose driver still has the namespace
}

// patience bounds one setup or teardown, waiting for plugins included.
const patience = 3 * time.Minute

// New returns a manager that wants nothing yet.
func New(c Config) *Manager {
	return &Manager{Config: c, wanted: map[string]*statedb.Network{}, said: map[string]string{}, undropped: map[string]*statedb.Network{}}
}

// Restore takes over what client state has of an allocation's network.
func (m *Manager) Restore(allocID string, n *statedb.Network) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wanted[allocID] = n
}

// Setup gives an allocation its network; nil when it uses the node's own. env is that of its first task.
func (m *Manager) Setup(ctx context.Context, a *model.Allocation, g *model.TaskGroup, env *taskenv.Env) (*statedb.Network, error) {
	want := Plan(a, g, env, m.Wildcard)
	if want == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p, err := m.pluginFor(ctx, want)
	if err != nil {
		return nil, err
	}
	n := &statedb.Network{Plugin: p.Name(), Wanted: want}
	m.mu.Lock()
	delete(m.undropped, a.ID)
	m.mu.Unlock()
	if err := m.makeNamespace(ctx, n, g, env); err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.wanted[a.ID] = n
	m.mu.Unlock()
	status, err := m.setUp(ctx, p, want)
	if err != nil {
		return nil, errors.Join(err, m.Teardown(context.WithoutCancel(ctx), a.ID))
	}
	done := *n
	done.Status = statusOf(status)
	done.Isolation = &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: status.NamespacePath, Labels: n.Labels}
	done.Isolation.Hosts = hostsOf(n.Labels, done.Status)
	m.mu.Lock()
	m.wanted[a.ID] = &done
	m.mu.Unlock()
	return &done, m.Store.PutNetwork(a.ID, &done)
}

// pluginFor finds the plugin that offers all of the modes: one namespace has one plugin.
func (m *Manager) pluginFor(ctx context.Context, want *network.Allocation) (Plugin, error) {
	var first Plugin
	for _, n := range want.Networks {
		p, err := m.Plugins.Network(ctx, n.Mode)
		if err != nil {
			return nil, err
		}
		if first != nil && p.Name() != first.Name() {
			return nil, fmt.Errorf("network modes %s and %s come from different plugins (%s, %s); a group's networks must come from one",
				want.Networks[0].Mode, n.Mode, first.Name(), p.Name())
		}
		first = p
	}
	return first, nil
}

// setUp asks the plugin, and asks its successor if it died.
func (m *Manager) setUp(ctx context.Context, p Plugin, want *network.Allocation) (*network.Status, error) {
	for {
		s, err := p.Setup(ctx, want, m.next())
		again := errors.Is(err, host.ErrPluginDown) || errors.Is(err, network.ErrOvertaken)
		if !again || ctx.Err() != nil {
			return s, err
		}
		if p, err = m.Plugins.NetworkPlugin(ctx, p.Name()); err != nil {
			return nil, err
		}
		if err := pause(ctx, retryPause); err != nil {
			return nil, err
		}
	}
}

// retryPause is between a call to a process that died and the next.
const retryPause = 100 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// next is a revision: it grows with every request, over restarts of the agent too.
func (m *Manager) next() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision = max(m.revision+1, uint64(m.Now().UnixNano()))
	return m.revision
}

// makeNamespace has the driver make the namespace if one of the group's insists.
func (m *Manager) makeNamespace(ctx context.Context, n *statedb.Network, g *model.TaskGroup, env *taskenv.Env) error {
	for _, t := range g.Tasks {
		d, err := m.Drivers.Driver(ctx, t.Driver)
		if err != nil {
			return fmt.Errorf("driver %q: %w", t.Driver, err)
		}
		if !d.Capabilities().MustCreateNetwork {
			continue
		}
		if n.Driver != "" && n.Driver != t.Driver {
			return fmt.Errorf("drivers %s and %s each insist on making the group's network namespace; put their tasks into different groups", n.Driver, t.Driver)
		}
		n.Driver = t.Driver
	}
	if n.Driver == "" {
		return nil
	}
	d, err := m.Drivers.Driver(ctx, n.Driver)
	if err != nil {
		return fmt.Errorf("driver %q: %w", n.Driver, err)
	}
	mk, ok := d.(maker)
	if !ok {
		return fmt.Errorf("driver %q says that it makes network namespaces and cannot be asked to", n.Driver)
	}
	resp, err := mk.CreateNetwork(ctx, &driver.CreateNetworkRequest{AllocID: n.Wanted.ID, Hostname: env.Replace(g.Networks[0].Hostname)})
	if err != nil {
		return fmt.Errorf("driver %q: make the network namespace: %w", n.Driver, err)
	}
	if resp == nil || resp.Network == nil || resp.Network.Path == "" {
		return fmt.Errorf("driver %q made a network namespace and does not say where", n.Driver)
	}
	n.Wanted.NamespacePath, n.Labels = resp.Network.Path, resp.Network.Labels
	return nil
}

// Teardown removes an allocation's network. What it cannot remove now is tried again while Run goes on: the plugin's part by
// its next reconciliation, a driver's namespace every dropInterval.
func (m *Manager) Teardown(ctx context.Context, allocID string) error {
	m.mu.Lock()
	n := m.wanted[allocID]
	delete(m.wanted, allocID)
	delete(m.said, allocID)
	m.mu.Unlock()
	if n == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := m.tearDown(ctx, n)
	if n.Driver == "" {
		return err
	}
	dropped := m.dropNamespace(ctx, n)
	if dropped != nil {
		m.mu.Lock()
		m.undropped[allocID] = n
		m.mu.Unlock()
	}
	return errors.Join(err, dropped)
}

func (m *Manager) tearDown(ctx context.Context, n *statedb.Network) error {
	for {
		p, err := m.Plugins.NetworkPlugin(ctx, n.Plugin)
		if err != nil {
			return err
		}
		err = p.Teardown(ctx, &network.TeardownRequest{AllocID: n.Wanted.ID, NamespacePath: n.Wanted.NamespacePath}, m.next())
		if errors.Is(err, network.ErrOvertaken) || !errors.Is(err, host.ErrPluginDown) || pause(ctx, retryPause) != nil {
			return err
		}
	}
}
