// Package provider is the network plugin: it offers CNI networks and keeps what allocations have of them in order.
package provider

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/cni/child"
	"github.com/droverhq/drover/cni/conflist"
	"github.com/droverhq/drover/cni/netns"
	"github.com/droverhq/drover/cni/record"
	"github.com/droverhq/drover/cni/rules"
	"github.com/droverhq/drover/cni/runtime"
	"github.com/droverhq/drover/sdk/network"
)

// noneMode is a namespace with nothing but loopback.
const noneMode = "none"

// Provider is the plugin.
type Provider struct {
	log hclog.Logger

	mu       sync.Mutex
	config   Config
	settings settings
	prefix   string // of the container ids of this node
	family   child.Family
	records  *record.Store
	runtime  *runtime.Runtime
	binaries *catalog

	dirTrouble string // with cni_config_dir, as last logged

	// bridge is held for reading while an attachment to the bridge is made, and for writing when the idle bridge goes.
	bridge sync.RWMutex
}

var (
	_ network.Network    = (*Provider)(nil)
	_ network.WithConfig = (*Provider)(nil)
	_ network.WithInit   = (*Provider)(nil)
	_ network.WithAudit  = (*Provider)(nil)

	_ network.WithOffersInterval = (*Provider)(nil)
)

// New returns a plugin that waits for its Init.
func New(log hclog.Logger) *Provider { return &Provider{log: log, binaries: newCatalog()} }

// Init implements network.WithInit.
func (p *Provider) Init(ctx context.Context, n *network.Node) error {
	if n.StateDir == "" || !filepath.IsAbs(n.StateDir) {
		return fmt.Errorf("state directory %q is not absolute", n.StateDir)
	}
	if n.Owner == "" {
		return errors.New("the host does not say whose allocations these are")
	}
	records, err := record.Open(filepath.Join(n.StateDir, "allocs"))
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prefix = "drover-" + short(n.Owner) + "-"
	if p.records == nil {
		p.family = child.NewFamily(p.prefix)
		p.endOrphans(ctx)
	}
	p.settings = resolve(p.config, n)
	if _, err := exec.LookPath("iptables"); err == nil {
		p.settings.Bridge.Firewall = true
	}
	p.records = records
	p.runtime = runtime.New(p.settings.Path, filepath.Join(n.StateDir, "cache"), p.family, p.settings.Timeout)
	return nil
}

// endOrphans ends the CNI plugins that a killed process of this plugin left at work: what they make after their
// allocation was taken down would be left over. The lock is held.
func (p *Provider) endOrphans(ctx context.Context) {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ended, err := p.family.EndOrphans(ctx)
	if len(ended) > 0 {
		p.log.Info("CNI plugins of a process before this one were ended", "commands", ended)
	}
	if err != nil {
		p.log.Warn("what a process before this one left running may go on", "error", err)
	}
}

// short keeps container ids within what comments in the packet filter hold.
func short(owner string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(owner))
	return clean[max(0, len(clean)-8):]
}

var errNotInitialised = errors.New("the plugin has not been initialised")

// tools are what the methods work with.
type tools struct {
	settings
	prefix  string
	family  child.Family
	records *record.Store
	runtime *runtime.Runtime
}

func (p *Provider) tools() (tools, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.records == nil {
		return tools{}, errNotInitialised
	}
	return tools{p.settings, p.prefix, p.family, p.records, p.runtime}, nil
}

// networks are all that there are, good or not.
func (t *tools) networks() ([]*conflist.Network, error) {
	list, err := conflist.Read(t.ConfigDir)
	return append([]*conflist.Network{t.Bridge.Network()}, list...), err
}

// OffersInterval implements network.WithOffersInterval: a changed configuration is seen within seconds.
func (p *Provider) OffersInterval() time.Duration { return time.Second }

// Offers implements network.Network.
func (p *Provider) Offers(ctx context.Context) (*network.Offers, error) {
	t, err := p.tools()
	if err != nil {
		return nil, err
	}
	list, err := t.networks()
	o := &network.Offers{Attributes: map[string]string{}}
	o.Modes = append(o.Modes, network.Mode{Name: noneMode, Healthy: true})
	p.noteDir(err)
	have := p.binaries.versions(ctx, t.family, t.Path)
	for _, n := range list {
		m := network.Mode{Name: n.Mode, Healthy: true}
		if err := usable(&t, n, have); err != nil {
			m.Healthy, m.Description = false, err.Error()
		}
		o.Modes = append(o.Modes, m)
	}
	for name, version := range have {
		o.Attributes["plugins.cni.version."+name] = version
	}
	o.Attributes["nomad.bridge.hairpin_mode"] = fmt.Sprint(t.Bridge.Hairpin)
	return o, nil
}

// noteDir logs trouble with cni_config_dir when it begins and when it ends, not at every look.
func (p *Provider) noteDir(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	p.mu.Lock()
	before := p.dirTrouble
	p.dirTrouble = text
	p.mu.Unlock()
	switch {
	case text == before:
	case text == "":
		p.log.Info("networks can be read again")
	default:
		p.log.Warn("networks cannot be read", "error", err)
	}
}

// usable tells why a network cannot be had now. have are the CNI plugins that there are.
func usable(t *tools, n *conflist.Network, have map[string]string) error {
	if n.Err != nil {
		return n.Err
	}
	for _, name := range n.Binaries() {
		if _, ok := have[name]; !ok {
			return fmt.Errorf("CNI plugin %q is not in cni_path (%s)", name, strings.Join(t.Path, string(filepath.ListSeparator)))
		}
	}
	if n.Mode == conflist.BridgeMode {
		if _, err := exec.LookPath(rules.Program); err != nil {
			return fmt.Errorf("bridge needs the program %q (package nftables): %w", rules.Program, err)
		}
	}
	return nil
}

// Status implements network.Network.
func (p *Provider) Status(ctx context.Context, allocID string) (*network.Status, error) {
	t, err := p.tools()
	if err != nil {
		return nil, err
	}
	r, err := t.records.Get(allocID)
	if err != nil {
		return nil, err
	}
	s := r.Status()
	found, err := t.audit(ctx, []*record.Record{r})
	if err != nil {
		return nil, err
	}
	if why := found[allocID]; why != "" {
		s.Healthy, s.Description = false, why
	}
	return s, nil
}

// List implements network.Network.
func (p *Provider) List(ctx context.Context) ([]string, error) {
	t, err := p.tools()
	if err != nil {
		return nil, err
	}
	ids, err := t.records.All()
	if err != nil {
		return nil, err
	}
	left, err := t.leftContainers(ctx)
	if err != nil {
		return nil, err
	}
	for _, container := range left {
		if id := strings.TrimPrefix(container, t.prefix); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// leftContainers are the ids of our containers that rules and leases carry. Who cannot look must not say that there are
// none.
func (t *tools) leftContainers(ctx context.Context) ([]string, error) {
	list, err := rules.Nft(ctx, t.prefix)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range list {
		ids = append(ids, r.ContainerID)
	}
	dirs, err := t.leaseDirs()
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		leases, err := rules.Leases(dir)
		if err != nil {
			return nil, err
		}
		for _, l := range leases {
			if strings.HasPrefix(l.ContainerID, t.prefix) {
				ids = append(ids, l.ContainerID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// leaseDirs are where leases of ours may be: those of all records, and of all networks that there are.
func (t *tools) leaseDirs() ([]string, error) {
	ids, err := t.records.All()
	if err != nil {
		return nil, err
	}
	dirs := t.knownLeaseDirs()
	for _, id := range ids {
		r, err := t.records.Get(id)
		if err != nil {
			continue // deleted since it was listed, or damaged: whoever asks for it is told
		}
		for _, n := range r.Networks {
			dirs = append(dirs, conflist.LeaseDirs(n.Conf)...)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs), nil
}

// knownLeaseDirs are those of the networks that there are. Offers says what is wrong with the others.
func (t *tools) knownLeaseDirs() []string {
	known, _ := t.networks()
	var dirs []string
	for _, n := range known {
		dirs = append(dirs, conflist.LeaseDirs(n.Raw)...)
	}
	return dirs
}

// leaseDir is that of the built-in network.
func (t *tools) leaseDir() string { return filepath.Join(t.Bridge.LeaseDir, t.Bridge.Name) }

// namespacePath is where our namespace of an allocation is.
func namespacePath(allocID string) string { return netns.Path(allocID) }
