//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/conformance"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

// TestAtMost120Lines keeps the promise that a whole driver fits on two screens.
func TestAtMost120Lines(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), "\n"); n > 120 {
		t.Errorf("main.go has %d lines, at most 120 are promised", n)
	}
}

// newTask makes a task's directory and files and returns its config with the given command.
func newTask(t *testing.T, d *host.Driver, id, command string, args ...any) *driver.TaskConfig {
	t.Helper()
	task := &driver.TaskConfig{ID: "alloc/" + id, Name: id, AllocID: "alloc", AllocDir: t.TempDir(), Env: map[string]string{"GREETING": "hello"}}
	if err := os.MkdirAll(task.TaskDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	task.StdoutPath, task.StderrPath = filepath.Join(task.AllocDir, "out"), filepath.Join(task.AllocDir, "err")
	spec, err := d.TaskConfigSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if task.DriverConfig, err = spec.Encode(map[string]any{"command": command, "args": args}, nil); err != nil {
		t.Fatal(err)
	}
	return task
}

func TestTaskRuns(t *testing.T) {
	d := plugintest.Driver(t, newPlugin(), nil)
	task := newTask(t, d, "greet", "sh", "-c", "echo $GREETING; echo oops >&2; exit 3")
	if _, err := d.StartTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	exit, err := d.WaitTask(t.Context(), task.ID)
	if err != nil || exit.ExitCode != 3 {
		t.Errorf("got %+v, %v, want exit code 3", exit, err)
	}
	for path, want := range map[string]string{task.StdoutPath: "hello\n", task.StderrPath: "oops\n"} {
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if err := d.DestroyTask(t.Context(), task.ID, true); err != nil {
		t.Error(err)
	}
	if _, err := d.WaitTask(t.Context(), task.ID); !errors.Is(err, host.ErrTaskNotFound) {
		t.Errorf("after destroy: got %v, want %v", err, host.ErrTaskNotFound)
	}
}

func TestStopByTerm(t *testing.T) {
	d := plugintest.Driver(t, newPlugin(), nil)
	task := newTask(t, d, "sleeper", "sh", "-c", "echo ready; exec sleep 300")
	if err := syscall.Mkfifo(task.StdoutPath, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.StartTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	out, err := os.Open(task.StdoutPath)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil { // the shell's trap is set by now
		t.Fatal(err)
	}
	if err := d.StopTask(t.Context(), task.ID, 10*time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if exit, err := d.WaitTask(t.Context(), task.ID); err != nil || exit.ExitCode != 143 {
		t.Errorf("got %+v, %v, want exit code 143", exit, err)
	}
}

// TestConformance is all that a driver needs to be checked against the contract.
func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Config{Path: build(t)})
}

// TestTaskOutlivesPlugin kills the plugin's process, lets the task end, and asks a new plugin for its exit code.
func TestTaskOutlivesPlugin(t *testing.T) {
	binary := build(t)
	first := launch(t, binary)
	task := newTask(t, first.Client.Driver(), "long", "sh", "-c", "read line <$0; exit 7")
	gate := filepath.Join(task.AllocDir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	spec, _ := first.Client.Driver().TaskConfigSchema(t.Context())
	task.DriverConfig, _ = spec.Encode(map[string]any{"command": "sh", "args": []any{"-c", "read line <\"$0\"; exit 7", gate}}, nil)
	started, err := first.Client.Driver().StartTask(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.Done()
	if err := first.Client.Ping(t.Context()); !errors.Is(err, host.ErrPluginDown) {
		t.Errorf("ping of a dead plugin: got %v, want %v", err, host.ErrPluginDown)
	}

	second := launch(t, binary)
	d := second.Client.Driver()
	for range 2 { // recovering is repeatable
		if err := d.RecoverTask(t.Context(), &started.Handle); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if exit, err := d.WaitTask(t.Context(), task.ID); err != nil || exit.ExitCode != 7 {
		t.Errorf("got %+v, %v, want exit code 7", exit, err)
	}
	if err := d.DestroyTask(t.Context(), task.ID, true); err != nil {
		t.Error(err)
	}
	second.Kill(t.Context())
	if code := second.State().ExitCode(); code != 0 {
		t.Errorf("a plugin that is asked to end exits with %d", code)
	}
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hello")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

func launch(t *testing.T, binary string) *host.Process {
	t.Helper()
	p, err := host.Launch(t.Context(), host.LaunchConfig{Path: binary, SocketDir: t.TempDir(), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Kill(context.Background()) })
	raw := &plugin.RawConfig{Node: &plugin.NodeConfig{Topology: plugintest.OneCore()}}
	if err := p.Client.SetConfig(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFirstFingerprintIsImmediate: hosts gate a node's registration on it.
func TestFirstFingerprintIsImmediate(t *testing.T) {
	d := plugintest.Driver(t, newPlugin(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := d.Fingerprint(ctx, func(f driver.Fingerprint) error {
		if f.Health != driver.Healthy || f.Description != "Healthy" {
			t.Errorf("got %+v", f)
		}
		return io.EOF
	})
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
