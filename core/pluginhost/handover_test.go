//go:build linux

package pluginhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
)

const movable = "T_HAND_OVER=1"

// fill starts n tasks and returns their handles; the last id ends in "bad".
func (r *room) fill(d *Driver, n int) map[string]*driver.TaskHandle {
	r.t.Helper()
	handles := map[string]*driver.TaskHandle{}
	for i := range n {
		id := fmt.Sprintf("alloc/web/%d", i)
		if i == n-1 {
			id += "bad"
		}
		res, err := d.StartTask(r.t.Context(), r.task(d, id, nil))
		if err != nil {
			r.t.Fatal(err)
		}
		handles[id] = &res.Handle
	}
	return handles
}

// poll waits for what no snapshot shows.
func (r *room) poll(what string, ok func() bool) {
	r.t.Helper()
	for late := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			r.t.Fatalf("never happened: %s", what)
		}
	}
}

// watchHealth reports if the driver is ever not healthy, until the returned function is called.
func (r *room) watchHealth(h *Host, name string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			s, changed := h.Watch()
			if d := s.Drivers[name]; d == nil || !d.Healthy || !d.Detected {
				r.t.Errorf("driver was shown as %+v; plugins:\n%s", d, table(s))
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-over }
}

// waits waits for tasks in the background.
func waits(d *Driver, handles map[string]*driver.TaskHandle) chan error {
	ends := make(chan error, len(handles))
	for id := range handles {
		go func() { _, err := d.WaitTask(context.Background(), id); ends <- err }()
	}
	return ends
}

// endAll stops each task in the process that has it now and expects its exit code.
func (r *room) endAll(h *Host, d *Driver, handles map[string]*driver.TaskHandle) {
	r.t.Helper()
	for id, handle := range handles {
		next, err := h.DriverOf(r.t.Context(), "test", d.Generation())
		if err == nil {
			err = next.RecoverTask(r.t.Context(), handle)
		}
		if err == nil {
			err = next.StopTask(r.t.Context(), id, time.Second, "")
		}
		if err != nil {
			r.t.Fatalf("%s: %v", id, err)
		}
		if exit, err := next.WaitTask(r.t.Context(), id); err != nil || exit.ExitCode != 5 {
			r.t.Errorf("%s ended with %+v, %v", id, exit, err)
		}
		if err := next.DestroyTask(r.t.Context(), id, false); err != nil {
			r.t.Error(err)
		}
	}
}

func TestHandOver(t *testing.T) {
	r := newRoom(t)
	r.plugin("test", movable, "T_VERSION=1.0.0")
	h := r.start()
	d := r.ready(h, "test")
	handles := r.fill(d, 20)
	ends := waits(d, handles)
	defer r.watchHealth(h, "test")()
	r.plugin("test", movable, "T_VERSION=2.0.0")
	<-d.Done()
	for range handles {
		if err := <-ends; !errors.Is(err, host.ErrReleased) || !errors.Is(err, ErrPluginDown) {
			t.Errorf("a wait ended with %v", err)
		}
	}
	next, err := h.DriverOf(t.Context(), "test", d.Generation())
	if err != nil || next.Version() != "2.0.0" || next.Generation() != 2 {
		t.Fatalf("the tasks are in %+v, %v", next, err)
	}
	if _, err := d.StartTask(t.Context(), r.task(d, "late", nil)); !errors.Is(err, host.ErrReleased) {
		t.Errorf("start in the old one: %v", err)
	}
	s := r.until(h, "the old one retires", func(s *Snapshot) bool { return len(s.Plugins) == 1 })
	if p := info(s, "test", 2); p.TaskCount != len(handles) || s.Attributes["plugin.driver.test.version"] != "2.0.0" {
		t.Errorf("plugins:\n%s", table(s))
	}
	r.endAll(h, d, handles)
	r.poll("one copy is left in the store", func() bool {
		copies, _ := os.ReadDir(filepath.Join(r.config.DataDir, "plugin-store"))
		return len(copies) == 1
	})
	r.poll("one record is left", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		rec, known := h.records["test#2"]
		return len(h.records) == 1 && known && !rec.Taking
	})
}

func TestHandOverRolledBack(t *testing.T) {
	for name, setting := range map[string]string{"one recovery fails": "T_RECOVER=fail", "it dies": "T_RECOVER=die", "it hangs": "T_RECOVER=hang"} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			r.config.Limits.HandOver = lifecycle.HandOverLimits{Pause: 2 * time.Second}
			r.plugin("test", movable)
			h := r.start()
			d := r.ready(h, "test")
			handles := r.fill(d, 20)
			ends := waits(d, handles)
			stop := r.watchHealth(h, "test")
			r.plugin("test", movable, setting, "T_VERSION=2.0.0")
			s := r.until(h, "the new one has failed", func(s *Snapshot) bool { return info(s, "test", 2).State == "failed" })
			if reason := info(s, "test", 2).Reason; !strings.Contains(reason, "generation 1 keeps its tasks: ") {
				t.Errorf("reason %q", reason)
			}
			if _, err := d.StartTask(t.Context(), r.task(d, "more", nil)); err != nil {
				t.Errorf("the old one starts no task: %v", err)
			}
			select {
			case err := <-ends:
				t.Errorf("a wait ended: %v", err)
			default:
			}
			// A good one takes them all, without a word to those who wait for the old one.
			r.plugin("test", movable, "T_VERSION=3.0.0")
			<-d.Done()
			next, err := h.Driver(t.Context(), "test")
			if err != nil || next.Version() != "3.0.0" {
				t.Fatalf("got %+v, %v", next, err)
			}
			stop()
			r.until(h, "the others are gone", func(s *Snapshot) bool { return len(s.Plugins) == 1 })
			r.endAll(h, d, handles)
		})
	}
}

func TestHandOverThatIsNotReleased(t *testing.T) {
	r := newRoom(t)
	r.plugin("test", movable, "T_RELEASE=fail")
	h := r.start()
	d := r.ready(h, "test")
	handles := r.fill(d, 3)
	defer r.watchHealth(h, "test")()
	r.plugin("test", movable, "T_VERSION=2.0.0")
	s := r.until(h, "the new one has failed", func(s *Snapshot) bool { return info(s, "test", 2).State == "failed" })
	if reason := info(s, "test", 2).Reason; !strings.Contains(reason, "told not to release it") {
		t.Errorf("reason %q", reason)
	}
	r.endAll(h, d, handles)
}

// TestCommandsOutlastAHandOver: what runs inside a task goes on in the old process, which ends after it.
func TestCommandsOutlastAHandOver(t *testing.T) {
	r := newRoom(t)
	r.plugin("test", movable)
	h := r.start()
	d := r.ready(h, "test")
	handles := r.fill(d, 1)
	stdin, input := io.Pipe()
	var stdout bytes.Buffer
	began := make(chan struct{})
	type result struct {
		exit *driver.ExitResult
		err  error
	}
	done := make(chan result, 1)
	first := true
	go func() {
		exit, err := d.ExecTaskStreaming(context.Background(), &driver.ExecRequest{TaskID: "alloc/web/0bad", Command: []string{"cat"},
			Stdin: stdin, Stderr: io.Discard, Stdout: writer(func(b []byte) {
				if first {
					close(began)
				}
				first = false
				stdout.Write(b)
			})})
		done <- result{exit, err}
	}()
	io.WriteString(input, "before ")
	<-began
	r.plugin("test", movable, "T_VERSION=2.0.0")
	<-d.Done()
	r.until(h, "the new one is used", func(s *Snapshot) bool { return s.Drivers["test"].Version == "2.0.0" })
	io.WriteString(input, "after")
	input.Close()
	if got := <-done; got.err != nil || got.exit.ExitCode != 9 || stdout.String() != "before after" {
		t.Errorf("%+v, %v, %q", got.exit, got.err, stdout.String())
	}
	r.until(h, "the old one retires", func(s *Snapshot) bool { return len(s.Plugins) == 1 })
	r.endAll(h, d, handles)
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }

// TestAgentDiesInAHandOver: the next one undoes what was half done and begins again.
func TestAgentDiesInAHandOver(t *testing.T) {
	r := newRoom(t)
	r.config.Limits.HandOver = lifecycle.HandOverLimits{Pause: time.Hour}
	r.plugin("test", movable)
	h := r.start()
	d := r.ready(h, "test")
	handles := r.fill(d, 5)
	pid := d.Pid()
	r.plugin("test", movable, "T_RECOVER=hang", "T_VERSION=2.0.0")
	r.poll("the tasks are released", func() bool {
		_, err := d.s.client.Driver().InspectTask(t.Context(), "alloc/web/0")
		return errors.Is(err, host.ErrReleased)
	})
	r.stop(h, false)
	r.plugin("test", movable, "T_VERSION=3.0.0")
	h = r.start()
	again, err := h.DriverOf(t.Context(), "test", d.Generation())
	if err != nil || again.Pid() != pid {
		t.Fatalf("got %+v, %v; want pid %d", again, err, pid)
	}
	for id, handle := range handles {
		if err := again.RecoverTask(t.Context(), handle); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
	}
	h.Recovered()
	<-again.Done()
	if next, err := h.DriverOf(t.Context(), "test", d.Generation()); err != nil || next.Version() != "3.0.0" {
		s, _ := h.Watch()
		t.Fatalf("got %s, %v; plugins:\n%s", next.Version(), err, table(s))
	}
	r.until(h, "the others are gone", func(s *Snapshot) bool { return len(s.Plugins) == 1 })
	r.endAll(h, d, handles)
}

func TestUpgradePolicies(t *testing.T) {
	r := newRoom(t)
	r.config.Blocks = []Block{{Name: "test", Upgrade: lifecycle.PolicyDrain}}
	r.plugin("test", movable)
	h := r.start()
	d := r.ready(h, "test")
	handles := r.fill(d, 1)
	r.plugin("test", movable, "T_VERSION=2.0.0")
	r.until(h, "the first one drains", func(s *Snapshot) bool { return info(s, "test", 1).State == "draining" })
	select {
	case <-d.Done():
		t.Error("its tasks were handed over")
	default:
	}
	r.endAll(h, d, handles)
}

func TestManualUpgrade(t *testing.T) {
	r := newRoom(t)
	blocks := []Block{{Name: "test", Upgrade: lifecycle.PolicyManual}}
	r.config.Blocks = blocks
	r.plugin("test", movable)
	h := r.start()
	d := r.ready(h, "test")
	handles := r.fill(d, 2)
	r.plugin("test", movable, "T_VERSION=2.0.0")
	r.until(h, "the file waits", func(s *Snapshot) bool {
		return len(s.Plugins) == 2 && strings.Contains(s.Plugins[1].Reason, "drover plugin reload test")
	})
	if err := h.ReloadPlugin(t.Context(), blocks, "nobody"); !errors.Is(err, ErrUnknownPlugin) {
		t.Errorf("reload of what is not there: %v", err)
	}
	if err := h.ReloadPlugin(t.Context(), blocks, "test"); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	if next, err := h.Driver(t.Context(), "test"); err != nil || next.Version() != "2.0.0" {
		t.Errorf("got %+v, %v", next, err)
	}
	r.until(h, "the old one retires", func(s *Snapshot) bool { return len(s.Plugins) == 1 })
	r.plugin("test", movable, "T_VERSION=3.0.0") // a reload is for one file only
	r.until(h, "the next file waits", func(s *Snapshot) bool { return len(s.Plugins) == 2 && s.Plugins[1].State == "verified" })
	r.endAll(h, d, handles)
}

// TestReloadOfOnePlugin: a failed hand-over is tried again, and another plugin's block is left alone.
func TestReloadOfOnePlugin(t *testing.T) {
	r := newRoom(t)
	r.plugin("test", movable)
	r.plugin("other", "T_NAME=other")
	h := r.start()
	d := r.ready(h, "test")
	other := r.ready(h, "other")
	handles := r.fill(d, 2)
	r.plugin("test", movable, "T_RECOVER=`cat "+r.dir+"/recover`", "T_VERSION=2.0.0")
	if err := os.WriteFile(r.dir+"/recover", []byte("fail"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.until(h, "the new one has failed", func(s *Snapshot) bool { return info(s, "test", 2).State == "failed" })
	if err := os.WriteFile(r.dir+"/recover", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	blocks := []Block{{Name: "other", Config: map[string]any{"mood": "wild"}}}
	if err := h.ReloadPlugin(t.Context(), blocks, "test"); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	if next, err := h.DriverOf(t.Context(), "test", d.Generation()); err != nil || next.Version() != "2.0.0" {
		t.Errorf("got %+v, %v", next, err)
	}
	r.endAll(h, d, handles)
	select {
	case <-other.Done():
		t.Error("the other plugin was restarted")
	default:
	}
	if err := h.ReloadPlugin(t.Context(), blocks, "other"); err != nil {
		t.Fatal(err)
	}
	<-other.Done()
	r.until(h, "the other's block applies", func(s *Snapshot) bool { return s.Drivers["other"].Attributes["driver.test.mood"] == "wild" })
}
