package wine

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/e2e/harness"
)

// builtPlugins are the file names of all plugins that are built for Windows.
func (m *machine) builtPlugins() []string {
	m.t.Helper()
	built, err := filepath.Glob(filepath.Join(m.windows, "plugins", "*.exe"))
	if err != nil {
		m.t.Fatal(err)
	}
	for i := range built {
		built[i] = filepath.Base(built[i])
	}
	return built
}

// TestPlugins: every plugin that is built for Windows starts, and says whether its tasks can run here or why not.
func TestPlugins(t *testing.T) {
	m := newMachine(t)
	built := m.builtPlugins()
	a := m.start(m.install(built...), "")
	states := map[string]driverInfo{
		"docker":          {HealthDescription: "Failed to connect to docker daemon"},
		"iis":             {HealthDescription: "IIS is not installed: there is no "},
		"java":            {HealthDescription: "no Java on this node"},
		"raw_exec":        {HealthDescription: "disabled: set enabled = true"},
		"windows-service": {Detected: true, Healthy: true},
	}
	if len(built) != len(states) {
		t.Errorf("built are %v, known here %d plugins", built, len(states))
	}
	for name, want := range states {
		harness.Eventually(t, 2*time.Minute, "the driver "+name, func() error {
			n, err := node(a.Agent, "")
			if err != nil {
				return err
			}
			got, ok := n.Drivers[name]
			if !ok || got.Detected != want.Detected || got.Healthy != want.Healthy || !strings.Contains(got.HealthDescription, want.HealthDescription) {
				return fmt.Errorf("known %t, got %+v, want %+v", ok, got, want)
			}
			return nil
		})
	}
}
