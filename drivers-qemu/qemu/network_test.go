package qemu

import (
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/driver"
)

func TestNetwork(t *testing.T) {
	legacy := driver.Resources{Networks: []driver.Network{{
		ReservedPorts: []driver.NetworkPort{{Label: "ssh", Value: 2222}},
		DynamicPorts:  []driver.NetworkPort{{Label: "http", Value: 22000}},
	}}}
	group := driver.Resources{Ports: []driver.Port{
		{Label: "http", Value: 22001, To: 80, HostIP: "192.0.2.1"}, {Label: "six", Value: 22002, HostIP: "2001:db8::1"},
	}}
	const device = " -device virtio-net,netdev=user.0"
	for name, c := range map[string]struct {
		task  driver.TaskConfig
		ports map[string]int
		want  string
	}{
		"nothing": {driver.TaskConfig{Resources: legacy}, nil, ""},
		"task's ports": {driver.TaskConfig{Resources: legacy}, map[string]int{"ssh": 22, "http": 80},
			"-netdev user,id=user.0,hostfwd=tcp::22000-:80,hostfwd=udp::22000-:80,hostfwd=tcp::2222-:22,hostfwd=udp::2222-:22" + device},
		"group's port": {driver.TaskConfig{Resources: group}, map[string]int{"http": 8080},
			"-netdev user,id=user.0,hostfwd=tcp:192.0.2.1:22001-:8080,hostfwd=udp:192.0.2.1:22001-:8080" + device},
		"group's port, IPv6": {driver.TaskConfig{Resources: group}, map[string]int{"six": 1},
			"-netdev user,id=user.0,hostfwd=tcp::22002-:1,hostfwd=udp::22002-:1" + device},
		"in a namespace": {driver.TaskConfig{Resources: group, Network: &driver.NetworkIsolation{Path: "/ns"}}, map[string]int{"http": 8080, "six": 1},
			"-netdev user,id=user.0,hostfwd=tcp::80-:8080,hostfwd=udp::80-:8080,hostfwd=tcp::22002-:1,hostfwd=udp::22002-:1" + device},
		"resolver": {driver.TaskConfig{DNS: &driver.DNS{Servers: []string{"192.0.2.53", "192.0.2.54"}, Searches: []string{"a", "b"}}}, nil,
			"-netdev user,id=user.0,dns=192.0.2.53,dnssearch=a,dnssearch=b" + device},
		"unknown": {driver.TaskConfig{Resources: group}, map[string]int{"x": 1}, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := network(&c.task, c.ports)
			text := strings.Join(got, " ")
			if err != nil {
				text = "error"
			}
			if text != c.want {
				t.Fatalf("got %q %v, want %q", text, err, c.want)
			}
		})
	}
}

func TestOverride(t *testing.T) {
	if n := override(map[string]int{"http": 80}); n == nil || n.PortMap["http"] != 80 {
		t.Errorf("one port: %+v", n)
	}
	if override(nil) != nil || override(map[string]int{"a": 1, "b": 2}) != nil {
		t.Error("an override without one port")
	}
}
