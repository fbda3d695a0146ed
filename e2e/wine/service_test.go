package wine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// TestService: the agent is installed as a service, starts and stops with it, and leaves no trace in the service manager.
func TestService(t *testing.T) {
	m := newMachine(t)
	plugins := m.install("drover-driver-raw-exec.exe")
	a := &agent{Agent: harness.Reach(t, m.configure(alone+rawExecEnabled)), m: m}
	program, err := os.ReadFile(filepath.Join(m.windows, "drover.exe"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.file("drover.exe"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	m.run(`C:\drover.exe`, "windows", "service", "install", "--", "-config", `C:\agent.hcl`, "-plugin-dir", plugins)
	m.run("net", "start", "drover")
	t.Cleanup(func() {
		if t.Failed() {
			log, err := os.ReadFile(m.file("drover.log"))
			t.Logf("agent log: %s %v", log, err)
		}
	})
	harness.Eventually(t, time.Minute, "agent ready", func() error { return a.Get("/v1/agent/health", nil) })
	a.waitDriver("raw_exec")
	m.run(`C:\drover.exe`, "windows", "service", "uninstall")
	harness.Eventually(t, time.Minute, "agent gone", func() error {
		if a.Get("/v1/agent/health", nil) == nil {
			return errors.New("it answers")
		}
		return nil
	})
	if out, err := m.try("sc", "query", "drover"); err == nil {
		t.Errorf("the service manager still knows it:\n%s", out)
	}
}
