package cluster

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

const job = `
job "web" {
  group "g" {
    count = 2
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo from $NOMAD_ALLOC_INDEX; while :; do sleep 1; done"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
    update {
      min_healthy_time = "10ms"
    }
  }
}`

// Three servers and a node that only knows one of them: every agent answers everything, the death of the leader costs
// no acknowledged write and no task, and a server that comes back has what it missed.
func TestEveryAgentAnswers(t *testing.T) {
	g := newGroup(t, 3)
	lead := g.mustLeader(0)
	follower := g.other(lead)
	node := g.node(follower)

	g.servers[follower].RunJob(job)
	allocs := node.WaitAllocs("web", 2, "running", time.Minute)
	for i, a := range append([]*harness.Agent{node}, g.servers...) {
		if out := a.MustCLI("alloc", "logs", allocs[0].ID, "t"); !strings.HasPrefix(out, "from ") {
			t.Errorf("agent %d: logs %q", i, out)
		}
		if out := a.MustCLI("alloc", "exec", "-task", "t", allocs[0].ID, "echo", "hello"); strings.TrimSpace(out) != "hello" {
			t.Errorf("agent %d: exec %q", i, out)
		}
		if out := a.MustCLI("server", "members"); strings.Count(out, "alive") != 3 || strings.Count(out, " true ") != 1 {
			t.Errorf("agent %d: members\n%s", i, out)
		}
		if err := a.Get("/v1/jobs?stale", nil); err != nil {
			t.Errorf("agent %d: a stale read: %v", i, err)
		}
		if err := a.Get("/v1/jobs?consistent", nil); err != nil {
			t.Errorf("agent %d: a consistent read: %v", i, err)
		}
	}

	// A writer goes on while the leader is killed.
	acknowledged := []string{}
	for i := range 5 {
		name := fmt.Sprintf("before-%d", i)
		if err := write(g.servers[follower], name); err != nil {
			t.Fatal(err)
		}
		acknowledged = append(acknowledged, name)
	}
	g.servers[lead].Kill9()
	began := time.Now()
	for i := 0; i < 5; {
		name := fmt.Sprintf("after-%d", i)
		if err := write(node, name); err != nil {
			if time.Since(began) > time.Minute {
				t.Fatalf("no write a minute after the leader's death: %v", err)
			}
			continue
		}
		if i == 0 {
			t.Logf("the first write succeeded %v after the leader was killed", time.Since(began).Round(time.Millisecond))
		}
		acknowledged = append(acknowledged, name)
		i++
	}
	next := g.mustLeader(follower)
	if next == lead {
		t.Fatal("the dead server leads")
	}
	for _, a := range []*harness.Agent{g.servers[follower], g.servers[g.other(lead, follower)], node} {
		for _, name := range acknowledged {
			if err := a.Get("/v1/namespace/"+name, nil); err != nil {
				t.Errorf("%s was acknowledged: %v", name, err)
			}
		}
	}
	for _, was := range allocs {
		now := node.WaitAllocs("web", 2, "running", time.Minute)
		found := false
		for _, a := range now {
			found = found || a.ID == was.ID
		}
		if !found {
			t.Errorf("allocation %s was replaced", was.ID)
		}
	}

	g.servers[lead].Run()
	g.servers[lead].Eventually(time.Minute, "the server that came back has what it missed", func() error {
		return g.servers[lead].Get("/v1/namespace/after-4?stale", nil)
	})
	node.RunJob(strings.ReplaceAll(job, "count = 2", "count = 3"))
	g.servers[lead].WaitAllocs("web", 3, "running", time.Minute)
	node.MustCLI("job", "stop", "-purge", "web")
}

// Leadership is handed over on request, and a server that leaves in good order counts no more.
func TestLeave(t *testing.T) {
	g := newGroup(t, 3)
	lead := g.mustLeader(0)
	to := g.other(lead)
	g.servers[to].MustCLI("operator", "raft", "transfer-leadership", "-peer-address", fmt.Sprintf("127.0.0.1:%d", g.ports[to].RPC))
	harness.Eventually(t, time.Minute, "the leader is the one that was asked", func() error {
		n, err := g.leader(to)
		if err == nil && n != to {
			err = fmt.Errorf("server %d leads", n)
		}
		return err
	})
	leaver := g.servers[to]
	if err := syscall.Kill(leaver.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-leaver.Ended()
	rest := g.servers[g.other(to)]
	rest.Eventually(time.Minute, "two servers are left", func() error {
		var conf struct{ Servers []struct{ Node string } }
		if err := rest.Get("/v1/operator/raft/configuration", &conf); err != nil {
			return err
		}
		if len(conf.Servers) != 2 {
			return fmt.Errorf("%v", conf.Servers)
		}
		return nil
	})
	if err := write(rest, "still-written"); err != nil {
		t.Error(err)
	}
	if out := rest.MustCLI("server", "members"); !strings.Contains(out, "left") {
		t.Errorf("members:\n%s", out)
	}
}

// A server with another gossip key, or that expects another number of servers, is no part of the group and says why.
func TestStrangers(t *testing.T) {
	g := newGroup(t, 1)
	if err := write(g.servers[0], "mine"); err != nil {
		t.Fatal(err)
	}
	g.ports = append(g.ports, harness.FreePorts(t))
	stranger := g.server(1, 3, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	stranger.Run()
	harness.Eventually(t, time.Minute, "the stranger says that nobody answers", func() error {
		if !stranger.Logged("no other server answered") {
			return fmt.Errorf("not logged")
		}
		return nil
	})
	if out := g.servers[0].MustCLI("server", "members"); strings.Contains(out, "s1.") {
		t.Errorf("the stranger is a member:\n%s", out)
	}
	_, errs, code := stranger.CLI("job", "status")
	if code == 0 || !strings.Contains(errs, "No cluster leader") {
		t.Errorf("a server without a group: exit %d, %s", code, errs)
	}
	if _, err := os.Stat(stranger.DataDir); err != nil {
		t.Error(err)
	}
}
