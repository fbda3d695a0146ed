// Package cluster tests several agents that form one cluster.
package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// gossipKey encrypts the tests' gossip.
const gossipKey = "3RN5rBRqhSpcxEXz9v9qEk5VxGZvYQnW1tUIrxHPpVw="

// group is a number of servers.
type group struct {
	t       *testing.T
	servers []*harness.Agent
	ports   []*harness.Ports
	tls     *groupTLS // nil: plain text
	region  string    // "": global
	join    []string  // serf addresses of servers of other regions
}

// newGroup starts servers that found a group, and returns when each knows the leader.
func newGroup(t *testing.T, n int) *group {
	t.Helper()
	return (&group{t: t}).start(n)
}

func (g *group) start(n int) *group {
	g.t.Helper()
	t := g.t
	for range n {
		g.ports = append(g.ports, harness.FreePorts(t))
	}
	for i := range n {
		g.servers = append(g.servers, g.server(i, n, gossipKey))
	}
	for _, s := range g.servers {
		s.Run()
	}
	for _, s := range g.servers {
		s.WaitReady()
	}
	return g
}

// server prepares one; its name is s0, s1 and so on.
func (g *group) server(i, expect int, key string) *harness.Agent {
	return harness.New(g.t, harness.Options{
		Ports: g.ports[i], NoRawExec: true,
		Config: fmt.Sprintf("name = \"s%d\"\nleave_on_terminate = true\n", i) + g.regionLine() + g.tls.block("server"), TLS: g.tls.as(),
		Server: fmt.Sprintf("bootstrap_expect = %d\nencrypt = %q\nserver_join {\n retry_join = %s\n retry_interval = \"2s\"\n}", expect, key, g.serfAddrs()),
	})
}

func (g *group) regionLine() string {
	if g.region == "" {
		return ""
	}
	return fmt.Sprintf("region = %q\n", g.region)
}

func (g *group) serfAddrs() string {
	var out []string
	for _, a := range g.join {
		out = append(out, fmt.Sprintf("%q", a))
	}
	for _, p := range g.ports {
		out = append(out, fmt.Sprintf("\"127.0.0.1:%d\"", p.Serf))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// node starts an agent that is only a client, connected to the server of that number.
func (g *group) node(server int) *harness.Agent {
	g.t.Helper()
	return harness.Start(g.t, harness.Options{
		Config: "name = \"n\"\n" + g.regionLine() + g.tls.block("client"), TLS: g.tls.as(), Client: fmt.Sprintf("servers = [\"127.0.0.1:%d\"]", g.ports[server].RPC),
	})
}

// leader is the number of the server that leads, as the one asked knows.
func (g *group) leader(asked int) (int, error) {
	var addr string
	if err := g.servers[asked].Get("/v1/status/leader", &addr); err != nil {
		return 0, err
	}
	for i, p := range g.ports {
		if addr == fmt.Sprintf("127.0.0.1:%d", p.RPC) {
			return i, nil
		}
	}
	return 0, errors.New("no leader")
}

func (g *group) mustLeader(asked int) int {
	g.t.Helper()
	var n int
	harness.Eventually(g.t, time.Minute, "a leader", func() (err error) {
		n, err = g.leader(asked)
		return err
	})
	return n
}

// other is a server that is none of these.
func (g *group) other(not ...int) int {
	for i := range g.servers {
		found := false
		for _, n := range not {
			found = found || n == i
		}
		if !found {
			return i
		}
	}
	g.t.Fatal("no other server")
	return 0
}

// write stores something small through an agent.
func write(a *harness.Agent, name string) error {
	return a.Call("PUT", "/v1/namespace/"+name, map[string]string{"Name": name}, nil)
}
