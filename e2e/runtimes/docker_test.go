package runtimes

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// guide is the job that a newcomer begins with.
const guide = `
job "example" {
  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }
  group "cache" {
    count = 3
    network {
      port "db" { to = 6379 }
    }
    restart {
      attempts = 5
      interval = "5m"
      delay    = "100ms"
      mode     = "delay"
    }
    task "redis" {
      driver = "docker"
      config {
        image = "redis:6.0"
        ports = ["db"]
      }
      resources {
        cpu    = 500
        memory = 256
      }
    }
  }
}`

// ports are the dynamic ports of running allocations.
func ports(t *testing.T, a *harness.Agent, allocs []harness.Alloc) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, al := range allocs {
		var full struct {
			AllocatedResources struct {
				Shared struct {
					Ports []struct {
						Label string
						Value int
					}
				}
			}
		}
		if err := a.Get("/v1/allocation/"+al.ID, &full); err != nil {
			t.Fatal(err)
		}
		for _, p := range full.AllocatedResources.Shared.Ports {
			if p.Label == "db" {
				found[al.ID] = p.Value
			}
		}
	}
	return found
}

// ping asks a redis whether it is there.
func ping(a *harness.Agent, port int) error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", nodeIP(a), port), 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.TrimSpace(answer) != "+PONG" {
		err = fmt.Errorf("redis answered %q", answer)
	}
	return err
}

// nodeIP is the address that ports are published on.
func nodeIP(a *harness.Agent) string {
	var nodes []struct{ ID string }
	if a.Get("/v1/nodes", &nodes) != nil || len(nodes) == 0 {
		return ""
	}
	var node struct{ Attributes map[string]string }
	if a.Get("/v1/node/"+nodes[0].ID, &node) != nil {
		return ""
	}
	return node.Attributes["unique.network.ip-address"]
}

// Three instances of the guide's job answer on their ports, and one that is killed behind the agent's back comes back.
func TestGuideJob(t *testing.T) {
	d := docker(t)
	a := agentWith(t, d, "")
	a.RunJob(guide, "-detach")
	allocs := a.WaitAllocs("example", 3, "running", 60*time.Second)
	open := ports(t, a, allocs)
	if len(open) != 3 {
		t.Fatalf("ports %v", open)
	}
	all := func() {
		t.Helper()
		for id, port := range open {
			a.Eventually(60*time.Second, "PING of "+id, func() error { return ping(a, port) })
		}
	}
	all()
	before := d.Containers(t)
	if len(before) != 3 {
		t.Fatalf("containers %v", before)
	}
	d.Must(t, "kill", before[0])
	a.Eventually(60*time.Second, "another container in its place", func() error {
		now := strings.Fields(d.Must(t, "ps", "-q", "--no-trunc"))
		if len(now) != 3 || slices.Contains(now, before[0]) {
			return fmt.Errorf("containers %v", now)
		}
		return nil
	})
	a.WaitAllocs("example", 3, "running", 30*time.Second)
	all()
	for _, id := range before[1:] {
		if !slices.Contains(d.Containers(t), id) {
			t.Errorf("container %s was touched too", id)
		}
	}
	stopAll(t, a, d, "example")
}

// counting writes 1, 2, 3 ... until it is stopped.
func counting(job string, count int) string {
	return fmt.Sprintf(`
job %q {
  group "g" {
    count = %d
    restart {
      attempts = 3
      interval = "5m"
      delay    = "100ms"
      mode     = "fail"
    }
    task "t" {
      driver = "docker"
      config {
        image   = "busybox:1"
        command = "/bin/sh"
        args    = ["-c", "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done"]
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}`, job, count)
}

// growing waits until every log has 20 lines more and checks that none is missing or there twice.
func growing(t *testing.T, a *harness.Agent, allocs []harness.Alloc, task string) {
	t.Helper()
	for _, al := range allocs {
		first := len(a.LogLines(al.ID, task, "stdout"))
		a.Eventually(60*time.Second, "log of "+al.Name+" grows", func() error {
			n, err := harness.Sequence(a.LogLines(al.ID, task, "stdout"))
			if err != nil {
				t.Fatalf("%s: %v", al.Name, err)
			}
			if n < first+20 {
				return fmt.Errorf("%d lines, had %d", n, first)
			}
			return nil
		})
	}
}

// relaunched kills the one process whose command line has the mark and waits for the next.
func relaunched(t *testing.T, a *harness.Agent, mark string) {
	t.Helper()
	victims := a.Find(mark)
	if len(victims) != 1 {
		t.Fatalf("want one process %q, have %v", mark, victims)
	}
	_ = syscall.Kill(victims[0], syscall.SIGKILL)
	a.Eventually(20*time.Second, mark+" relaunched", func() error {
		if now := a.Find(mark); len(now) != 1 || now[0] == victims[0] {
			return fmt.Errorf("processes %v", now)
		}
		return nil
	})
}

// Whatever is killed, containers run on and each line they write is in the task's log exactly once.
func TestNothingTakesAContainerWithIt(t *testing.T) {
	const count = 4
	d := docker(t)
	a := agentWith(t, d, "")
	helpers := len(a.Processes())
	a.RunJob(counting("steady", count), "-detach")
	allocs := a.WaitAllocs("steady", count, "running", 60*time.Second)
	growing(t, a, allocs, "t")
	containers := d.Containers(t)
	slices.Sort(containers)
	own := 0
	for _, p := range a.Processes() {
		if p.Alloc == "" {
			own++
		}
	}
	if own > helpers {
		t.Errorf("%d processes of the agent with %d tasks, %d with none: there are helpers per task", own, count, helpers)
	}
	same := func(t *testing.T) {
		t.Helper()
		growing(t, a, allocs, "t")
		now := d.Containers(t)
		slices.Sort(now)
		if !slices.Equal(now, containers) {
			t.Fatalf("containers changed: %v, were %v", now, containers)
		}
		for _, al := range a.WaitAllocs("steady", count, "running", 30*time.Second) {
			if n := al.TaskStates["t"].Restarts; n != 0 {
				t.Fatalf("%d restarts of %s", n, al.Name)
			}
		}
	}
	t.Run("plugin", func(t *testing.T) {
		for range 3 {
			relaunched(t, a, "drover-driver-docker")
			same(t)
		}
	})
	t.Run("collector", func(t *testing.T) {
		relaunched(t, a, "drover logs")
		same(t)
	})
	t.Run("agent", func(t *testing.T) {
		a.Kill9()
		a.Run()
		a.WaitReady()
		same(t)
	})
	t.Run("plugin and agent", func(t *testing.T) {
		a.Kill9()
		for _, pid := range a.Find("drover-driver-docker") {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		a.Run()
		a.WaitReady()
		same(t)
	})
	t.Run("dockerd with live-restore", func(t *testing.T) {
		d.Stop(syscall.SIGTERM)
		if err := d.Start(true); err != nil {
			t.Fatal(err)
		}
		same(t)
	})
	t.Run("dockerd killed", func(t *testing.T) {
		d.Stop(syscall.SIGKILL)
		if err := d.Start(true); err != nil {
			t.Fatal(err)
		}
		same(t)
	})
	stopAll(t, a, d, "steady")
	for _, al := range allocs {
		if _, err := harness.Sequence(a.LogLines(al.ID, "t", "stdout")); err != nil {
			t.Errorf("%s: %v", al.Name, err)
		}
	}
}

// Without live-restore dockerd takes its containers along: that is what is reported, and they are started again.
func TestDockerdWithoutLiveRestore(t *testing.T) {
	d := docker(t)
	restart := func(live bool) {
		t.Helper()
		d.Stop(syscall.SIGTERM)
		if err := d.Start(live); err != nil {
			t.Fatal(err)
		}
	}
	restart(false)
	t.Cleanup(func() { restart(true) })
	a := agentWith(t, d, "")
	a.RunJob(counting("falls", 2), "-detach")
	a.WaitAllocs("falls", 2, "running", 60*time.Second)
	restart(false)
	a.Eventually(60*time.Second, "both run again", func() error {
		for _, al := range a.Allocs("falls") {
			if s := al.TaskStates["t"]; s.State != "running" || s.Restarts != 1 {
				return fmt.Errorf("%s: %s, %d restarts\n%s", al.Name, s.State, s.Restarts, events(al, "t"))
			}
			if text := events(al, "t"); !strings.Contains(text, "live-restore is off") {
				return fmt.Errorf("%s does not say why:\n%s", al.Name, text)
			}
		}
		return nil
	})
	stopAll(t, a, d, "falls")
}
