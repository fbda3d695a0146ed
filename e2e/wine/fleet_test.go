package wine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

const mixedJob = `
job "mixed" {
  update {
    min_healthy_time = "10ms"
  }
  group "windows" {
    constraint {
      attribute = "${attr.kernel.name}"
      value     = "windows"
    }
    task "t" {
      driver       = "raw_exec"
      kill_timeout = "1s"
      config {
        command = "cmd.exe"
        args    = ["/c", "echo from %OS%& ping -n 3600 127.0.0.1"]
      }
    }
  }
  group "linux" {
    constraint {
      attribute = "${attr.kernel.name}"
      value     = "linux"
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "uname; exec sleep 3600"]
      }
    }
  }
}`

// TestMixedFleet: a Windows node joins three Linux servers over TLS. A job with a group for each system runs on both; the
// Windows agent's restart costs no task; a drain moves what can go nowhere else away, and back when it is over.
func TestMixedFleet(t *testing.T) {
	m := newMachine(t)
	authority := harness.NewAuthority(t)
	servers, addrs := mixedServers(t, authority)

	certificate := authority.Make("client")
	win := &agent{Agent: servers[0], m: m}
	m.configure(fmt.Sprintf("name = \"win\"\nclient {\n enabled = true\n servers = [%s]\n}\n", addrs) +
		tlsBlock(m.put(certificate.CA), m.put(certificate.Cert), m.put(certificate.Key)) + rawExecEnabled)
	plugins := m.install("drover-driver-raw-exec.exe")
	win.launch(plugins)
	win.waitNode("ready")

	servers[0].RunJob(mixedJob)
	before := groups(t, servers[1])
	if before["windows"].NodeID == before["linux"].NodeID {
		t.Fatalf("both groups are on one node: %+v", before)
	}
	for group, want := range map[string]string{"windows": "from Windows_NT", "linux": "Linux"} {
		harness.Eventually(t, time.Minute, "the log of "+group, func() error {
			if out := servers[2].MustCLI("alloc", "logs", before[group].ID, "t"); !strings.HasPrefix(out, want) {
				return fmt.Errorf("got %q, want %q", out, want)
			}
			return nil
		})
	}
	if out := servers[1].MustCLI("alloc", "exec", "-task", "t", before["windows"].ID, "cmd.exe", "/c", "echo %NOMAD_GROUP_NAME%"); strings.TrimSpace(out) != "windows" {
		t.Errorf("exec on the Windows node: %q", out)
	}

	t.Run("the Windows agent is killed and comes back", func(t *testing.T) {
		win.kill()
		if err := m.expectTasks(1); err != nil {
			t.Errorf("without the agent: %v", err)
		}
		win.launch(plugins)
		harness.Eventually(t, 2*time.Minute, "the node registers again", func() error {
			if !strings.Contains(win.printed(), "registered:") {
				return errors.New("not yet")
			}
			return nil
		})
		harness.Eventually(t, 2*time.Minute, "the node answers again", func() error {
			out, errs, code := servers[1].CLI("alloc", "exec", "-task", "t", before["windows"].ID, "cmd.exe", "/c", "echo back")
			if code != 0 || strings.TrimSpace(out) != "back" {
				return fmt.Errorf("exit %d: %s %s", code, out, errs)
			}
			return nil
		})
		for group, alloc := range groups(t, servers[1]) {
			if state := alloc.TaskStates["t"]; alloc.ID != before[group].ID || state.Restarts != 0 {
				t.Errorf("%s is another instance: %s, before %s, %d restarts", group, alloc.ID, before[group].ID, state.Restarts)
			}
		}
		if err := m.expectTasks(1); err != nil {
			t.Errorf("with the agent: %v", err)
		}
	})

	t.Run("a drain", func(t *testing.T) {
		servers[0].MustCLI("node", "drain", "-enable", "-yes", "-m", "patch day", win.waitNode("ready").ID)
		harness.Eventually(t, time.Minute, "nothing runs on Windows", func() error { return m.expectTasks(0) })
		running := servers[0].WaitAllocs("mixed", 1, "running", time.Minute)
		if running[0].ID != before["linux"].ID {
			t.Errorf("the drain left %s, which is not the Linux instance %s", running[0].ID, before["linux"].ID)
		}
		servers[0].MustCLI("node", "drain", "-disable", "-yes", win.waitNode("ready").ID)
		after := groups(t, servers[0])
		if after["windows"].NodeID != before["windows"].NodeID || after["windows"].ID == before["windows"].ID {
			t.Errorf("after the drain Windows has %+v", after["windows"])
		}
	})
	servers[0].MustCLI("job", "stop", "-purge", "mixed")
	harness.Eventually(t, time.Minute, "nothing runs on Windows", func() error { return m.expectTasks(0) })
}

// expectTasks counts the Windows group's processes, which are a shell and its child.
func (m *machine) expectTasks(n int) error {
	return expect(strings.Count(m.processes(), "ping -n 3600"), 2*n)
}

// mixedServers starts three servers with certificates, of which the last is also a node, and returns where nodes reach them.
func mixedServers(t *testing.T, authority *harness.Authority) ([]*harness.Agent, string) {
	t.Helper()
	certificate, user := authority.Make("server"), authority.Make("cli")
	var ports []*harness.Ports
	var gossip, addrs []string
	for range 3 {
		p := harness.FreePorts(t)
		ports = append(ports, p)
		gossip = append(gossip, fmt.Sprintf("\"127.0.0.1:%d\"", p.Serf))
		addrs = append(addrs, fmt.Sprintf("\"127.0.0.1:%d\"", p.RPC))
	}
	var servers []*harness.Agent
	for i, p := range ports {
		options := harness.Options{Ports: p, TLS: user, Config: fmt.Sprintf("name = \"s%d\"\n", i) + tlsBlock(certificate.CA, certificate.Cert, certificate.Key),
			Server: "bootstrap_expect = 3\nserver_join {\n retry_join = [" + strings.Join(gossip, ", ") + "]\n retry_interval = \"1s\"\n}"}
		if i == 2 {
			options.Client = fmt.Sprintf("servers = [%s]", addrs[i])
		}
		servers = append(servers, harness.New(t, options))
	}
	for _, s := range servers {
		s.Run()
	}
	for _, s := range servers {
		s.WaitReady()
	}
	return servers, strings.Join(addrs, ", ")
}

func tlsBlock(ca, cert, key string) string {
	return fmt.Sprintf("tls {\n http = true\n rpc = true\n verify_https_client = true\n ca_file = %q\n cert_file = %q\n key_file = %q\n}\n", ca, cert, key)
}

// put copies a file of this system onto the machine and returns its path there.
func (m *machine) put(path string) string {
	m.t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(m.file(filepath.Base(path)), data, 0o600)
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return `C:\` + filepath.Base(path)
}

// waitNode waits until the servers know the Windows node in this status with a driver for its tasks.
func (a *agent) waitNode(status string) (found *nodeInfo) {
	a.m.t.Helper()
	harness.Eventually(a.m.t, 2*time.Minute, "the Windows node is "+status, func() (err error) {
		if found, err = node(a.Agent, "win"); err != nil {
			return err
		}
		if found.Status != status || !found.Drivers["raw_exec"].Healthy {
			return fmt.Errorf("it is %s, raw_exec %+v", found.Status, found.Drivers["raw_exec"])
		}
		return nil
	})
	return found
}

// groups are the job's two running instances by group.
func groups(t *testing.T, a *harness.Agent) map[string]harness.Alloc {
	t.Helper()
	out := map[string]harness.Alloc{}
	for _, alloc := range a.WaitAllocs("mixed", 2, "running", 2*time.Minute) {
		out[alloc.TaskGroup] = alloc
	}
	if len(out) != 2 {
		t.Fatalf("running are %+v", out)
	}
	return out
}
