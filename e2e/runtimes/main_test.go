// Package runtimes runs tasks of the drivers that need an engine, a JVM or an emulator, through a whole agent. Its tests
// run one at a time: they would take the machine from each other.
package runtimes

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.engine != nil {
		shared.engine.Close()
	}
	os.Exit(code)
}

// shared is the engine of all tests here; the first that needs it starts it.
var shared struct {
	once   sync.Once
	engine *harness.Dockerd
	err    error
}

// docker returns the engine, with live-restore on and the images redis:6.0 and busybox:1.
func docker(t *testing.T) *harness.Dockerd {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root for a dockerd of its own")
	}
	shared.once.Do(func() {
		if shared.engine, shared.err = harness.StartDockerd(); shared.err != nil {
			return
		}
		shared.err = images(shared.engine)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.engine
}

// images makes them of the machine's programs. redis-check-rdb is the server's program under another name, in a package
// that starts no server.
func images(d *harness.Dockerd) error {
	server, err := exec.LookPath("redis-check-rdb")
	if err != nil {
		return fmt.Errorf("package redis-tools: %w (.ci/deps installs it)", err)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return fmt.Errorf("package busybox-static: %w (.ci/deps installs it)", err)
	}
	if err := d.Import("redis:6.0", map[string]string{"usr/bin/redis-server": server}, `CMD ["redis-server","--protected-mode","no"]`, "EXPOSE 6379",
		"WORKDIR /data"); err != nil {
		return err
	}
	return d.Import("busybox:1", map[string]string{"bin/busybox": busybox, "bin/sh": busybox, "bin/sleep": busybox, "bin/cat": busybox})
}

// agentWith starts an agent whose docker plugin uses the engine.
func agentWith(t *testing.T, d *harness.Dockerd, more string) *harness.Agent {
	t.Helper()
	a := harness.Start(t, harness.Options{Config: fmt.Sprintf(`
plugin "docker" {
  config {
    endpoint = %q
    gc { image = false }
  }
}
%s`, d.Endpoint(), more)})
	waitHealthy(a, "docker")
	return a
}

// waitHealthy waits until the only node can be given work for a driver.
func waitHealthy(a *harness.Agent, driver string) {
	a.Eventually(30*time.Second, "the "+driver+" driver is healthy", func() error {
		var nodes []struct {
			Drivers map[string]struct {
				Healthy           bool
				HealthDescription string
			}
		}
		if err := a.Get("/v1/nodes", &nodes); err != nil {
			return err
		}
		if len(nodes) == 1 && nodes[0].Drivers[driver].Healthy {
			return nil
		}
		return fmt.Errorf("nodes: %+v", nodes)
	})
}

// stopAll ends a test's jobs and requires that nothing of them is left.
func stopAll(t *testing.T, a *harness.Agent, d *harness.Dockerd, jobs ...string) {
	t.Helper()
	for _, job := range jobs {
		a.MustCLI("job", "stop", "-purge", "-detach", job)
	}
	a.Eventually(60*time.Second, "no container is left", func() error {
		if left := d.Containers(t); len(left) > 0 {
			return fmt.Errorf("containers %v", left)
		}
		return nil
	})
}

// events are all messages of a task's history.
func events(al harness.Alloc, task string) string {
	var b strings.Builder
	for _, e := range al.TaskStates[task].Events {
		fmt.Fprintf(&b, "%s: %s %v\n", e.Type, e.DisplayMessage, e.Details)
	}
	return b.String()
}
