//go:build linux

package pluginhost

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/driver"
)

// TestMain lets the test binary play the other processes: the plugin, the log collector, an agent that gets killed.
func TestMain(m *testing.M) {
	switch os.Getenv("T_ROLE") {
	case "plugin":
		servePlugin()
		os.Exit(0)
	case "device":
		serveDevices()
		os.Exit(0)
	case "network":
		serveNetworks()
		os.Exit(0)
	case "collector":
		os.Exit(tasklog.Main(context.Background(), os.Args[1:]))
	case "agent":
		beAgent()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// room is a data directory, a run directory and a plugin_dir of one test.
type room struct {
	t      *testing.T
	dir    string
	config Config
}

func newRoom(t *testing.T) *room {
	t.Helper()
	dir, err := os.MkdirTemp("", "ph") // short: sockets lie below
	if err != nil {
		t.Fatal(err)
	}
	r := &room{t: t, dir: dir}
	r.config = roomConfig(dir)
	if testing.Verbose() {
		r.config.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: os.Stderr})
	}
	if err := os.MkdirAll(r.config.PluginDir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.audit()
		os.RemoveAll(dir)
	})
	return r
}

func roomConfig(dir string) Config {
	return Config{
		PluginDir: filepath.Join(dir, "plugins"), DataDir: filepath.Join(dir, "data"), RunDir: filepath.Join(dir, "run"),
		Environ: os.Environ(),
		Limits:  Limits{Scan: 20 * time.Millisecond, Start: 20 * time.Second},
	}
}

// audit ends and reports what processes are left, by the room that is in their environment. The log collector ends by
// itself when its client is gone.
func (r *room) audit() {
	for late := time.Now().Add(10 * time.Second); len(r.processes()) > 0 && time.Now().Before(late); {
		time.Sleep(20 * time.Millisecond)
	}
	for _, pid := range r.processes() {
		r.t.Errorf("pid %d is left", pid)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// processes lists those whose TMPDIR or arguments lie in the room.
func (r *room) processes() []int {
	var pids []int
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range all {
		env, _ := os.ReadFile(file)
		args, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if strings.Contains(string(env)+string(args), r.dir+"/") {
			var pid int
			fmt.Sscanf(filepath.Base(filepath.Dir(file)), "%d", &pid)
			if pid != os.Getpid() {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// script puts a file into plugin_dir.
func (r *room) script(name, body string) string {
	r.t.Helper()
	return r.write(name, "#!/bin/sh\n"+body+"\n", 0o755)
}

// write replaces the file in one step, as a good installer does.
func (r *room) write(name, text string, mode os.FileMode) string {
	r.t.Helper()
	path := filepath.Join(r.config.PluginDir, name)
	tmp := filepath.Join(r.config.PluginDir, ".new")
	if err := os.WriteFile(tmp, []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(tmp, mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// plugin puts a good plugin into plugin_dir; settings are NAME=value.
func (r *room) plugin(file string, settings ...string) string {
	r.t.Helper()
	return r.script(file, fmt.Sprintf("export T_ROLE=plugin T_SCRIPT=$0 %s\nexec %s \"$@\"", strings.Join(settings, " "), os.Args[0]))
}

// devices puts a device plugin into plugin_dir that lists what is in the file list.
func (r *room) devices(file, list string, settings ...string) {
	r.t.Helper()
	r.script(file, fmt.Sprintf("export T_ROLE=device T_LIST=%s %s\nexec %s \"$@\"", list, strings.Join(settings, " "), os.Args[0]))
}

// start runs a host until the test or stop ends it; its plugins end with the test.
func (r *room) start() *Host {
	r.t.Helper()
	h, err := New(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := h.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { r.stop(h, true) })
	return h
}

func (r *room) stop(h *Host, end bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := h.Stop(ctx, StopOptions{EndPlugins: end}); err != nil {
		r.t.Error(err)
	}
}

// until waits for the plugins to look as they should.
func (r *room) until(h *Host, what string, ok func(s *Snapshot) bool) *Snapshot {
	r.t.Helper()
	late := time.After(30 * time.Second)
	for {
		s, changed := h.Watch()
		if ok(s) {
			return s
		}
		select {
		case <-changed:
		case <-late:
			r.t.Fatalf("never happened: %s; plugins:\n%s", what, table(s))
		}
	}
}

func table(s *Snapshot) string {
	var b strings.Builder
	for _, p := range s.Plugins {
		fmt.Fprintf(&b, "  %s gen %d %s %s pid %d tasks %d (%s)\n", p.File, p.Generation, p.Name, p.State, p.PID, p.TaskCount, p.Reason)
	}
	for name, d := range s.Drivers {
		fmt.Fprintf(&b, "  driver %s detected %t healthy %t (%s)\n", name, d.Detected, d.Healthy, d.HealthDescription)
	}
	return b.String()
}

// ready waits until the driver is healthy and returns its facade.
func (r *room) ready(h *Host, name string) *Driver {
	r.t.Helper()
	r.until(h, name+" healthy", func(s *Snapshot) bool { return s.Drivers[name] != nil && s.Drivers[name].Healthy })
	d, err := h.Driver(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// info finds a plugin by its file and generation (0 = the first listed).
func info(s *Snapshot, file string, generation uint64) *model.PluginInfo {
	for _, p := range s.Plugins {
		if p.File == file && (generation == 0 || p.Generation == generation) {
			return p
		}
	}
	return &model.PluginInfo{}
}

// task makes a task's config.
func (r *room) task(d *Driver, id string, config map[string]any) *driver.TaskConfig {
	r.t.Helper()
	if config == nil {
		config = map[string]any{"command": "x"}
	}
	data, err := d.EncodeTaskConfig(config, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return &driver.TaskConfig{ID: id, Name: "web", AllocID: "alloc", AllocDir: r.dir, DriverConfig: data,
		StdoutPath: os.DevNull, StderrPath: os.DevNull}
}
