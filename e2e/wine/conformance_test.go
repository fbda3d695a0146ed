package wine

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

const serviceJob = `
job "service" {
  group "g" {
    task "t" {
      driver = "windows-service"
      config {
        command = "C:\\service.exe"
        args    = [%s]
      }
    }
  }
}`

// TestConformance: the suite that `drover plugin verify` offers finds nothing wrong with the Windows plugins, and leaves out
// no more than is listed here: what a driver does not offer, and what Windows does not have.
func TestConformance(t *testing.T) {
	if os.Getenv("DROVER_TIER") == "" {
		t.Skip("takes a minute and more: make ci")
	}
	m := newMachine(t)
	plugins := m.install(m.builtPlugins()...)
	var (
		noExec     = []string{"driver/exec", "driver/exec-streaming", "driver/exec-without-setup"}
		noHandOver = []string{"driver/hand-over", "driver/hand-over-returned"}
		noStats    = []string{"driver/stats-first-sample", "driver/stats-end"}
		// On Windows there is no signal that a program survives and no look into another's environment.
		always = []string{"process/sigint-ignored", "driver/destroy-leaves-nothing", "driver/start-repeated", "driver/network"}
	)
	t.Run("raw_exec", func(t *testing.T) {
		t.Parallel()
		m.verify(t, plugins+`\drover-driver-raw-exec.exe`, slices.Concat(always, []string{"driver/signal"}))
	})
	t.Run("windows-service", func(t *testing.T) {
		t.Parallel()
		m.build("plugins", "./driver-windows-service/testdata/service", m.file("service.exe"))
		service := func(args string) string {
			name := fmt.Sprintf("%x.hcl", args)
			text := fmt.Sprintf(serviceJob, args)
			if err := os.WriteFile(m.file(name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return `C:\` + name
		}
		m.verify(t, plugins+`\drover-driver-windows-service.exe`, slices.Concat(always, noExec, noHandOver, noStats, []string{"driver/output", "driver/signal"}),
			"-task", service(`"exit", "7"`), "-exit-code", "7", "-long-task", service(`"run"`), "-stubborn-task", service(`"stubborn"`))
	})
}

// verify runs the suite. Checks that are not in skips must have been made.
func (m *machine) verify(t *testing.T, plugin string, skips []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "wine", append([]string{filepath.Join(m.windows, "drover.exe"), "plugin", "verify", "-json", "-timeout", "3m", plugin}, args...)...)
	cmd.Stderr = os.Stderr    // the report is alone on stdout
	out, err := m.output(cmd) // an error too when a check failed: the report says which
	var report struct {
		Results []struct{ Name, Status, Detail string }
	}
	if json.Unmarshal([]byte(out), &report) != nil || len(report.Results) == 0 {
		t.Fatalf("verify %s: %v\n%s", plugin, err, out)
	}
	for _, r := range report.Results {
		if r.Status != "pass" && (r.Status != "skip" || !slices.Contains(skips, r.Name)) {
			t.Errorf("%s %s: %s", r.Status, r.Name, r.Detail)
		}
	}
}
