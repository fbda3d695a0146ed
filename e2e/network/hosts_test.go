package network

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// lan is machines on one wire: network namespaces with an address each, joined by a bridge in another one, so that packet
// filters of the real machine have no say. The test itself is on the wire too.
type lan struct {
	t      *testing.T
	name   string // of everything of it
	prefix string // 10.a.b.
}

func newLAN(t *testing.T) *lan {
	t.Helper()
	var random [3]byte
	_, _ = rand.Read(random[:])
	l := &lan{t: t, name: "dl" + hex.EncodeToString(random[:]), prefix: fmt.Sprintf("10.%d.%d.", 100+random[0]%90, random[1])}
	l.namespace("switch")
	l.ip("-n", l.name+"switch", "link", "add", "wire", "type", "bridge")
	l.ip("-n", l.name+"switch", "link", "set", "wire", "up")
	l.ip("link", "add", l.name, "type", "veth", "peer", "name", "test", "netns", l.name+"switch")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", l.name).Run() })
	l.ip("addr", "add", l.prefix+"254/24", "dev", l.name)
	l.ip("link", "set", l.name, "up")
	l.plug("test")
	return l
}

func (l *lan) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

func (l *lan) namespace(name string) {
	l.t.Helper()
	l.ip("netns", "add", l.name+name)
	l.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.name+name).Run() })
	l.ip("-n", l.name+name, "link", "set", "lo", "up")
}

// plug connects an interface of the switch to its bridge.
func (l *lan) plug(link string) {
	l.ip("-n", l.name+"switch", "link", "set", link, "master", "wire", "up")
}

// machine is an agent in a namespace of its own, h1, h2 and so on; the first is the server too.
func (l *lan) machine(n int) *harness.Agent {
	l.t.Helper()
	host := fmt.Sprintf("h%d", n)
	l.namespace(host)
	l.ip("-n", l.name+"switch", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", l.name+host)
	l.plug(host)
	address := l.prefix + fmt.Sprint(n)
	l.ip("-n", l.name+host, "addr", "add", address+"/24", "dev", "eth0")
	l.ip("-n", l.name+host, "link", "set", "eth0", "up")
	o := harness.Options{
		Host: address, NetNS: "/run/netns/" + l.name + host, Ports: &harness.Ports{HTTP: 4646, RPC: 4647, Serf: 4648}, PluginDir: pluginDir(l.t),
		Config: fmt.Sprintf("name = %q\n", host),
		Client: fmt.Sprintf("network_interface = \"eth0\"\ncni_path = %q\nservers = [%q]", filepath.Join(harness.Bin(l.t), "cni"), l.prefix+"1:4647"),
	}
	if n == 1 {
		o.Server = "bootstrap_expect = 1"
	}
	return harness.Start(l.t, o)
}

// apart is one web server on each machine.
const apart = `
job "apart" {
  group "g" {
    count = 2
    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }
    network {
      mode = "bridge"
      port "http" { to = 8080 }
    }
    task "server" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo $NOMAD_ALLOC_ID > local/index.html; exec busybox httpd -f -p 8080 -h local"]
      }
      resources {
        cpu    = 10
        memory = 32
      }
    }
  }
}`

// TestTrafficBetweenMachines: allocations on two machines, whose bridges have the same addresses, reach each other by
// their mapped ports, and so does a third machine; when they are stopped, no machine keeps anything of them.
func TestTrafficBetweenMachines(t *testing.T) {
	t.Parallel()
	needsNetworks(t)
	l := newLAN(t)
	one := l.machine(1)
	l.machine(2)
	one.Eventually(time.Minute, "both machines offer bridges", func() error {
		var nodes []struct{ ID, Name, Status string }
		if err := one.Get("/v1/nodes", &nodes); err != nil || len(nodes) != 2 {
			return fmt.Errorf("nodes %+v, %v", nodes, err)
		}
		for _, n := range nodes {
			var full struct{ NetworkModes []mode }
			if err := one.Get("/v1/node/"+n.ID, &full); err != nil {
				return err
			}
			bridged := slices.ContainsFunc(full.NetworkModes, func(m mode) bool { return m.Mode == "bridge" && m.Healthy })
			if n.Status != "ready" || !bridged {
				return fmt.Errorf("%s is %s and offers %+v", n.Name, n.Status, full.NetworkModes)
			}
		}
		return nil
	})
	one.RunJob(apart, "-detach")
	var allocs []alloc
	for _, al := range one.WaitAllocs("apart", 2, "running", time.Minute) {
		var a alloc
		if err := one.Get("/v1/allocation/"+al.ID, &a); err != nil {
			t.Fatal(err)
		}
		allocs = append(allocs, a)
	}
	t.Cleanup(func() {
		if t.Failed() {
			one.CLI("job", "stop", "-purge", "-detach", "apart")
		}
	})
	url := func(a alloc) string {
		p := a.AllocatedResources.Shared.Ports[0]
		return fmt.Sprintf("http://%s:%d/", p.HostIP, p.Value)
	}
	if !strings.Contains(url(allocs[0])+url(allocs[1]), l.prefix+"1:") || !strings.Contains(url(allocs[0])+url(allocs[1]), l.prefix+"2:") {
		t.Fatalf("they are at %s and %s", url(allocs[0]), url(allocs[1]))
	}
	is := func(what, want string, f func() (string, error)) {
		t.Helper()
		one.Eventually(30*time.Second, what, func() error {
			got, err := f()
			if err == nil && strings.TrimSpace(got) != want {
				err = fmt.Errorf("got %q, want %q", got, want)
			}
			return err
		})
	}
	for i, a := range allocs {
		other := allocs[1-i]
		is("from a third machine", a.ID, func() (string, error) { return fetch(url(a)) })
		is("from the other machine's allocation", a.ID, func() (string, error) {
			out, errs, code := one.CLI("alloc", "exec", "-i=false", "-t=false", "-task", "server", other.ID, "/usr/bin/python3", "-c", get, url(a))
			if code != 0 {
				return "", fmt.Errorf("code %d: %s%s", code, out, errs)
			}
			return out, nil
		})
	}
	one.MustCLI("job", "stop", "-purge", "-detach", "apart")
	one.Eventually(30*time.Second, "nothing left on either machine", func() error {
		for _, a := range allocs {
			if _, err := os.Stat("/run/netns/" + a.ID); err == nil {
				return fmt.Errorf("namespace %s is there", a.ID)
			}
		}
		for _, host := range []string{"h1", "h2"} {
			out, err := exec.Command("ip", "netns", "exec", l.name+host, "sh", "-c", "ip -br link; nft list ruleset").CombinedOutput()
			if err != nil {
				return err
			}
			if text := string(out); strings.Contains(text, "drover") || strings.Contains(text, "veth") || strings.Contains(text, "172.26.") {
				return fmt.Errorf("left on %s:\n%s", host, text)
			}
		}
		return nil
	})
}
