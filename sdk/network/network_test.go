package network_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugintest"
)

// memory is a network plugin that only remembers.
type memory struct {
	have   map[string]bool
	broken map[string]string
	setUps []string
	bad    *network.Status // answered instead of a good one
}

func newMemory(ids ...string) *memory {
	m := &memory{have: map[string]bool{}, broken: map[string]string{}}
	for _, id := range ids {
		m.have[id] = true
	}
	return m
}

func (m *memory) Offers(context.Context) (*network.Offers, error) {
	return &network.Offers{Modes: []network.Mode{{Name: "x", Healthy: true}}, Attributes: map[string]string{"a": "b"}}, nil
}

func (m *memory) Setup(_ context.Context, a *network.Allocation) (*network.Status, error) {
	m.setUps = append(m.setUps, a.ID)
	if m.bad != nil {
		return m.bad, nil
	}
	if m.broken[a.ID] == "for good" {
		return nil, errors.New("no address is left")
	}
	m.have[a.ID] = true
	return &network.Status{NamespacePath: "/ns", DNS: network.DNS{Servers: []string{"192.0.2.1"}}}, nil
}

func (m *memory) Teardown(_ context.Context, r *network.TeardownRequest) error {
	delete(m.have, r.AllocID)
	return nil
}

func (m *memory) Status(_ context.Context, id string) (*network.Status, error) {
	return nil, fmt.Errorf("allocation %s: %w", id, network.ErrUnknown)
}

func (m *memory) List(context.Context) ([]string, error) {
	var ids []string
	for id := range m.have {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

func (m *memory) Audit(_ context.Context, wanted []*network.Allocation) (found []network.Finding, err error) {
	for _, a := range wanted {
		if why := m.broken[a.ID]; why != "" {
			found = append(found, network.Finding{AllocID: a.ID, Reason: why})
		}
	}
	return found, nil
}

func serve(t *testing.T, m *memory) *host.Network {
	return plugintest.Serve(t, network.New(network.Info{Name: "memory", Version: "0.1.0"}, m)).Network()
}

func alloc(id string) *network.Allocation {
	return &network.Allocation{ID: id, Networks: []network.Attachment{{Mode: "x"}}}
}

func TestReconcile(t *testing.T) {
	m := newMemory("stray", "fine", "newer")
	m.broken["torn"], m.broken["lost"] = "its namespace is gone", "for good"
	n := serve(t, m)
	if _, err := n.Setup(t.Context(), alloc("newer"), 20); err != nil {
		t.Fatal(err)
	}
	got, err := n.Reconcile(t.Context(), []*network.Allocation{alloc("fine"), alloc("torn"), alloc("lost")}, 10)
	if err != nil {
		t.Fatal(err)
	}
	want := []network.Outcome{
		{AllocID: "stray", Action: network.Removed, Reason: "nobody wants it"},
		{AllocID: "torn", Action: network.Repaired, Reason: "its namespace is gone"},
	}
	if len(got) != 3 || !reflect.DeepEqual(got[:2], want) || got[2].Action != network.Failed || !strings.Contains(got[2].Reason, "no address is left") {
		t.Errorf("got %+v", got)
	}
	if left, _ := n.List(t.Context()); !slices.Equal(left, []string{"fine", "newer", "torn"}) {
		t.Errorf("what exists now: %v", left)
	}
}

// TestOvertaken: a reconciliation that was asked for before a teardown does not bring the network back.
func TestOvertaken(t *testing.T) {
	m := newMemory("a")
	m.broken["a"] = "its namespace is gone"
	n := serve(t, m)
	if err := n.Teardown(t.Context(), &network.TeardownRequest{AllocID: "a"}, 7); err != nil {
		t.Fatal(err)
	}
	if got, err := n.Reconcile(t.Context(), []*network.Allocation{alloc("a")}, 6); err != nil || len(got) != 0 || len(m.setUps) != 0 {
		t.Errorf("got %v, %v after %v", got, err, m.setUps)
	}
	if _, err := n.Setup(t.Context(), alloc("a"), 6); !errors.Is(err, network.ErrOvertaken) {
		t.Errorf("an older setup: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	long := alloc(strings.Repeat("a", 200))
	port := alloc("a")
	port.Ports = []network.Port{{Label: "http", HostPort: 70000, Port: 80}}
	twice := alloc("a")
	twice.Networks = []network.Attachment{{Mode: "x", Interface: "eth0"}, {Mode: "y", Interface: "eth0"}}
	for name, tc := range map[string]struct {
		alloc *network.Allocation
		want  string
	}{
		"path":       {alloc("../a"), "no allocation id"},
		"dots":       {alloc(".."), "no allocation id"},
		"long":       {long, "no allocation id"},
		"no network": {&network.Allocation{ID: "a"}, "asks for no network"},
		"port":       {port, "not within 1..65535"},
		"interfaces": {twice, "two networks ask for interface eth0"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			if _, err := serve(t, m).Setup(t.Context(), tc.alloc, 1); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if len(m.setUps) > 0 {
				t.Error("the plugin was asked all the same")
			}
		})
	}
}

func TestBadStatus(t *testing.T) {
	for name, bad := range map[string]*network.Status{
		"no namespace": {},
		"address":      {NamespacePath: "/ns", Interfaces: []network.Interface{{Name: "eth0", Addresses: []string{"10.0.0.1"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.bad = bad
			if _, err := serve(t, m).Setup(t.Context(), alloc("a"), 1); err == nil {
				t.Error("the status was taken as it is")
			}
		})
	}
}

func TestUnknownStatus(t *testing.T) {
	if _, err := serve(t, newMemory()).Status(t.Context(), "a"); !errors.Is(err, network.ErrUnknown) {
		t.Errorf("got %v", err)
	}
}

func TestOffers(t *testing.T) {
	enough := errors.New("enough")
	err := serve(t, newMemory()).Offers(t.Context(), func(o *network.Offers) error {
		if len(o.Modes) != 1 || o.Modes[0].Name != "x" || !o.Modes[0].Healthy || o.Attributes["a"] != "b" {
			t.Errorf("got %+v", o)
		}
		return enough
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
}

// TestWire: nothing is lost on the way.
func TestWire(t *testing.T) {
	a := &network.Allocation{ID: "a", NamespacePath: "/ns",
		Networks: []network.Attachment{{Mode: "x", Interface: "eth0", Args: map[string]string{"k": "v"}, Addresses: []string{"192.0.2.1"}}},
		Ports:    []network.Port{{Label: "http", HostIP: "192.0.2.2", HostPort: 80, Port: 8080, Mode: "x"}}}
	if got := network.AllocationFromProto(a.Proto()); !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v", got)
	}
	s := &network.Status{AllocID: "a", NamespacePath: "/ns", Healthy: true, Description: "d",
		Interfaces: []network.Interface{{Name: "eth0", Mode: "x", MAC: "m", Addresses: []string{"192.0.2.1/24"}, Gateways: []string{"192.0.2.9"}}},
		DNS:        network.DNS{Servers: []string{"192.0.2.3"}, Searches: []string{"s"}, Options: []string{"o"}}}
	if got := network.StatusFromProto(s.Proto()); !reflect.DeepEqual(got, s) {
		t.Errorf("got %+v", got)
	}
}
