package wine

import (
	"strings"
	"testing"
	"time"
)

// TestServiceTask: a task is a service, which the service manager starts and stops, and forgets with the task.
func TestServiceTask(t *testing.T) {
	m := newMachine(t)
	m.installIIS() // its stand-in is also a service that does nothing until it is stopped
	a := m.start(m.install("drover-driver-windows-service.exe"), "")
	a.waitDriver("windows-service")
	a.RunJob(`job "service" {
  group "g" {
    task "idle" {
      driver = "windows-service"
      config {
        command = "C:\\windows\\system32\\inetsrv\\appcmd.exe"
        args    = ["w3svc"]
        recovery {
          attempts = 2
        }
      }
    }
  }
}`)
	alloc := a.WaitAllocs("service", 1, "running", time.Minute)[0]
	name := ""
	for _, line := range strings.Split(m.run("reg", "query", `HKLM\SYSTEM\CurrentControlSet\Services`), "\n") {
		if i := strings.Index(line, "drover-"+alloc.ID); i >= 0 {
			name = strings.TrimSpace(line[i:])
		}
	}
	if name == "" {
		t.Fatal("no service carries the allocation's id")
	}
	a.MustCLI("job", "stop", "service")
	a.WaitAllocs("service", 1, "complete", time.Minute)
	if out, err := m.try("sc", "query", name); err == nil && strings.Contains(out, "RUNNING") {
		t.Errorf("the service still runs:\n%s", out)
	}
}
