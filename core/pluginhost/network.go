package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

// ErrNoNetwork: no plugin that runs offers the mode now; the text says why.
var ErrNoNetwork = errors.New("network is not available")

// Network is a facade on one process of a network plugin, dead for good when that is gone. Its calls are those of
// host.Network with its deadlines.
type Network struct {
	*host.Network
	name string
	pid  int
	gone <-chan struct{}
}

// Name is the plugin's.
func (n *Network) Name() string { return n.name }

// Pid tells one process of the plugin from the next.
func (n *Network) Pid() int { return n.pid }

// Done is closed when the process is gone.
func (n *Network) Done() <-chan struct{} { return n.gone }

// Network returns the process that sets up networks of a mode. While it is being launched it waits, until ctx ends.
// Errors: ErrNoNetwork with the reason, ErrStopped.
func (h *Host) Network(ctx context.Context, mode string) (*Network, error) {
	return h.awaitNetwork(ctx, "network mode "+mode, func() (*generation, string) { return h.modeOwner(mode), h.sickMode(mode) })
}

// NetworkPlugin is for networks that exist: it returns the process of the plugin of that name.
func (h *Host) NetworkPlugin(ctx context.Context, name string) (*Network, error) {
	return h.awaitNetwork(ctx, "network plugin "+name, func() (*generation, string) {
		if f := h.claims[claim(plugin.TypeNetwork.String(), name)]; f != nil {
			return f.shown(), ""
		}
		return nil, ""
	})
}

// awaitNetwork waits for the generation that find returns to be up. find also says why it is not to be used; it is called
// with the lock held.
func (h *Host) awaitNetwork(ctx context.Context, what string, find func() (*generation, string)) (*Network, error) {
	for {
		h.mu.Lock()
		g, sick := find()
		wake, unknown := h.wake, g == nil && !h.identifying() && !h.unlisted()
		var n *Network
		reason := waitingFor(g)
		failed := g != nil && g.machine.Final()
		if g != nil && g.session != nil && !g.machine.UpSince.IsZero() {
			n = g.network()
		}
		h.mu.Unlock()
		switch {
		case unknown:
			return nil, fmt.Errorf("%s: %w: no plugin on this node offers it", what, ErrNoNetwork)
		case sick != "" || failed:
			return nil, fmt.Errorf("%s: %w: %s", what, ErrNoNetwork, firstOf(sick, reason))
		case n != nil:
			return n, nil
		}
		select {
		case <-wake:
		case <-h.ctx.Done():
			return nil, ErrStopped
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w: %s: %w", what, ErrNoNetwork, reason, ctx.Err())
		}
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// unlisted reports whether a network plugin has not said yet what it offers. The lock is held.
func (h *Host) unlisted() bool {
	for _, f := range h.families {
		g := f.shown()
		if g != nil && g.kind == plugin.TypeNetwork.String() && g.modes == nil && !g.machine.Final() && !g.machine.Shown.Known {
			return true
		}
	}
	return false
}

// network is the facade on the generation's process. The lock is held, and there is one.
func (g *generation) network() *Network {
	return &Network{Network: g.session.client.Network(), name: g.name, pid: g.session.proc.ID().PID, gone: g.session.gone}
}

// Networks returns the network plugins that are up.
func (h *Host) Networks() []*Network {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*Network
	for _, file := range sortedKeys(h.families) {
		g := h.families[file].shown()
		if g != nil && g.kind == plugin.TypeNetwork.String() && g.session != nil && !g.machine.UpSince.IsZero() {
			all = append(all, g.network())
		}
	}
	return all
}

// modeOwner is the generation whose offer of a mode counts; nil = none. Of two files that offer the same mode, the first
// in alphabetical order counts. The lock is held.
func (h *Host) modeOwner(mode string) *generation {
	for _, file := range sortedKeys(h.families) {
		g := h.families[file].shown()
		if g != nil && !g.retired() && g.mode(mode) != nil {
			return g
		}
	}
	return nil
}

func (g *generation) mode(name string) *network.Mode {
	i := slices.IndexFunc(g.modes, func(m network.Mode) bool { return m.Name == name })
	if i < 0 {
		return nil
	}
	return &g.modes[i]
}

// sickMode is why a mode that is offered cannot be had. The lock is held.
func (h *Host) sickMode(mode string) string {
	g := h.modeOwner(mode)
	if g == nil {
		return ""
	}
	if m := g.mode(mode); !m.Healthy {
		return firstOf(m.Description, "it is not healthy")
	}
	return ""
}

// addModes puts a plugin's modes on the picture. Those of a plugin that is not well are shown as unhealthy, so that no
// job is placed for them. The lock is held.
func (h *Host) addModes(s *Snapshot, g *generation) {
	if g.retired() {
		return
	}
	why := ""
	switch shown := g.machine.Shown; {
	case g.machine.Leaving != "":
		why = g.machine.Leaving
	case !shown.Healthy:
		why = firstOf(shown.Description, "it is not up")
	}
	for _, m := range g.modes {
		if h.modeOwner(m.Name) != g {
			continue
		}
		info := &model.NodeNetworkMode{Mode: m.Name, Plugin: g.name, Healthy: m.Healthy, HealthDescription: m.Description}
		if why != "" && m.Healthy {
			info.Healthy, info.HealthDescription = false, fmt.Sprintf("plugin %s: %s", g.name, why)
		}
		s.NetworkModes = append(s.NetworkModes, info)
	}
	slices.SortFunc(s.NetworkModes, func(a, b *model.NodeNetworkMode) int { return strings.Compare(a.Mode, b.Mode) })
	s.Attributes["plugin.network."+g.name+".version"] = g.version
	s.addAttributes(g.attributes, "network."+g.name)
}

// modeOverruled names a mode that another plugin offers too, whose offer counts. The lock is held.
func (g *generation) modeOverruled() string {
	for _, m := range g.modes {
		if owner := g.family.host.modeOwner(m.Name); owner != nil && owner.family != g.family {
			return fmt.Sprintf("network mode %s is also offered by %s, which is used", m.Name, owner.family.file)
		}
	}
	return ""
}

// placeNetwork tells a network plugin where it is.
func (g *generation) placeNetwork(ctx context.Context, s *session) error {
	c := g.family.host.config
	dir := filepath.Join(c.DataDir, "plugin-data", s.info.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make its state directory: %w", err)
	}
	node := &network.Node{StateDir: dir, Owner: firstOf(c.NodeID, "node"), Settings: c.Networks}
	return within(ctx, c.Limits.Call, func(ctx context.Context) error { return s.client.Network().Init(ctx, node) })
}

// networkModes names how tasks of a driver can be connected.
func networkModes(c driver.Capabilities) []string {
	modes := []string{}
	for _, m := range c.NetworkModes {
		modes = append(modes, m.String())
	}
	return modes
}
