package docker

import (
	"os"
	"testing"

	"github.com/droverhq/drover/sdk/conformance"
)

// Real containers go through the conformance suite. What the suite makes up is run in the tests' image.
func TestConformance(t *testing.T) {
	d := docker(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	conformance.Run(t, conformance.Config{
		Path: self, Args: []string{pluginVerb},
		PluginConfig: map[string]any{"endpoint": d.endpoint()},
		Task: &conformance.Task{
			Config:   map[string]any{"image": busybox, "command": "/bin/sh", "args": []any{"-c", "echo to stdout; echo to stderr >&2; exit 7"}},
			ExitCode: 7, Stdout: "to stdout\n", Stderr: "to stderr\n",
		},
	})
}
