package cluster

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// groupTLS is a group's certificates: one for the servers, one for the nodes, one for the user.
type groupTLS struct {
	ca    *harness.Authority
	kinds map[string]*harness.TLS
}

func newGroupTLS(t *testing.T) *groupTLS {
	g := &groupTLS{ca: harness.NewAuthority(t), kinds: map[string]*harness.TLS{}}
	for _, kind := range []string{"server", "client", "cli"} {
		g.kinds[kind] = g.ca.Make(kind)
	}
	return g
}

// block is the tls block of an agent with a certificate of a kind.
func (g *groupTLS) block(kind string) string {
	if g == nil {
		return ""
	}
	return tlsBlock(g.kinds[kind])
}

func tlsBlock(f *harness.TLS) string {
	return fmt.Sprintf("tls {\n http = true\n rpc = true\n verify_https_client = true\n ca_file = %q\n cert_file = %q\n key_file = %q\n}\n", f.CA, f.Cert, f.Key)
}

func (g *groupTLS) as() *harness.TLS {
	if g == nil {
		return nil
	}
	return g.kinds["cli"]
}

// replace renews a certificate in its place.
func replace(t *testing.T, to, from *harness.TLS) {
	t.Helper()
	for a, b := range map[string]string{to.Cert: from.Cert, to.Key: from.Key} {
		text, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(a, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serial is that of the certificate an agent shows.
func serial(a *harness.Agent, u *harness.TLS) (string, error) {
	pair, err := tls.LoadX509KeyPair(u.Cert, u.Key)
	if err != nil {
		return "", err
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(a.Addr, "https://"), &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// Three servers and a node with certificates that the command line made: everything works over TLS, a certificate is
// renewed without a restart or the end of a connection, and nobody comes in with the wrong one.
func TestTLS(t *testing.T) {
	g := (&group{t: t, tls: newGroupTLS(t)}).start(3)
	lead := g.mustLeader(0)
	follower := g.other(lead)
	node := g.node(follower)
	g.servers[follower].RunJob(job)
	allocs := node.WaitAllocs("web", 2, "running", time.Minute)
	for i, a := range append([]*harness.Agent{node}, g.servers...) {
		if out := a.MustCLI("alloc", "exec", "-task", "t", allocs[0].ID, "echo", "hello"); strings.TrimSpace(out) != "hello" {
			t.Errorf("agent %d: exec %q", i, out)
		}
		if out := a.MustCLI("alloc", "logs", allocs[0].ID, "t"); !strings.HasPrefix(out, "from ") {
			t.Errorf("agent %d: logs %q", i, out)
		}
	}

	t.Run("the API refuses users without a certificate", func(t *testing.T) {
		for name, c := range map[string]*tls.Config{"none": {InsecureSkipVerify: true}} {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(node.Addr, "https://"), c)
			if err == nil {
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				_, err = conn.Read(make([]byte, 1)) // TLS 1.3 tells it then
				conn.Close()
			}
			if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "certificate") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})

	t.Run("a renewed certificate", func(t *testing.T) {
		sessions := strings.Count(node.Log(), "registered:")
		before, err := serial(g.servers[follower], g.tls.as())
		if err != nil {
			t.Fatal(err)
		}
		replace(t, g.tls.kinds["server"], g.tls.ca.Make("server"))
		for _, s := range g.servers {
			if err := syscall.Kill(s.PID(), syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
		}
		g.servers[follower].Eventually(time.Minute, "the new certificate is shown", func() error {
			now, err := serial(g.servers[follower], g.tls.as())
			if err == nil && now == before {
				err = errors.New("still the old one")
			}
			return err
		})
		if err := write(node, "after-the-renewal"); err != nil {
			t.Error(err)
		}
		if n := strings.Count(node.Log(), "registered:"); n != sessions {
			t.Errorf("the node registered %d times more: its connection did not last", n-sessions)
		}
	})

	t.Run("strangers", func(t *testing.T) {
		for name, c := range map[string]struct{ block, says, logs string }{
			"a node without TLS":               {"", "wants TLS", "it speaks plain text and this server wants TLS"},
			"a node of another authority":      {tlsBlock(harness.NewAuthority(t).Make("client")), "unknown authority", "remote error"},
			"a node with a user's certificate": {tlsBlock(g.tls.kinds["cli"]), "its log says why", "has not the name client.global.drover or server.global.drover"},
		} {
			stranger := harness.New(t, harness.Options{
				Config: "name = \"stranger\"\n" + c.block, Client: fmt.Sprintf("servers = [\"127.0.0.1:%d\"]", g.ports[follower].RPC),
			})
			stranger.Run()
			stranger.Eventually(time.Minute, name+" says what is wrong", func() error {
				switch {
				case !strings.Contains(stranger.Log(), c.says):
					return fmt.Errorf("the node's log does not say %q", c.says)
				case !strings.Contains(g.servers[follower].Log(), c.logs):
					return fmt.Errorf("the server's log does not say %q", c.logs)
				}
				return nil
			})
			stranger.Stop()
		}
		var nodes []struct{ Name string }
		if err := g.servers[lead].Get("/v1/nodes", &nodes); err != nil || len(nodes) != 1 {
			t.Errorf("nodes: %v, %v", nodes, err)
		}
	})
	node.MustCLI("job", "stop", "-purge", "web")
}
