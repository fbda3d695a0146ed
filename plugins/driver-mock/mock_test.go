package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

func newTaskConfig(t *testing.T, d *host.Driver, config map[string]any) *driver.TaskConfig {
	t.Helper()
	task := &driver.TaskConfig{ID: "alloc/web/1", Name: "web", AllocID: "alloc", AllocDir: t.TempDir()}
	task.StdoutPath, task.StderrPath = filepath.Join(task.AllocDir, "out"), filepath.Join(task.AllocDir, "err")
	for _, path := range []string{task.StdoutPath, task.StderrPath} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spec, err := d.TaskConfigSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if task.DriverConfig, err = spec.Encode(config, nil); err != nil {
		t.Fatal(err)
	}
	return task
}

func TestEnds(t *testing.T) {
	tests := map[string]struct {
		config map[string]any
		stop   bool
		want   driver.ExitResult
	}{
		"by itself":              {map[string]any{"run_for": "1ms", "exit_code": 3}, false, driver.ExitResult{ExitCode: 3}},
		"by a signal":            {map[string]any{"exit_code": 143, "exit_signal": 15}, false, driver.ExitResult{ExitCode: 143, Signal: 15}},
		"out of memory":          {map[string]any{"oom_killed": true, "exit_code": 137}, false, driver.ExitResult{ExitCode: 137, OOMKilled: true}},
		"for an unknown reason":  {map[string]any{"exit_err_msg": "lost"}, false, driver.ExitResult{Err: "lost"}},
		"stopped":                {map[string]any{"run_for": "1h", "kill_after": "1ms"}, true, driver.ExitResult{}},
		"stopped, slow, so kill": {map[string]any{"run_for": "1h", "kill_after": "1h"}, true, driver.ExitResult{ExitCode: 137, Signal: 9}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := plugintest.Driver(t, newPlugin(), nil)
			task := newTaskConfig(t, d, test.config)
			if _, err := d.StartTask(t.Context(), task); err != nil {
				t.Fatal(err)
			}
			if test.stop {
				if err := d.StopTask(t.Context(), task.ID, 20*time.Millisecond, ""); err != nil {
					t.Fatal(err)
				}
			}
			exit, err := d.WaitTask(t.Context(), task.ID)
			if err != nil || *exit != test.want {
				t.Errorf("got %+v, %v\nwant %+v", exit, err, test.want)
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	for _, recoverable := range []bool{true, false} {
		d := plugintest.Driver(t, newPlugin(), nil)
		_, err := d.StartTask(t.Context(), newTaskConfig(t, d, map[string]any{"start_error": "no luck", "start_error_recoverable": recoverable}))
		if err == nil || driver.IsRecoverable(err) != recoverable || !strings.Contains(err.Error(), "no luck") {
			t.Errorf("recoverable %t: got %v", recoverable, err)
		}
	}
}

// TestGoesOnAfterRestart: a new plugin process knows from the handle alone when the task ends and how.
func TestGoesOnAfterRestart(t *testing.T) {
	first := plugintest.Driver(t, newPlugin(), nil)
	task := newTaskConfig(t, first, map[string]any{"run_for": "10ms", "exit_code": 5})
	started, err := first.StartTask(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	second := plugintest.Driver(t, newPlugin(), nil)
	if err := second.RecoverTask(t.Context(), &started.Handle); err != nil {
		t.Fatal(err)
	}
	if exit, err := second.WaitTask(t.Context(), task.ID); err != nil || exit.ExitCode != 5 {
		t.Errorf("got %+v, %v, want exit code 5", exit, err)
	}
}

func TestOutputEventsNetworkAndExec(t *testing.T) {
	d := plugintest.Driver(t, newPlugin(), nil)
	task := newTaskConfig(t, d, map[string]any{
		"run_for": "1h", "stdout_string": "line\n", "stdout_repeat": 2, "events": []any{"pulled"},
		"driver_ip": "10.0.0.1", "driver_port_map": []any{map[string]any{"http": 80}},
	})
	started, err := d.StartTask(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if n := started.Network; n == nil || n.Addr != "10.0.0.1" || n.PortMap["http"] != 80 {
		t.Errorf("got network %+v", n)
	}
	err = d.TaskEvents(t.Context(), func(e driver.TaskEvent) error {
		if e.Message != "pulled" || e.TaskName != "web" || e.AllocID != "alloc" {
			t.Errorf("got event %+v", e)
		}
		return io.EOF
	})
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	var out bytes.Buffer
	exit, err := d.ExecTaskStreaming(t.Context(), &driver.ExecRequest{TaskID: task.ID, Command: []string{"cat"}, Stdin: strings.NewReader("through"), Stdout: &out})
	if err != nil || !exit.Successful() || out.String() != "through" {
		t.Errorf("exec: got %+v, %v, output %q", exit, err, out.String())
	}
	if err := d.DestroyTask(t.Context(), task.ID, true); err != nil {
		t.Error(err)
	}
}

func TestHealthFollowsConfig(t *testing.T) {
	c := plugintest.Serve(t, newPlugin())
	spec, err := c.ConfigSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	configure := func(health string) {
		data, err := spec.Encode(map[string]any{"health": health}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetConfig(ctx, &plugin.RawConfig{Msgpack: data, Node: &plugin.NodeConfig{}}); err != nil {
			t.Fatal(err)
		}
	}
	configure("healthy")
	seen := []driver.Health{}
	err = c.Driver().Fingerprint(ctx, func(f driver.Fingerprint) error {
		seen = append(seen, f.Health)
		if f.Health == driver.Healthy {
			configure("unhealthy")
			return nil
		}
		return io.EOF
	})
	if !errors.Is(err, io.EOF) || len(seen) != 2 || seen[1] != driver.Unhealthy {
		t.Errorf("got %v, %v", seen, err)
	}
}
