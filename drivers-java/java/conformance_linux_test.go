package java

import (
	"os"
	"testing"

	"github.com/droverhq/drover/drivers-exec/drivertest"
	"github.com/droverhq/drover/sdk/conformance"
)

// Real JVMs go through the conformance suite.
func TestConformance(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"local/app.jar": jar(t)}
	task := func(arg, stdout string, code int) *conformance.Task {
		return &conformance.Task{
			Config:   map[string]any{"jar_path": "local/app.jar", "args": []any{arg}, "jvm_options": []any{"-Xshare:auto", "-XX:TieredStopAtLevel=1"}},
			MemoryMB: 128, Files: files, Stdout: stdout, ExitCode: code,
		}
	}
	conformance.Run(t, conformance.Config{
		Path: self, Args: []string{drivertest.PluginVerb},
		Task:         task("once", "heap=", 7),
		LongTask:     task("serve", "listening on ", 0),
		StubbornTask: task("deaf", "deaf\n", 0),
		Exec:         &conformance.Exec{Command: []string{"sh", "-c", "echo inside; exit 3"}, Stdout: "inside\n", ExitCode: 3, Cat: []string{"cat"}},
		Signal:       "SIGQUIT", SignalStdout: "Full thread dump", // what every JVM answers
	})
}
