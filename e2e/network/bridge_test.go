package network

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// twoGroups is two web servers on the bridge, one of them with a neighbour in its group.
const twoGroups = `
job "web" {
  group "left" {
    network {
      mode = "bridge"
      port "http" { to = 8080 }
      dns {
        servers  = ["%s"]
        searches = ["drover.example"]
        options  = ["ndots:2"]
      }
    }
    task "server" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo left > local/index.html; exec busybox httpd -f -p 8080 -h local"]
      }
    }
    task "neighbour" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "env > local/env; exec sleep 3600"]
      }
    }
    task "plain" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["3600"]
      }
    }
  }
  group "right" {
    network {
      mode = "bridge"
      port "http" {
        static = %d
        to     = 8080
      }
    }
    task "server" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo right > local/index.html; exec busybox httpd -f -p 8080 -h local"]
      }
    }
  }
}`

func TestGroupsReachEachOther(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.boot()
	s.RunJob(fmt.Sprintf(twoGroups, s.net("1"), harness.FreePort(t)))
	byGroup := map[string]alloc{}
	for _, al := range s.WaitAllocs("web", 2, "running", time.Minute) {
		a := s.alloc(al.ID)
		byGroup[a.TaskGroup] = a
	}
	left, right := byGroup["left"], byGroup["right"]
	port := func(a alloc) int { return a.AllocatedResources.Shared.Ports[0].Value }
	hostIP := left.AllocatedResources.Shared.Ports[0].HostIP

	for want, a := range byGroup {
		for name, url := range map[string]string{
			"its address":                   fmt.Sprintf("http://%s:8080/", a.NetworkStatus.Address),
			"its IPv6 address":              fmt.Sprintf("http://[%s]:8080/", a.NetworkStatus.AddressIPv6),
			"the mapped port":               fmt.Sprintf("http://%s:%d/", hostIP, port(a)),
			"the mapped port on loopback":   fmt.Sprintf("http://127.0.0.1:%d/", port(a)),
			"the mapped port on the bridge": fmt.Sprintf("http://%s:%d/", s.net("1"), port(a)),
			"the mapped port over IPv6":     fmt.Sprintf("http://[%s1]:%d/", s.net6(), port(a)),
		} {
			s.eventuallyIs(want+" from the host by "+name, want, func() (string, error) { return fetch(url) })
		}
	}
	page := func(from alloc, task, url string) func() (string, error) {
		return func() (string, error) { return s.in(from.ID, task, "/usr/bin/python3", "-c", get, url) }
	}
	s.eventuallyIs("right from left", "right", page(left, "neighbour", fmt.Sprintf("http://%s:8080/", right.NetworkStatus.Address)))
	s.eventuallyIs("right from left by its mapped port", "right", page(left, "neighbour", fmt.Sprintf("http://%s:%d/", hostIP, port(right))))
	s.eventuallyIs("left from right by its mapped port", "left", page(right, "server", fmt.Sprintf("http://%s:%d/", hostIP, port(left))))
	s.eventuallyIs("left from right over IPv6", "left", page(right, "server", fmt.Sprintf("http://[%s]:8080/", left.NetworkStatus.AddressIPv6)))
	s.eventuallyIs("right from left by its mapped port over IPv6", "right", page(left, "neighbour", fmt.Sprintf("http://[%s1]:%d/", s.net6(), port(right))))
	s.eventuallyIs("left from its neighbour by localhost", "left", page(left, "neighbour", "http://127.0.0.1:8080/"))
	s.eventuallyIs("left from its neighbour that is not isolated", "left", page(left, "plain", "http://127.0.0.1:8080/"))

	env, err := s.in(left.ID, "neighbour", "/bin/cat", "/local/env")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("NOMAD_ALLOC_ADDR_http=%s:8080", left.NetworkStatus.Address), "NOMAD_ALLOC_INTERFACE_http=eth0",
		fmt.Sprintf("NOMAD_HOST_ADDR_http=%s:%d", hostIP, port(left)), "DROVER_PORT_http=8080",
	} {
		if !strings.Contains(env, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, env)
		}
	}
	s.resolves(left)

	s.MustCLI("job", "stop", "-purge", "web")
	s.clean(left.ID, right.ID)
}

// resolves has the group's dns block lead to a name server of the test's own.
func (s *site) resolves(a alloc) {
	s.t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(s.net("1"), "53"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	asked := make(chan string, 64)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			query := append([]byte(nil), buf[:n]...)
			name, end := question(query)
			asked <- name
			reply := append(query[:2:2], 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0)
			reply = append(reply, query[12:end]...)
			if query[end-3] == 1 { // type A
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 99)
			} else {
				reply[7] = 0
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}()
	out, err := s.in(a.ID, "neighbour", "/usr/bin/getent", "ahostsv4", "printer")
	if err != nil || !strings.Contains(out, "192.0.2.99") {
		s.t.Errorf("got %q, %v", out, err)
	}
	select {
	case name := <-asked:
		if name != "printer.drover.example." {
			s.t.Errorf("the first name asked for was %q: the search domain is not used", name)
		}
	case <-time.After(10 * time.Second):
		s.t.Error("the name server of the dns block was asked for nothing")
	}
}

// question reads the name of a DNS query and where its question ends.
func question(q []byte) (name string, end int) {
	i := 12
	for q[i] != 0 {
		name += string(q[i+1:i+1+int(q[i])]) + "."
		i += 1 + int(q[i])
	}
	return name, i + 5
}

// TestSeveralNetworksInOneGroup: a group has an interface in each of its networks, and its ports lead to the one whose block
// asks for them.
func TestSeveralNetworksInOneGroup(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	wire := s.bridge + "l"
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", wire).Run() })
	lab := func(host string) string { return fmt.Sprintf("10.%d.%d.%s", s.subnet[0]-60, s.subnet[1], host) }
	s.conflist("lab", fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "lab", "plugins": [{"type": "bridge", "bridge": %q, "isGateway": true,
  "capabilities": {"ips": true}, "ipam": {"type": "host-local", "subnet": %q, "dataDir": %q}}]}`,
		wire, lab("0/24"), filepath.Join(s.DataDir, "plugin-data", "cni", "leases")))
	s.boot()
	s.untilMode("cni/lab", "")
	s.RunJob(fmt.Sprintf(`
job "both" {
  group "g" {
    network {
      mode = "cni/lab"
      cni {
        args = { IP = %q }
      }
    }
    network {
      mode = "bridge"
      port "http" { to = 8080 }
    }
    service {
      name         = "both"
      provider     = "nomad"
      port         = "http"
      address_mode = "alloc"
    }
    task "server" {
      driver = "exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "echo $NOMAD_ALLOC_INTERFACE_http $NOMAD_ALLOC_ADDR_http > local/index.html; exec busybox httpd -f -p 8080 -h local"]
      }
    }
  }
}`, lab("77")), "-detach")
	id := s.WaitAllocs("both", 1, "running", time.Minute)[0].ID
	a := s.alloc(id)
	if n := a.NetworkStatus; n.InterfaceName != "eth0" || n.Address != lab("77") || len(n.Interfaces) != 2 {
		t.Fatalf("its network is %+v", n)
	}
	inner := a.NetworkStatus.Interfaces[1]
	if inner.Name != "eth1" || inner.Mode != "bridge" || !strings.HasPrefix(inner.Address, s.net("")) {
		t.Errorf("its second interface is %+v", inner)
	}
	want := fmt.Sprintf("eth1 %s:8080", inner.Address)
	for _, url := range []string{
		fmt.Sprintf("http://127.0.0.1:%d/", a.AllocatedResources.Shared.Ports[0].Value), "http://" + inner.Address + ":8080/", "http://" + lab("77") + ":8080/",
	} {
		s.eventuallyIs(url, want, func() (string, error) { return fetch(url) })
	}
	s.Eventually(20*time.Second, "the service is at the second interface", func() error {
		var found []struct {
			Address string
			Port    int
		}
		if err := s.Get("/v1/service/both", &found); err != nil {
			return err
		}
		if len(found) != 1 || found[0].Address != inner.Address || found[0].Port != 8080 {
			return fmt.Errorf("found %+v", found)
		}
		return nil
	})
	s.MustCLI("job", "stop", "-purge", "-detach", "both")
	s.clean(id)
}
