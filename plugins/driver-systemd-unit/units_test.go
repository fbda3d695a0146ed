//go:build linux

package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/droverhq/drover/sdk/conformance"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugintest"
)

// TestConformance: the whole suite, with a service manager of the test's own on a bus of its own.
func TestConformance(t *testing.T) {
	address := bus(t)
	serve(t, address)
	conformance.Run(t, conformance.Config{Path: built(t), PluginConfig: map[string]any{"bus_address": address}})
}

// TestWithoutSystemd: the reason is said.
func TestWithoutSystemd(t *testing.T) {
	if _, err := os.Stat(booted); err == nil {
		t.Skip("systemd runs here")
	}
	err := plugintest.Driver(t, newPlugin(), nil).Fingerprint(t.Context(), func(f driver.Fingerprint) error {
		if f.Health != driver.Undetected || !strings.Contains(f.Description, "systemd does not run here") {
			t.Errorf("got %+v", f)
		}
		return io.EOF
	})
	if err != io.EOF {
		t.Fatal(err)
	}
}

func TestDescribe(t *testing.T) {
	task := &driver.TaskConfig{ID: "a/b c/1", Name: "b c", AllocDir: "/x", User: "web", Env: map[string]string{"B": "2", "A": "1"}}
	task.Resources.MemoryMB, task.Resources.MemoryMaxMB, task.Resources.CPUShares = 10, 20, 500
	all, err := describe(task, taskConfig{Command: "/bin/true", Slice: "batch.slice"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range all {
		got[p.Name] = p.Value.String()
	}
	for name, want := range map[string]string{"Environment": `["A=1", "B=2"]`, "MemoryMax": "@t 20971520", "MemoryLow": "@t 10485760", "CPUWeight": "@t 50",
		"User": `"web"`, "Slice": `"batch.slice"`} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
	if name := unitName(task.ID); name != "drover-a-b-c-1.service" {
		t.Error(name)
	}
	if _, err := describe(task, taskConfig{Command: "no-such-program"}); err == nil {
		t.Error("a program that does not exist was accepted")
	}
}

func TestExit(t *testing.T) {
	for name, test := range map[string]struct {
		unit unit
		want driver.ExitResult
	}{
		"good":          {unit{code: 1, result: "success"}, driver.ExitResult{}},
		"code":          {unit{code: 1, status: 3, result: "exit-code"}, driver.ExitResult{ExitCode: 3}},
		"signal":        {unit{code: childKilled, status: 15, result: "signal"}, driver.ExitResult{ExitCode: 143, Signal: 15}},
		"out of memory": {unit{code: childKilled, status: 9, result: "oom-kill"}, driver.ExitResult{ExitCode: 137, Signal: 9, OOMKilled: true}},
		"never ran":     {unit{result: "resources"}, driver.ExitResult{Err: "systemd could not run it: resources"}},
	} {
		if got := test.unit.exit(); *got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, *got, test.want)
		}
	}
}
