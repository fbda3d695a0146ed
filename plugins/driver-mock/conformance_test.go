package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/droverhq/drover/sdk/conformance"
)

func TestConformance(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "drover-driver-mock")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	long := map[string]any{"run_for": "1h", "kill_after": "10ms", "stdout_string": "running\n"}
	stubborn := map[string]any{"run_for": "1h", "kill_after": "1h", "stdout_string": "running\n"}
	conformance.Run(t, conformance.Config{
		Path:         binary,
		Task:         &conformance.Task{Config: map[string]any{"run_for": "100ms", "exit_code": 3, "stdout_string": "out\n", "stderr_string": "err\n"}, ExitCode: 3, Stdout: "out\n", Stderr: "err\n"},
		LongTask:     &conformance.Task{Config: long, Stdout: "running\n"},
		StubbornTask: &conformance.Task{Config: stubborn, Stdout: "running\n"},
		Exec:         &conformance.Exec{Command: []string{"look"}},
		Signal:       "SIGHUP",
	})
}
