package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

// config is what the plugin says of itself.
type config struct {
	Modes     []string `config:"modes"`     // what it offers; "mock" alone if there are none
	Unhealthy string   `config:"unhealthy"` // why none of them works; "" = they do
	Subnet    string   `config:"subnet" default:"192.0.2.0/24"`
}

// What args of a job's network block bring about.
const (
	setupError    = "setup_error"    // the setup fails with this text, having made the record
	setupWait     = "setup_wait"     // the setup takes this long
	teardownError = "teardown_error" // the teardown fails with this text
	lost          = "lost"           // the network is found broken for this reason until it is set up again
)

// mock keeps a record of each network in its state directory.
type mock struct {
	mu     sync.Mutex
	config config
	subnet netip.Prefix
	dir    string
}

var (
	_ network.Network    = (*mock)(nil)
	_ network.WithConfig = (*mock)(nil)
	_ network.WithInit   = (*mock)(nil)
	_ network.WithAudit  = (*mock)(nil)

	_ network.WithOffersInterval = (*mock)(nil)
)

// record is what is kept of an allocation.
type record struct {
	Alloc  network.Allocation
	Status network.Status
	Setups int
}

func (m *mock) Config() plugin.ConfigHandler { return plugin.Configure(m.configure) }

func (m *mock) configure(_ context.Context, c *plugin.Configuration[config]) error {
	subnet, err := netip.ParsePrefix(c.Config.Subnet)
	if err != nil {
		return fmt.Errorf("subnet: %w", err)
	}
	if c.Node == nil {
		return nil // it was only checked
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.config, m.subnet = c.Config, subnet.Masked()
	if len(m.config.Modes) == 0 {
		m.config.Modes = []string{"mock"}
	}
	return nil
}

func (m *mock) Init(_ context.Context, n *network.Node) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dir = n.StateDir
	return os.MkdirAll(n.StateDir, 0o700)
}

func (m *mock) OffersInterval() time.Duration { return time.Second }

func (m *mock) Offers(context.Context) (*network.Offers, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := &network.Offers{Attributes: map[string]string{"network.mock": "1"}}
	for _, name := range m.config.Modes {
		o.Modes = append(o.Modes, network.Mode{Name: name, Healthy: m.config.Unhealthy == "", Description: m.config.Unhealthy})
	}
	return o, nil
}

func (m *mock) Setup(ctx context.Context, a *network.Allocation) (*network.Status, error) {
	m.mu.Lock()
	modes := m.config.Modes
	m.mu.Unlock()
	for _, n := range a.Networks {
		if !slices.Contains(modes, n.Mode) {
			return nil, fmt.Errorf("mode %q is not offered here", n.Mode)
		}
	}
	if wait, err := time.ParseDuration(arg(a, setupWait)); err == nil {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r, err := m.record(a)
	if err != nil {
		return nil, err
	}
	if text := arg(a, setupError); text != "" {
		return nil, errors.Join(errors.New(text), m.remove(a.ID))
	}
	return &r.Status, nil
}

// record makes the record of a network, or counts one more setup of it.
func (m *mock) record(a *network.Allocation) (*record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.all()
	if err != nil {
		return nil, err
	}
	r := all[a.ID]
	if r == nil {
		r = &record{Status: network.Status{AllocID: a.ID, NamespacePath: a.NamespacePath, Healthy: true}}
		if a.NamespacePath == "" {
			r.Status.NamespacePath = "/proc/self/ns/net"
		}
		taken := map[string]bool{}
		for _, other := range all {
			for _, i := range other.Status.Interfaces {
				taken[i.Addresses[0]] = true
			}
		}
		for i, n := range a.Networks {
			address, err := m.free(taken)
			if err != nil {
				return nil, fmt.Errorf("network %s: %w", n.Mode, err)
			}
			taken[address] = true
			r.Status.Interfaces = append(r.Status.Interfaces, network.Interface{Name: fmt.Sprintf("eth%d", i), Mode: n.Mode, Addresses: []string{address}})
		}
	}
	r.Alloc = *a
	r.Setups++
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return r, os.WriteFile(m.file(a.ID), text, 0o600)
}

// free is the first address after the network's own that nobody has. The lock is held.
func (m *mock) free(taken map[string]bool) (string, error) {
	for ip := m.subnet.Addr().Next(); m.subnet.Contains(ip); ip = ip.Next() {
		if text := netip.PrefixFrom(ip, m.subnet.Bits()).String(); !taken[text] {
			return text, nil
		}
	}
	return "", fmt.Errorf("the subnet %s is exhausted: every address is in use", m.subnet)
}

// arg is the first value that a network of the allocation has of an argument.
func arg(a *network.Allocation, key string) string {
	for _, n := range a.Networks {
		if v := n.Args[key]; v != "" {
			return v
		}
	}
	return ""
}

func (m *mock) Teardown(_ context.Context, t *network.TeardownRequest) error {
	m.mu.Lock()
	all, err := m.all()
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if r := all[t.AllocID]; r != nil {
		if text := arg(&r.Alloc, teardownError); text != "" {
			return errors.New(text)
		}
	}
	return m.remove(t.AllocID)
}

func (m *mock) remove(id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := os.Remove(m.file(id)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (m *mock) Status(_ context.Context, id string) (*network.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.all()
	if err != nil {
		return nil, err
	}
	r := all[id]
	if r == nil {
		return nil, network.ErrUnknown
	}
	r.Status.Description = broken(r)
	r.Status.Healthy = r.Status.Description == ""
	return &r.Status, nil
}

// Audit finds networks that were to be lost, once each, and those without a record.
func (m *mock) Audit(_ context.Context, wanted []*network.Allocation) ([]network.Finding, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.all()
	if err != nil {
		return nil, err
	}
	var found []network.Finding
	for _, a := range wanted {
		if r := all[a.ID]; r == nil {
			found = append(found, network.Finding{AllocID: a.ID, Reason: "it has no network"})
		} else if why := broken(r); why != "" {
			found = append(found, network.Finding{AllocID: a.ID, Reason: why})
		}
	}
	return found, nil
}

// broken is why a network is not as it should be: it was to be lost, and was not set up again since.
func broken(r *record) string {
	if r.Setups > 1 {
		return ""
	}
	return arg(&r.Alloc, lost)
}

func (m *mock) List(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, err := m.all()
	var ids []string
	for id := range all {
		ids = append(ids, id)
	}
	return ids, err
}

const suffix = ".json"

func (m *mock) file(id string) string { return filepath.Join(m.dir, id+suffix) }

// all reads the records. The lock is held.
func (m *mock) all() (map[string]*record, error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, err
	}
	all := map[string]*record{}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		text, err := os.ReadFile(m.file(id))
		if err != nil {
			return nil, err
		}
		r := new(record)
		if err := json.Unmarshal(text, r); err != nil {
			return nil, fmt.Errorf("record %s: %w", m.file(id), err)
		}
		all[id] = r
	}
	return all, nil
}
