package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/conformance"
	"github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/plugin"
)

func newMock(t *testing.T, c config) *mock {
	t.Helper()
	m := &mock{}
	if c.Subnet == "" {
		c.Subnet = "192.0.2.0/30"
	}
	if err := m.configure(t.Context(), &plugin.Configuration[config]{Config: c, Node: &plugin.NodeConfig{}}); err != nil {
		t.Fatal(err)
	}
	if err := m.Init(t.Context(), &network.Node{StateDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	return m
}

func wanted(id, mode string, args map[string]string) *network.Allocation {
	return &network.Allocation{ID: id, Networks: []network.Attachment{{Mode: mode, Args: args}}}
}

func TestArgsBringAboutFailures(t *testing.T) {
	m := newMock(t, config{})
	if _, err := m.Setup(t.Context(), wanted("a", "mock", map[string]string{setupError: "the switch is off"})); err == nil || err.Error() != "the switch is off" {
		t.Errorf("setup: %v", err)
	}
	if ids, err := m.List(t.Context()); err != nil || len(ids) != 0 {
		t.Errorf("a failed setup left %v, %v", ids, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := m.Setup(soon, wanted("b", "mock", map[string]string{setupWait: "1h"})); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a long setup: %v", err)
	}
	if _, err := m.Setup(t.Context(), wanted("c", "mock", map[string]string{teardownError: "busy"})); err != nil {
		t.Fatal(err)
	}
	if err := m.Teardown(t.Context(), &network.TeardownRequest{AllocID: "c"}); err == nil || err.Error() != "busy" {
		t.Errorf("teardown: %v", err)
	}
}

func TestLostUntilSetUpAgain(t *testing.T) {
	m := newMock(t, config{})
	a := wanted("a", "mock", map[string]string{lost: "its interface is gone"})
	first, err := m.Setup(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	found, err := m.Audit(t.Context(), []*network.Allocation{a, wanted("b", "mock", nil)})
	if err != nil || len(found) != 2 || found[0].Reason != "its interface is gone" || found[1].Reason != "it has no network" {
		t.Errorf("found %+v, %v", found, err)
	}
	again, err := m.Setup(t.Context(), a)
	if err != nil || again.Interfaces[0].Addresses[0] != first.Interfaces[0].Addresses[0] {
		t.Errorf("set up again as %+v, %v; was %+v", again, err, first)
	}
	if found, err := m.Audit(t.Context(), []*network.Allocation{a}); err != nil || len(found) != 0 {
		t.Errorf("after that: %+v, %v", found, err)
	}
}

func TestModesAndAddressesAreThoseOfTheConfig(t *testing.T) {
	m := newMock(t, config{Modes: []string{"bridge", "cni/x"}, Unhealthy: "no cable"})
	o, err := m.Offers(t.Context())
	if err != nil || len(o.Modes) != 2 || o.Modes[1].Name != "cni/x" || o.Modes[0].Healthy || o.Modes[0].Description != "no cable" {
		t.Errorf("offers %+v, %v", o, err)
	}
	if _, err := m.Setup(t.Context(), wanted("a", "mock", nil)); err == nil {
		t.Error("a mode that is not offered was set up")
	}
	var last error
	for _, id := range []string{"a", "b", "c", "d"} {
		_, last = m.Setup(t.Context(), wanted(id, "bridge", nil))
	}
	if last == nil || !strings.Contains(last.Error(), "the subnet 192.0.2.0/30 is exhausted") {
		t.Errorf("the fourth in a subnet of three: %v", last)
	}
}

func TestConformance(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "drover-network-mock")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	conformance.Run(t, conformance.Config{Path: binary})
}
