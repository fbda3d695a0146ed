package qemu

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/sdk/conformance"
)

// Machines that boot Linux go through the conformance suite.
func TestConformance(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	self, err := os.Executable()
	must(t, err)
	g := build(t)
	disk := filepath.Join(t.TempDir(), "disk.raw")
	must(t, os.WriteFile(disk, make([]byte, 1<<20), 0o644))
	machine := func(todo string) *conformance.Task {
		return &conformance.Task{
			Config:   map[string]any{"image_path": "local/disk.raw", "graceful_shutdown": true, "args": g.args(todo)},
			MemoryMB: 160, Files: map[string]string{"local/disk.raw": disk}, Stdout: "guest is up",
		}
	}
	conformance.Run(t, conformance.Config{
		Path: self, Args: []string{drivertest.PluginVerb},
		Task: machine("off"), LongTask: machine(""), StubbornTask: machine("deaf"),
		Timeout: 5 * time.Minute, // several boot at once, without help of the hardware
	})
}
