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

// marked is a site's directory with a file that tells the stand-in's workers how to behave.
func marked(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestConformance runs the driver's binary against the stand-in for appcmd. A site never ends by itself unless its workers
// fail, so that is what the task that ends does.
func TestConformance(t *testing.T) {
	stubborn, crash := marked(t, "stubborn"), marked(t, "crash")
	binding := []any{map[string]any{"type": "http", "port": "18080", "hostname": "conformance.test"}}
	conformance.Run(t, conformance.Config{
		Path: build(t, "drover-driver-iis", "../cmd/drover-driver-iis"),
		PluginConfig: map[string]any{
			"appcmd_path":   build(t, "appcmd.exe", "../testdata/appcmd"),
			"allowed_paths": []any{stubborn, crash}, "placeholder_app_path": "",
		},
		Task:         &conformance.Task{Config: map[string]any{"path": crash, "binding": binding}, ExitCode: 1},
		LongTask:     &conformance.Task{Config: map[string]any{"path": "local", "binding": binding}},
		StubbornTask: &conformance.Task{Config: map[string]any{"path": stubborn, "binding": binding}},
		Signal:       "RECYCLE",
	})
}
