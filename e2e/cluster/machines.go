package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
	"github.com/droverhq/drover/e2e/netlab"
)

// machines are servers and nodes with a network namespace each.
type machines struct {
	*group
	wire  *netlab.Wire
	nodes []*harness.Agent
}

// newMachines starts servers s0, s1, ... and nodes n0, n1, ..., and returns when all of them work.
func newMachines(t *testing.T, servers, nodes int) *machines {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"ip", "nft", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v (.ci/deps installs it)", err)
		}
	}
	wire, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := wire.Close(); err != nil {
			t.Error(err)
		}
	})
	m := &machines{group: &group{t: t}, wire: wire}
	ports := &harness.Ports{HTTP: 4646, RPC: 4647, Serf: 4648}
	join, rpc := "", ""
	for i := range servers {
		addr := m.host(serverName(i))
		join += fmt.Sprintf("%q, ", addr)
		rpc += fmt.Sprintf("%q, ", addr+":4647")
	}
	for i := range servers {
		name := serverName(i)
		m.ports = append(m.ports, ports)
		m.servers = append(m.servers, harness.New(t, harness.Options{
			Host: wire.Address(name), NetNS: wire.NetNS(name), Ports: ports, NoRawExec: true, Config: fmt.Sprintf("name = %q\n", name),
			Server: fmt.Sprintf("bootstrap_expect = %d\nencrypt = %q\nserver_join {\n retry_join = [%s]\n retry_interval = \"1s\"\n}", servers, gossipKey, join),
		}))
	}
	for i := range nodes {
		name := fmt.Sprintf("n%d", i)
		addr := m.host(name)
		m.nodes = append(m.nodes, harness.New(t, harness.Options{
			Host: addr, NetNS: wire.NetNS(name), Ports: ports, Config: fmt.Sprintf("name = %q\n", name),
			Client: fmt.Sprintf("network_interface = \"eth0\"\nservers = [%s]", rpc),
		}))
	}
	for _, a := range append(append([]*harness.Agent{}, m.servers...), m.nodes...) {
		a.Run()
	}
	for _, a := range append(append([]*harness.Agent{}, m.servers...), m.nodes...) {
		a.WaitReady()
	}
	return m
}

func serverName(i int) string { return fmt.Sprintf("s%d", i) }

func (m *machines) host(name string) string {
	m.t.Helper()
	addr, err := m.wire.Host(name)
	if err != nil {
		m.t.Fatal(err)
	}
	return addr
}

// leading is the number of the server that leads, as a server of those asked knows.
func (m *machines) leading(asked ...int) int {
	m.t.Helper()
	lead := -1
	harness.Eventually(m.t, 30*time.Second, "a leader", func() error {
		for _, a := range asked {
			var addr string
			if err := m.servers[a].Get("/v1/status/leader", &addr); err != nil {
				continue
			}
			for i := range m.servers {
				if addr == m.wire.Address(serverName(i))+":4647" {
					lead = i
					return nil
				}
			}
		}
		return fmt.Errorf("servers %v know of none", asked)
	})
	return lead
}

// rest are the other servers.
func (m *machines) rest(not int) []int {
	var out []int
	for i := range m.servers {
		if i != not {
			out = append(out, i)
		}
	}
	return out
}

func (m *machines) names(numbers []int) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, serverName(n))
	}
	return out
}

func (m *machines) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machines) signal(server int, sig syscall.Signal) {
	m.t.Helper()
	m.must(syscall.Kill(m.servers[server].PID(), sig))
}
