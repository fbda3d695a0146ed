//go:build linux

package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

// serveNetworks makes this test binary a network plugin that offers the modes in the file T_LIST, and notes in its state
// directory what it set up.
func serveNetworks() {
	plugin.Serve(network.New(network.Info{Name: envOr("T_NAME", "test"), Version: "1.0.0"}, &testNetworks{list: os.Getenv("T_LIST")}))
}

type testNetworks struct {
	list string
	node network.Node
}

func (n *testNetworks) OffersInterval() time.Duration { return 20 * time.Millisecond }

func (n *testNetworks) Init(_ context.Context, node *network.Node) error {
	n.node = *node
	return nil
}

func (n *testNetworks) Offers(context.Context) (*network.Offers, error) {
	text, err := os.ReadFile(n.list)
	if err != nil {
		return nil, err
	}
	o := &network.Offers{Attributes: map[string]string{"fabric.colour": n.node.Settings["colour"]}}
	return o, json.Unmarshal(text, &o.Modes)
}

func (n *testNetworks) Setup(_ context.Context, a *network.Allocation) (*network.Status, error) {
	return &network.Status{NamespacePath: "/ns", Healthy: true}, os.WriteFile(filepath.Join(n.node.StateDir, a.ID), nil, 0o600)
}

func (n *testNetworks) Teardown(_ context.Context, r *network.TeardownRequest) error {
	return os.RemoveAll(filepath.Join(n.node.StateDir, r.AllocID))
}

func (n *testNetworks) Status(context.Context, string) (*network.Status, error) {
	return nil, network.ErrUnknown
}

func (n *testNetworks) List(context.Context) (ids []string, err error) {
	entries, err := os.ReadDir(n.node.StateDir)
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, err
}

// networks adds a network plugin that offers what the list says.
func (r *room) networks(file, list string, settings ...string) {
	r.t.Helper()
	r.plugin(file, append([]string{"T_ROLE=network", "T_LIST=" + list}, settings...)...)
}

// modesShown writes modes as "name plugin", with a mark behind those that are not healthy.
func modesShown(list []*model.NodeNetworkMode) string {
	var out []string
	for _, m := range list {
		text := m.Mode + " " + m.Plugin
		if !m.Healthy {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

func (r *room) untilModes(h *Host, want string) *Snapshot {
	r.t.Helper()
	return r.until(h, "modes "+want, func(s *Snapshot) bool { return modesShown(s.NetworkModes) == want })
}

func modes(names ...string) []network.Mode {
	var list []network.Mode
	for _, name := range names {
		m := network.Mode{Name: strings.TrimPrefix(name, "!"), Healthy: true}
		if m.Name != name {
			m.Healthy, m.Description = false, "the cable is cut"
		}
		list = append(list, m)
	}
	return list
}

func TestNetworkModesAreOfferedAndSetUp(t *testing.T) {
	r := newRoom(t)
	r.config.Networks = map[string]string{"colour": "green"}
	r.networks("drover-network-test", r.lists("list", modes("fabric", "!lab")))
	h := r.start()
	s := r.untilModes(h, "fabric test; lab test!")
	if s.NetworkModes[1].HealthDescription != "the cable is cut" || s.Attributes["fabric.colour"] != "green" || s.Attributes["plugin.network.test.version"] != "1.0.0" {
		t.Errorf("lab %+v, attributes %v", s.NetworkModes[1], s.Attributes)
	}
	if p := info(s, "drover-network-test", 0); p.Type != "network" || len(s.Drivers) != 0 {
		t.Errorf("plugin %+v, drivers %v", p, s.Drivers)
	}
	n, err := h.Network(t.Context(), "fabric")
	if err != nil {
		t.Fatal(err)
	}
	a := &network.Allocation{ID: "a1", Networks: []network.Attachment{{Mode: "fabric"}}}
	if _, err := n.Setup(t.Context(), a, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.config.DataDir, "plugin-data", "test", "a1")); err != nil {
		t.Error(err)
	}
	for mode, want := range map[string]string{"lab": "the cable is cut", "moon": "no plugin on this node offers it"} {
		if _, err := h.Network(t.Context(), mode); !errors.Is(err, ErrNoNetwork) || !strings.Contains(err.Error(), want) {
			t.Errorf("mode %s: %v, want %q", mode, err, want)
		}
	}

	// It is killed: whoever asks waits for the next process, which knows what was set up.
	if err := syscall.Kill(n.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-n.Done()
	next, err := h.NetworkPlugin(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := next.List(t.Context()); err != nil || len(ids) != 1 || next.Pid() == n.Pid() {
		t.Errorf("the next process, %d, lists %v, %v", next.Pid(), ids, err)
	}

	// The plugin lives on without its agent, and is told again where it is.
	r.untilModes(h, "fabric test; lab test!")
	pid := h.Networks()[0].Pid()
	r.stop(h, false)
	h = r.start()
	r.untilModes(h, "fabric test; lab test!")
	if again := h.Networks()[0]; again.Pid() != pid {
		t.Errorf("process %d became %d with another agent", pid, again.Pid())
	}
}

func TestTwoPluginsOfferOneMode(t *testing.T) {
	r := newRoom(t)
	r.networks("drover-network-a", r.lists("a", modes("fabric")), "T_NAME=first")
	r.networks("drover-network-b", r.lists("b", modes("fabric", "lab")), "T_NAME=second")
	h := r.start()
	s := r.untilModes(h, "fabric first; lab second")
	want := "network mode fabric is also offered by drover-network-a, which is used"
	if p := info(s, "drover-network-b", 0); p.Reason != want {
		s = r.until(h, want, func(s *Snapshot) bool { return info(s, "drover-network-b", 0).Reason == want })
	}
	if p := info(s, "drover-network-a", 0); p.Reason != "" {
		t.Errorf("the one that is used says %q", p.Reason)
	}
	r.lists("a", modes())
	r.untilModes(h, "fabric second; lab second")
}

func TestOffersThatCannotBeUsed(t *testing.T) {
	r := newRoom(t)
	r.networks("drover-network-test", r.lists("list", modes("fabric", "fabric")))
	h := r.start()
	r.until(h, "a reason", func(s *Snapshot) bool {
		p := info(s, "drover-network-test", 0)
		return p != nil && strings.Contains(p.Reason, "offers the network mode fabric twice")
	})
	var many []string
	for i := range maxModes + 1 {
		many = append(many, fmt.Sprint("m", i))
	}
	if err := checkOffers(&network.Offers{Modes: modes(many...)}); err == nil {
		t.Error("an endless list was taken")
	}
}
