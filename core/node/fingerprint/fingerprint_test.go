package fingerprint

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/sdk/plugin"
)

func TestRun(t *testing.T) {
	r, err := Run(Config{Version: "9.9", AllocDir: t.TempDir(), Dev: true, AdvertiseAddr: "10.0.0.1", Reserved: Reserved{CPU: 100, MemoryMB: 50, Ports: "22"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"cpu.arch", "cpu.numcores", "cpu.frequency", "cpu.totalcompute", "cpu.usablecompute", "kernel.name", "kernel.version", "kernel.arch",
		"os.name", "os.version", "os.signals", "unique.hostname", "memory.totalbytes", "unique.storage.bytestotal",
		"unique.network.ip-address", "nomad.version", "drover.version", "nomad.service_discovery", "unique.advertise.address",
	} {
		if r.Attributes[name] == "" {
			t.Errorf("no attribute %s", name)
		}
	}
	if ip := r.Attributes["unique.network.ip-address"]; !netip.MustParseAddr(ip).IsLoopback() {
		t.Errorf("dev mode offers %s", ip)
	}
	res := r.Resources
	if res.Cpu.CpuShares <= 0 || res.Memory.MemoryMB <= 0 || res.Disk.DiskMB <= 0 || len(res.NodeNetworks) == 0 || len(res.Networks) == 0 {
		t.Errorf("resources %+v", res)
	}
	if r.Reserved.Cpu.CpuShares != 100 || r.Reserved.Networks.ReservedHostPorts != "22" {
		t.Errorf("reserved %+v", r.Reserved)
	}
}

func TestFilter(t *testing.T) {
	r, err := Run(Config{AllocDir: t.TempDir(), Dev: true, Options: map[string]string{"fingerprint.denylist": "memory, network"}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Attributes["memory.totalbytes"] != "" || r.Attributes["cpu.arch"] == "" {
		t.Error("denylist")
	}
	r, _ = Run(Config{AllocDir: t.TempDir(), Options: map[string]string{"fingerprint.allowlist": "arch"}})
	if len(r.Attributes) != 1 || r.Attributes["cpu.arch"] == "" {
		t.Errorf("allowlist left %v", r.Attributes)
	}
}

// One look that fails does not spoil the others, and says what to do.
func TestFailureIsNamed(t *testing.T) {
	r, err := Run(Config{AllocDir: t.TempDir(), NetworkInterface: "nope0"})
	if err == nil || !strings.Contains(err.Error(), "nope0") {
		t.Errorf("error %v", err)
	}
	if r.Attributes["cpu.arch"] == "" {
		t.Error("the rest is missing")
	}
}

func TestOverrides(t *testing.T) {
	r, err := Run(Config{AllocDir: t.TempDir(), Dev: true, Overrides: Overrides{CPUTotalCompute: 5000, MemoryTotalMB: 1024, DiskTotalMB: 77}, Reserved: Reserved{CPU: 500}})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cpu.totalcompute": "5000", "cpu.usablecompute": "4500", "memory.totalbytes": "1073741824"} {
		if got := r.Attributes[name]; got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	if r.Resources.Cpu.CpuShares != 5000 || r.Resources.Memory.MemoryMB != 1024 || r.Resources.Disk.DiskMB != 77 {
		t.Errorf("%+v", r.Resources)
	}
}

func TestTopology(t *testing.T) {
	cores := []plugin.Core{{CoreID: 0, BaseSpeed: 2000}, {CoreID: 1, MaxSpeed: 3000}, {CoreID: 2, NodeID: 1}}
	got := topology(cores, Overrides{}, Reserved{Cores: []uint16{1}, CPU: 100})
	if got.TotalCompute() != 6000 || got.UsableCompute() != 2900 || got.UsableCores() != 2 || len(got.NodeIDs) != 2 {
		t.Errorf("total %d usable %d cores %d nodes %v", got.TotalCompute(), got.UsableCompute(), got.UsableCores(), got.NodeIDs)
	}
}

func TestNetworkResources(t *testing.T) {
	prefix := netip.MustParsePrefix
	ifaces := []iface{
		{name: "lo", loopback: true, up: true, addrs: []netip.Prefix{prefix("127.0.0.1/8")}},
		{name: "eth0", mac: "02:00:00:00:00:01", up: true, addrs: []netip.Prefix{prefix("fe80::1/64"), prefix("2001:db8::5/64"), prefix("10.1.0.5/24")}},
		{name: "eth1", up: true, addrs: []netip.Prefix{prefix("192.168.7.2/24"), prefix("169.254.3.3/16")}},
	}
	nets := map[string]*model.HostNetwork{
		"private": {Name: "private", CIDR: "192.168.0.0/16", ReservedPorts: "80"},
		"second":  {Name: "second", Interface: "eth1"},
		"nothing": {Name: "nothing", CIDR: "172.16.0.0/12"},
	}
	got := networkResources(ifaces, "eth0", 100, nets, true)
	if got.ip != "10.1.0.5" {
		t.Errorf("address %s, want the IPv4 one", got.ip)
	}
	if len(got.networks) != 2 || got.networks[1].CIDR != "10.1.0.5/32" || got.networks[0].IP != "2001:db8::5" {
		t.Errorf("networks %+v", got.networks)
	}
	if len(got.devices) != 2 || got.devices[0].Device != "eth0" || got.devices[0].Speed != 100 {
		t.Fatalf("devices %+v", got.devices)
	}
	want := []model.NodeNetworkAddress{
		{Family: "ipv4", Alias: "private", Address: "192.168.7.2", ReservedPorts: "80"},
		{Family: "ipv4", Alias: "second", Address: "192.168.7.2"},
	}
	if a := got.devices[1].Addresses; len(a) != 2 || a[0] != want[0] || a[1] != want[1] {
		t.Errorf("eth1 %+v", a)
	}
}
