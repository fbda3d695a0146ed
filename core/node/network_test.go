package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
)

// networked gives an allocation's group a network of its own with two ports.
func networked(a *model.Allocation, mode string) *model.Allocation {
	g := a.Job.Group(a.TaskGroup)
	g.Networks = []*model.Network{{Mode: mode, CNI: &model.CNIConfig{Args: map[string]string{"owner": "${NOMAD_JOB_NAME}"}},
		ReservedPorts: []model.Port{{Label: "admin", Value: 8081, HostNetwork: "inner"}},
		DynamicPorts:  []model.Port{{Label: "http", To: 80}}}}
	a.AllocatedResources.Shared.Ports = []model.AllocatedPort{
		{Label: "http", Value: 21000, To: 80, HostIP: "198.51.100.1"}, {Label: "admin", Value: 8081, HostIP: "10.9.9.9"},
	}
	return a
}

func TestNetworkIsSetUpBeforeTasksAndRemovedAfter(t *testing.T) {
	r := newRig(t)
	r.ctl.run(networked(alloc("a1", "service", task("web"), task("side")), "fake"))
	report := r.ctl.awaitStatus("a1", model.AllocClientRunning)
	if s := report.NetworkStatus; s == nil || s.Address != "192.0.2.7" || s.AddressIPv6 != "fd00::7" || s.InterfaceName != "eth0" {
		t.Errorf("the servers hear of %+v", report.NetworkStatus)
	}
	for _, name := range []string{"web", "side"} {
		c := r.world.task(name).config
		if c.Network == nil || c.Network.Path != "/ns/a1" {
			t.Errorf("%s joins %+v", name, c.Network)
		}
		for key, want := range map[string]string{"NOMAD_ALLOC_ADDR_http": "192.0.2.7:80", "NOMAD_HOST_PORT_http": "21000", "NOMAD_PORT_http": "80"} {
			if c.Env[key] != want {
				t.Errorf("%s: %s is %q, want %q", name, key, c.Env[key], want)
			}
		}
	}
	want := r.world.nets.of("a1")
	if n := want.Networks; len(n) != 1 || n[0].Mode != "fake" || n[0].Interface != "eth0" || n[0].Args["owner"] == "" || strings.Contains(n[0].Args["owner"], "$") {
		t.Errorf("asked for %+v", n)
	}
	if p := want.Ports; len(p) != 2 || p[0].HostIP != "" || p[0].Port != 80 || p[1].HostIP != "10.9.9.9" || p[1].Port != 8081 {
		t.Errorf("asked for the ports %+v", p)
	}
	r.ctl.stop("a1")
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
	if left := r.world.nets.of("a1"); left != nil {
		t.Errorf("left after the end: %+v", left)
	}
}

// TestNetworkIsSetUpByTheNextAgent: no task starts without the network that its group asks for.
func TestNetworkIsSetUpByTheNextAgent(t *testing.T) {
	r := newRig(t)
	hold := make(chan struct{})
	r.world.nets.hold = hold
	r.ctl.run(networked(alloc("a1", "service", task("web")), "fake"))
	eventually(t, "the plugin is asked", func() bool { return r.world.nets.asked() })
	r.stop()
	close(hold)
	r.boot()
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	if c := r.world.task("web").config; c.Network == nil || c.Network.Path != "/ns/a1" {
		t.Errorf("the task joins %+v", c.Network)
	}
}

func TestNetworkThatCannotBeSetUpFailsTheAllocation(t *testing.T) {
	r := newRig(t)
	r.world.nets.broken = "no address is left"
	r.ctl.run(networked(alloc("a1", "service", task("web")), "fake"))
	r.ctl.awaitStatus("a1", model.AllocClientFailed)
	r.told("a1", "web", "no address is left")
	r.ctl.run(networked(alloc("a2", "service", task("web")), "other"))
	r.ctl.awaitStatus("a2", model.AllocClientFailed)
	r.told("a2", "web", `no plugin offers network mode "other"`)
	if n := r.world.starts(); n != 0 {
		t.Errorf("%d tasks were started", n)
	}
}

// TestNetworkSurvivesTheAgent: the next agent tells the plugin what should exist, and later tasks join the same network.
func TestNetworkSurvivesTheAgent(t *testing.T) {
	r := newRig(t)
	r.ctl.run(networked(alloc("a1", "service", task("web")), "fake"))
	r.ctl.awaitStatus("a1", model.AllocClientRunning)
	before := r.world.nets.of("a1")
	r.stop()
	r.boot()
	eventually(t, "the plugin is told what should exist", func() bool {
		r.world.nets.mu.Lock()
		defer r.world.nets.mu.Unlock()
		return slices.Equal(r.world.nets.wanted, []string{"a1"})
	})
	if r.world.nets.of("a1") != before {
		t.Error("the network was set up again")
	}
	r.ctl.stop("a1")
	r.ctl.awaitStatus("a1", model.AllocClientComplete)
	if r.world.nets.of("a1") != nil {
		t.Error("the network is left")
	}
}
