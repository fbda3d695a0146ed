//go:build linux

package pluginhost

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/driver"
)

func TestTaskThroughHello(t *testing.T) {
	r := newRoom(t)
	build := exec.Command("go", "build", "-o", filepath.Join(r.config.PluginDir, "drover-driver-hello"), ".")
	build.Dir = "../../sdk/examples/hello"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	h := r.start()
	d := r.ready(h, "hello")
	out := filepath.Join(r.dir, "out")
	data, err := h.EncodeTaskConfig(t.Context(), "hello", map[string]any{"command": "/bin/sh", "args": []any{"-c", "echo hi; exit 3"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	task := &driver.TaskConfig{ID: "a/web/1", Name: "web", AllocID: "a", AllocDir: r.dir, DriverConfig: data,
		StdoutPath: out, StderrPath: os.DevNull}
	if err := os.MkdirAll(task.TaskDir(), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := d.StartTask(t.Context(), task); err != nil {
		t.Fatal(err)
	}
	exit, err := d.WaitTask(t.Context(), task.ID)
	if err != nil || exit.ExitCode != 3 {
		t.Fatalf("exit %+v, error %v", exit, err)
	}
	if text, _ := os.ReadFile(out); string(text) != "hi\n" {
		t.Errorf("printed %q", text)
	}
	if err := d.DestroyTask(t.Context(), task.ID, true); err != nil {
		t.Error(err)
	}
	if err := d.DestroyTask(t.Context(), task.ID, true); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestWhatIsShownOfADriver(t *testing.T) {
	r := newRoom(t)
	r.plugin("drover-driver-test", "T_VERSION=1.2.3")
	h := r.start()
	d := r.ready(h, "test")
	if err := h.Settled(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, _ := h.Watch()
	p := info(s, "drover-driver-test", 1)
	if p.State != "ready" || p.Type != "driver" || p.Name != "test" || p.Version != "1.2.3" || p.PID != d.Pid() || !p.Healthy ||
		len(p.SHA256) != 64 || p.Restarts != 0 {
		t.Errorf("plugin %+v", p)
	}
	spec, digest := d.Schema()
	if s.Drivers["test"].SchemaDigest != digest || len(s.Schemas[digest].JSON) == 0 || s.Schemas[digest].Driver != "test" || spec == nil {
		t.Errorf("schema %s is not offered: %+v", digest, s.Schemas)
	}
	for key, want := range map[string]string{"driver.test": "1", "driver.test.configs": "1", "plugin.driver.test.version": "1.2.3"} {
		if s.Attributes[key] != want {
			t.Errorf("attribute %s = %q, want %q", key, s.Attributes[key], want)
		}
	}
	if exe := s.Attributes["driver.test.exe"]; exe != filepath.Join(r.config.DataDir, "plugin-store", p.SHA256, p.File) {
		t.Errorf("it runs from %s, not from the store", exe)
	}
	if _, err := d.EncodeTaskConfig(map[string]any{"comand": "x"}, nil); err == nil || !strings.Contains(err.Error(), "comand") {
		t.Errorf("misspelt key: %v", err)
	}
	if _, err := h.Driver(t.Context(), "podman"); !errors.Is(err, ErrUnknownDriver) {
		t.Errorf("unknown driver: %v", err)
	}
	if _, err := d.StartTask(t.Context(), r.task(d, "t", map[string]any{"command": "fail"})); !driver.IsRecoverable(err) {
		t.Errorf("recoverable failure: %v", err)
	}
}

func TestKilledPluginIsBackWithinASecond(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	res, err := d.StartTask(t.Context(), r.task(d, "alloc/web/1", nil))
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := d.WaitTask(context.Background(), "alloc/web/1")
		waited <- err
	}()
	killed := time.Now()
	if err := syscall.Kill(d.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	noticed := time.Since(killed)
	next, err := h.DriverOf(t.Context(), "test", d.Generation())
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(killed)
	t.Logf("noticed after %s, relaunched and configured after %s", noticed, took)
	if took > time.Second {
		t.Errorf("it took %s", took)
	}
	if err := <-waited; !errors.Is(err, ErrPluginDown) {
		t.Errorf("the wait ended with %v", err)
	}
	if next.Pid() == d.Pid() || next.Generation() != d.Generation() {
		t.Errorf("pid %d generation %d", next.Pid(), next.Generation())
	}
	if err := next.RecoverTask(t.Context(), &res.Handle); err != nil {
		t.Fatal(err)
	}
	s := r.until(h, "counted", func(s *Snapshot) bool { return info(s, "test", 1).Restarts == 1 && info(s, "test", 1).State == "ready" })
	if !s.Drivers["test"].Healthy {
		t.Error("it was shown unhealthy")
	}
	if err := next.StopTask(t.Context(), "alloc/web/1", time.Second, ""); err != nil {
		t.Fatal(err)
	}
	if exit, err := next.WaitTask(t.Context(), "alloc/web/1"); err != nil || exit.ExitCode != 5 {
		t.Errorf("exit %+v, error %v", exit, err)
	}
	if err := next.StopTask(t.Context(), "never seen", time.Second, ""); err != nil {
		t.Errorf("stop of an unknown task: %v", err)
	}
}

func TestAgentRestartReattaches(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	res, err := d.StartTask(t.Context(), r.task(d, "alloc/web/1", nil))
	if err != nil {
		t.Fatal(err)
	}
	r.stop(h, false)
	if _, err := h.Driver(t.Context(), "test"); !errors.Is(err, ErrStopped) {
		t.Errorf("after stop: %v", err)
	}
	h = r.start()
	again := r.ready(h, "test")
	if again.Pid() != d.Pid() || again.Generation() != d.Generation() {
		t.Fatalf("pid %d, was %d", again.Pid(), d.Pid())
	}
	if err := again.RecoverTask(t.Context(), &res.Handle); err != nil {
		t.Error(err)
	}
	h.Recovered()
	s := r.until(h, "its fingerprint", func(s *Snapshot) bool { return s.Attributes["driver.test.configs"] != "" })
	if n := s.Attributes["driver.test.configs"]; n != "1" {
		t.Errorf("it was configured %s times", n)
	}
	if info := s.Plugins[0]; info.State != "ready" || info.Restarts != 0 {
		t.Errorf("plugin %+v", info)
	}
}

func TestAgentRestartRelaunchesWhatDied(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	r.stop(h, false)
	syscall.Kill(d.Pid(), syscall.SIGKILL)
	h = r.start()
	if again := r.ready(h, "test"); again.Pid() == d.Pid() || again.Generation() != d.Generation() {
		t.Errorf("pid %d generation %d", again.Pid(), again.Generation())
	}
}

func TestAgentRestartWithOtherConfig(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	r.stop(h, false)
	r.config.Blocks = []Block{{Name: "test", Config: map[string]any{"mood": "wild"}}}
	h = r.start()
	again := r.ready(h, "test")
	if again.Pid() == d.Pid() {
		t.Error("the old process was kept, which never gets the new configuration")
	}
	if mood := h.Drivers()["test"].Attributes["driver.test.mood"]; mood != "wild" {
		t.Errorf("mood %q", mood)
	}
	if err := syscall.Kill(d.Pid(), 0); err == nil {
		t.Error("the old process is still there")
	}
}

func TestImpostorIsNotTouched(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	r.stop(h, false)
	syscall.Kill(d.Pid(), syscall.SIGKILL)
	impostor := exec.Command("/bin/sleep", "300")
	if err := impostor.Start(); err != nil {
		t.Fatal(err)
	}
	defer impostor.Wait()
	defer impostor.Process.Kill()
	store := FileRecords(filepath.Join(r.config.DataDir, "client", "plugins.json"))
	records, err := store.Load()
	if err != nil || len(records) != 1 {
		t.Fatalf("records %v, error %v", records, err)
	}
	for key, rec := range records {
		rec.Process.PID = impostor.Process.Pid
		records[key] = rec
	}
	if err := store.Save(records); err != nil {
		t.Fatal(err)
	}
	h = r.start()
	if again := r.ready(h, "test"); again.Pid() == impostor.Process.Pid {
		t.Error("it was taken for the plugin")
	}
	if state, err := os.ReadFile("/proc/" + itoa(impostor.Process.Pid) + "/stat"); err != nil || strings.Contains(string(state), ") Z ") {
		t.Error("the impostor was ended")
	}
}

func TestOperatorBlocks(t *testing.T) {
	t.Run("by file, by name, merged", func(t *testing.T) {
		r := newRoom(t)
		r.plugin("some-file")
		block := Block{Config: map[string]any{"mood": "wild"}, Args: []string{"-x", "y"}}
		byFile, byName := block, block
		byFile.Name, byName.Name = "some-file", "test"
		r.config.Blocks = []Block{byFile, byName, byName}
		h := r.start()
		r.ready(h, "test")
		s, _ := h.Watch()
		if s.Attributes["driver.test.mood"] != "wild" || s.Attributes["driver.test.args"] != "-x y" {
			t.Errorf("attributes %v", s.Attributes)
		}
	})
	t.Run("by a name that could not be guessed", func(t *testing.T) {
		r := newRoom(t)
		r.plugin("some-file")
		r.config.Blocks = []Block{{Name: "test", Args: []string{"-z"}, Config: map[string]any{"mood": "wild"}}}
		h := r.start()
		r.ready(h, "test")
		s, _ := h.Watch()
		if s.Attributes["driver.test.mood"] != "wild" || s.Attributes["driver.test.args"] != "-z" {
			t.Errorf("attributes %v", s.Attributes)
		}
	})
	t.Run("differing", func(t *testing.T) {
		r := newRoom(t)
		r.plugin("some-file")
		r.config.Blocks = []Block{{Name: "some-file"}, {Name: "test", Args: []string{"-z"}}}
		h := r.start()
		s := r.until(h, "refusal", func(s *Snapshot) bool { return info(s, "some-file", 1).State == "failed" })
		if reason := info(s, "some-file", 1).Reason; !strings.Contains(reason, `plugin "some-file"`) || !strings.Contains(reason, `plugin "test"`) {
			t.Errorf("reason %q", reason)
		}
	})
	t.Run("twice with different contents", func(t *testing.T) {
		r := newRoom(t)
		r.config.Blocks = []Block{{Name: "test"}, {Name: "test", Args: []string{"-z"}}}
		if _, err := New(r.config); err == nil || !strings.Contains(err.Error(), "configured twice") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("denied", func(t *testing.T) {
		r := newRoom(t)
		r.plugin("a-file")
		r.config.Options = map[string]string{"driver.denylist": "other, test"}
		h := r.start()
		s := r.until(h, "refusal", func(s *Snapshot) bool { return info(s, "a-file", 1).State == "failed" })
		if reason := info(s, "a-file", 1).Reason; !strings.Contains(reason, "driver.denylist") {
			t.Errorf("reason %q", reason)
		}
		if _, err := h.Driver(t.Context(), "test"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "driver.denylist") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWrongConfigAndReload(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	r.config.Blocks = []Block{{Name: "test", Config: map[string]any{"moood": "wild"}}}
	h := r.start()
	s := r.until(h, "refusal", func(s *Snapshot) bool { return info(s, "test", 1).State == "failed" })
	if reason := info(s, "test", 1).Reason; !strings.Contains(reason, `plugin "test"`) || !strings.Contains(reason, "moood") {
		t.Errorf("reason %q", reason)
	}
	reload := func(config map[string]any) error {
		return h.Reload(t.Context(), []Block{{Name: "test", Config: config}})
	}
	if err := reload(map[string]any{"mood": "merry"}); err != nil {
		t.Fatal(err)
	}
	d := r.ready(h, "test")
	if err := reload(map[string]any{"refuse": "perhaps"}); !errors.Is(err, ErrBlock) || !strings.Contains(err.Error(), "refuse") {
		t.Errorf("wrong type: %v", err)
	}
	if err := reload(map[string]any{"mood": "merry"}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.Done():
		t.Error("restarted for the same configuration, or a refused one")
	default:
	}
	if err := reload(map[string]any{"mood": "glum"}); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	r.until(h, "new mood", func(s *Snapshot) bool { return s.Attributes["driver.test.mood"] == "glum" })
	if !h.Drivers()["test"].Healthy {
		t.Error("it was shown unhealthy")
	}
}

func TestNoSecretsInAPluginsEnvironment(t *testing.T) {
	secrets := []string{"NOMAD_TOKEN", "DROVER_TOKEN", "VAULT_TOKEN", "CONSUL_HTTP_TOKEN", "CONSUL_TOKEN", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "MY_PASSWORD", "PLUGIN_CLIENT_CERT", "PLUGIN_MULTIPLEX_GRPC"}
	environ := append(os.Environ(), "HARMLESS=here", "WANTED_TOKEN=there")
	for _, name := range secrets {
		environ = append(environ, name+"=topsecret")
	}
	tests := map[string]struct {
		allow       []string
		has, hasNot string
	}{
		"usual":  {nil, "HARMLESS=here", "WANTED_TOKEN"},
		"strict": {[]string{"WANTED_TOKEN"}, "WANTED_TOKEN=there", "HARMLESS"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			r.config.Environ = append(environ, "DROVER_NODE_ID=another's")
			r.config.LogSocket, r.config.NodeID, r.config.ClusterID = "/l.sock", "n1", "c1"
			r.config.Blocks = []Block{{Name: "test", EnvAllow: tt.allow}}
			r.plugin("test")
			h := r.start()
			r.ready(h, "test")
			env := h.Drivers()["test"].Attributes["driver.test.env"]
			if strings.Contains(env, "topsecret") || strings.Contains(env, tt.hasNot) || !strings.Contains(env, tt.has) {
				t.Errorf("environment:\n%s", env)
			}
			for _, told := range []string{"DROVER_LOG_SOCKET=/l.sock", "DROVER_NODE_ID=n1", "DROVER_CLUSTER_ID=c1"} {
				if !strings.Contains(env+"\n", told+"\n") {
					t.Errorf("no %s in\n%s", told, env)
				}
			}
			if !strings.Contains(env, "TMPDIR="+r.config.RunDir) || !strings.Contains(env+"\n", "DROVER_RUN_DIR="+r.config.RunDir+"\n") || !strings.Contains(env, "PATH=") {
				t.Errorf("environment:\n%s", env)
			}
		})
	}
}

func TestChangedFileDrains(t *testing.T) {
	r := newRoom(t)
	r.plugin("test", "T_VERSION=1.0.0")
	h := r.start()
	h.Recovered()
	one := r.ready(h, "test")
	if _, err := one.StartTask(t.Context(), r.task(one, "t1", nil)); err != nil {
		t.Fatal(err)
	}
	r.plugin("test", "T_VERSION=2.0.0")
	r.until(h, "second generation", func(s *Snapshot) bool {
		return info(s, "test", 2).State == "ready" && info(s, "test", 1).State == "draining"
	})
	two, err := h.Driver(t.Context(), "test")
	if err != nil || two.Generation() != 2 || two.Version() != "2.0.0" {
		t.Fatalf("new tasks go to %+v, %v", two, err)
	}
	old, err := h.DriverOf(t.Context(), "test", 1)
	if err != nil || old.Pid() != one.Pid() {
		t.Fatalf("old tasks are at %+v, %v", old, err)
	}
	// The old generation survives a crash as well as a restart of the agent.
	r.stop(h, false)
	h = r.start()
	old, err = h.DriverOf(t.Context(), "test", 1)
	if err != nil || old.Pid() != one.Pid() || old.Version() != "1.0.0" {
		t.Fatalf("old tasks are at %+v, %v", old, err)
	}
	two = r.ready(h, "test")
	if two.Generation() != 2 {
		t.Errorf("new tasks go to generation %d", two.Generation())
	}
	if err := old.RecoverTask(t.Context(), &driver.TaskHandle{Version: 1, Config: *r.task(old, "t1", nil), DriverState: []byte("\x81\xa7Started\x07")}); err != nil {
		t.Fatal(err)
	}
	h.Recovered()
	r.until(h, "draining again", func(s *Snapshot) bool { return info(s, "test", 1).State == "draining" })
	if err := old.DestroyTask(t.Context(), "t1", true); err != nil {
		t.Fatal(err)
	}
	<-old.Done()
	r.until(h, "retired", func(s *Snapshot) bool { return len(s.Plugins) == 1 && s.Plugins[0].Generation == 2 })
	if d, err := h.DriverOf(t.Context(), "test", 1); err != nil || d.Generation() != 2 {
		t.Errorf("a task of a retired generation is sent to %+v, %v", d, err)
	}
}

func TestStoreCopyRunsWhenTheOriginalIsReplaced(t *testing.T) {
	r := newRoom(t)
	r.config.Blocks = []Block{{Name: "test", Upgrade: lifecycle.PolicyManual}}
	r.plugin("test", "T_VERSION=1.0.0")
	h := r.start()
	d := r.ready(h, "test")
	r.script("test", "exit 9")
	syscall.Kill(d.Pid(), syscall.SIGKILL)
	<-d.Done()
	next, err := h.DriverOf(t.Context(), "test", 1)
	if err != nil || next.Version() != "1.0.0" {
		t.Fatalf("%+v, %v", next, err)
	}
}

func TestBrokenReplacementChangesNothing(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	r.write("test", "not a program", 0o755)
	r.until(h, "refusal", func(s *Snapshot) bool {
		for _, p := range s.Plugins {
			if p.State == "failed" && strings.Contains(p.Reason, "not a program") {
				return true
			}
		}
		return false
	})
	r.script("test", "exit 9")
	r.until(h, "failed generation", func(s *Snapshot) bool { return info(s, "test", 2).State == "failed" })
	again, err := h.Driver(t.Context(), "test")
	if err != nil || again.Pid() != d.Pid() || !h.Drivers()["test"].Healthy {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestNewAndRemovedFiles(t *testing.T) {
	r := newRoom(t)
	h := r.start()
	h.Recovered()
	if _, err := h.Driver(t.Context(), "test"); !errors.Is(err, ErrUnknownDriver) {
		t.Errorf("got %v", err)
	}
	path := r.plugin("test")
	d := r.ready(h, "test")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	r.until(h, "gone", func(s *Snapshot) bool { return s.Drivers["test"] == nil && len(s.Plugins) == 0 })
	if _, err := h.Driver(t.Context(), "test"); !errors.Is(err, ErrUnknownDriver) {
		t.Errorf("got %v", err)
	}
}

func TestTwoFilesOfOneName(t *testing.T) {
	r := newRoom(t)
	first := r.plugin("a-test")
	second := r.plugin("b-test", "T_VERSION=2.0.0")
	h := r.start()
	h.Recovered()
	s := r.until(h, "refusal", func(s *Snapshot) bool {
		return info(s, "a-test", 1).State == "ready" && info(s, "b-test", 1).State == "failed"
	})
	if reason := info(s, "b-test", 1).Reason; !strings.Contains(reason, first) || !strings.Contains(reason, second) {
		t.Errorf("reason %q", reason)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	r.until(h, "the other takes over", func(s *Snapshot) bool {
		return s.Drivers["test"] != nil && s.Drivers["test"].Healthy && s.Drivers["test"].Version == "2.0.0"
	})
}

func TestTaskEventsReachTheirTask(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	mine, cancel := h.Subscribe("alloc", "web")
	defer cancel()
	other, cancelOther := h.Subscribe("alloc", "db")
	defer cancelOther()
	if _, err := d.StartTask(t.Context(), r.task(d, "t", map[string]any{"command": "x", "events": 3})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"event 0", "event 1", "event 2"} {
		if e := <-mine; e.Message != want || e.TaskID != "t" {
			t.Errorf("got %+v, want %q", e, want)
		}
	}
	select {
	case e := <-other:
		t.Errorf("stray event %+v", e)
	default:
	}
}

func TestStopEndsPlugins(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	r.stop(h, true)
	<-d.Done()
	if left := r.processes(); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(r.config.RunDir, "p", "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	records, err := FileRecords(filepath.Join(r.config.DataDir, "client", "plugins.json")).Load()
	if err != nil || len(records) != 0 {
		t.Errorf("records %v, error %v", records, err)
	}
}

func TestLifeCycleEvents(t *testing.T) {
	r := newRoom(t)
	r.plugin("test")
	h := r.start()
	d := r.ready(h, "test")
	syscall.Kill(d.Pid(), syscall.SIGKILL)
	<-d.Done()
	var e *model.NodeEvent
	for e == nil || !strings.Contains(e.Message, "died") {
		e = <-h.Events()
	}
	if e.Subsystem != "Driver" || e.Details["driver_name"] != "test" || !strings.Contains(e.Message, "killed by signal") {
		t.Errorf("event %+v", e)
	}
}
