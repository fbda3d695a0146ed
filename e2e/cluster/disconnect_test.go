package cluster

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// An instance whose node the servers lose sight of is unknown, another one takes over, and when the node is back one of
// the two stays, as the group's disconnect block says. The tasks run on all the while.
func TestDisconnect(t *testing.T) {
	ports := harness.FreePorts(t)
	server := harness.Start(t, harness.Options{Ports: ports, NoRawExec: true,
		Server: "bootstrap_expect = 1\nmin_heartbeat_ttl = \"1s\"\nheartbeat_grace = \"5s\""})
	agents := map[string]*harness.Agent{}
	for _, name := range []string{"a", "b"} {
		parent := cgroupOfOne(t, name)
		agents[name] = harness.Start(t, harness.Options{Config: fmt.Sprintf("name = %q\n", name),
			Client: fmt.Sprintf("servers = [\"127.0.0.1:%d\"]\ncgroup_parent = %q", ports.RPC, parent)})
	}
	var list []struct{ ID, Name string }
	if err := server.Get("/v1/nodes", &list); err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	nodes := map[string]*harness.Agent{}
	for _, n := range list {
		nodes[n.ID] = agents[n.Name]
	}
	for id, want := range map[string]struct {
		stays string
		more  string
	}{
		"original":    {"original", `reconcile = "keep_original"`},
		"replacement": {"replacement", `reconcile = "keep_replacement"`},
		"alone":       {"original", `replace = false`},
	} {
		server.RunJob(fmt.Sprintf(`
job %q {
  group "g" {
    disconnect {
      lost_after = "10m"
      %s
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["1000"]
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`, id, want.more))
		first := server.WaitAllocs(id, 1, "running", 30*time.Second)[0]
		n := nodes[first.NodeID]
		if n == nil {
			t.Fatalf("no agent is node %s of %v", first.NodeID, nodes)
		}
		if err := syscall.Kill(n.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Kill(n.PID(), syscall.SIGCONT) })
		status := func(al harness.Alloc) string { return al.DesiredStatus + "/" + al.ClientStatus }
		expect := func(what string, want ...string) {
			t.Helper()
			server.Eventually(time.Minute, id+": "+what, func() error {
				var got []string
				for _, al := range server.Allocs(id) {
					got = append(got, status(al))
				}
				if strings.Join(got, " ") != strings.Join(want, " ") {
					return fmt.Errorf("the instances are %v, want %v", got, want)
				}
				return nil
			})
		}
		if id == "alone" {
			expect("unknown", "run/unknown")
		} else {
			expect("replaced", "run/unknown", "run/running")
		}
		if err := syscall.Kill(n.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		switch {
		case id == "alone":
			expect("back", "run/running")
		case want.stays == "original":
			expect("the original stays", "run/running", "stop/complete")
		default:
			expect("the replacement stays", "stop/complete", "run/running")
		}
		if id == "alone" && !strings.Contains(harness.Pretty(server.Allocs(id)[0].TaskStates), "Reconnected") {
			t.Errorf("no event says so: %s", harness.Pretty(server.Allocs(id)[0].TaskStates))
		}
		server.MustCLI("job", "stop", "-purge", id)
	}
}
