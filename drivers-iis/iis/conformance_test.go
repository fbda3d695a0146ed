package iis_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/sdk/conformance"
)

func build(t *testing.T, name, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestConformance runs the driver's binary against the stand-in for appcmd.
func TestConformance(t *testing.T) {
	stubborn := t.TempDir()
	if err := os.WriteFile(filepath.Join(stubborn, "stubborn"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	binding := []any{map[string]any{"type": "http", "port": "18080", "hostname": "conformance.test"}}
	conformance.Run(t, conformance.Config{
		Path: build(t, "drover-driver-iis", "../cmd/drover-driver-iis"),
		PluginConfig: map[string]any{
			"appcmd_path":   build(t, "appcmd.exe", "../testdata/appcmd"),
			"allowed_paths": []any{stubborn}, "placeholder_app_path": "",
		},
		LongTask:     &conformance.Task{Config: map[string]any{"path": "local", "binding": binding}},
		StubbornTask: &conformance.Task{Config: map[string]any{"path": stubborn, "binding": binding}},
		Signal:       "RECYCLE",
	})
}
