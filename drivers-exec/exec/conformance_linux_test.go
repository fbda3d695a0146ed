package exec

import (
	"os"
	"testing"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/sdk/conformance"
)

// Tasks that the suite makes up, as the driver takes commands.
func TestConformance(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Config{Path: self, Args: []string{drivertest.PluginVerb}})
}
