package driver_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

// mover is a fake that can hand its tasks over.
type mover struct{ able }

var _ driver.WithHandOver = mover{}

func (m mover) Release(_ context.Context, id string) error {
	m.note("release %s", id)
	return m.startErr
}

func newMover() mover {
	m := mover{able{newFake()}}
	m.stats = func() (*driver.TaskStats, error) { return &driver.TaskStats{}, nil }
	return m
}

func TestHandOver(t *testing.T) {
	old, next := newMover(), newMover()
	a := plugintest.Serve(t, driver.New(info(), old))
	b := plugintest.Serve(t, driver.New(info(), next))
	ext, err := a.Negotiate(t.Context(), plugin.HostInfo{Name: "test"})
	if err != nil || !ext.Has(plugin.ExtensionHandOver) {
		t.Fatalf("got %+v, %v", ext, err)
	}
	handles := map[string]*driver.TaskHandle{}
	for _, id := range []string{"t1", "t2"} {
		handles[id] = &start(t, a.Driver(), id).Handle
	}
	waited, sampled := make(chan error, 1), make(chan error, 1)
	go func() { _, err := a.Driver().WaitTask(t.Context(), "t1"); waited <- err }()
	first := make(chan struct{}, 1)
	go func() {
		sampled <- a.Driver().Stats(t.Context(), "t1", time.Hour, func(driver.TaskStats) error { first <- struct{}{}; return nil })
	}()
	<-first
	old.await("wait t2")
	list, err := a.Release(t.Context(), false)
	if err != nil || len(list) != 2 {
		t.Fatalf("released %v, %v", list, err)
	}
	for name, c := range map[string]chan error{"wait": waited, "stats": sampled} {
		if err := <-c; !errors.Is(err, host.ErrReleased) {
			t.Errorf("%s in flight: %v", name, err)
		}
	}
	for _, r := range list {
		if err := b.Driver().RecoverTask(t.Context(), r.Into(handles[r.TaskID])); err != nil {
			t.Fatal(err)
		}
	}
	// The old one is out of it: it neither starts nor ends anything.
	if _, err := a.Driver().StartTask(t.Context(), newTask(t, a.Driver(), "t3", nil)); !errors.Is(err, host.ErrReleased) {
		t.Errorf("start: %v", err)
	}
	for name, err := range map[string]error{
		"stop": a.Driver().StopTask(t.Context(), "t1", time.Second, ""), "destroy": a.Driver().DestroyTask(t.Context(), "t1", true),
		"signal": a.Driver().SignalTask(t.Context(), "t1", "SIGHUP"), "recover": a.Driver().RecoverTask(t.Context(), handles["t1"]),
	} {
		if !errors.Is(err, host.ErrReleased) {
			t.Errorf("%s after the release: %v", name, err)
		}
	}
	if _, err := a.Release(t.Context(), false); !errors.Is(err, host.ErrReleased) {
		t.Errorf("a second release: %v", err)
	}
	for _, call := range []string{"destroy t1 true", "destroy t2 true", "stop t1 1s "} {
		if old.count(call) != 0 {
			t.Errorf("the old one was asked to %s", call)
		}
	}
	next.endOf("t1") <- &driver.ExitResult{ExitCode: 3}
	if exit, err := b.Driver().WaitTask(t.Context(), "t1"); err != nil || exit.ExitCode != 3 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func TestHandOverTakenBack(t *testing.T) {
	f := newMover()
	c := plugintest.Serve(t, driver.New(info(), f))
	handle := start(t, c.Driver(), "t1").Handle
	if err := c.Resume(t.Context()); err != nil {
		t.Errorf("resume without a release: %v", err)
	}
	if _, err := c.Release(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Driver().RecoverTask(t.Context(), &handle); err != nil || f.count("recover t1") != 1 {
		t.Fatalf("recover: %v", err)
	}
	f.endOf("t1") <- &driver.ExitResult{ExitCode: 4}
	if exit, err := c.Driver().WaitTask(t.Context(), "t1"); err != nil || exit.ExitCode != 4 {
		t.Errorf("got %+v, %v", exit, err)
	}
	start(t, c.Driver(), "t2")
}

// TestHandOverWaitsForTheEnded: how a task ended is known to this process only, until it is destroyed.
func TestHandOverWaitsForTheEnded(t *testing.T) {
	f := newMover()
	c := plugintest.Serve(t, driver.New(info(), f))
	start(t, c.Driver(), "t1")
	start(t, c.Driver(), "t2")
	f.endOf("t1") <- &driver.ExitResult{ExitCode: 5}
	if _, err := c.Driver().WaitTask(t.Context(), "t1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Release(t.Context(), false); !errors.Is(err, host.ErrBusy) {
		t.Fatalf("release with an ended task: %v", err)
	}
	if exit, err := c.Driver().WaitTask(t.Context(), "t1"); err != nil || exit.ExitCode != 5 {
		t.Errorf("its end is forgotten: %+v, %v", exit, err)
	}
	if err := c.Driver().DestroyTask(t.Context(), "t1", false); err != nil {
		t.Fatal(err)
	}
	list, err := c.Release(t.Context(), false)
	if err != nil || len(list) != 1 || list[0].TaskID != "t2" {
		t.Errorf("released %v, %v", list, err)
	}
}

// TestHandOverWaitsForCalls: a start under way becomes a task that is released.
func TestHandOverWaitsForCalls(t *testing.T) {
	f := newMover()
	f.startGate = make(chan struct{})
	c := plugintest.Serve(t, driver.New(info(), f))
	task := newTask(t, c.Driver(), "t1", map[string]any{"command": "c"})
	started := make(chan error, 1)
	go func() { _, err := c.Driver().StartTask(t.Context(), task); started <- err }()
	f.await("start t1 c 2")
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Release(short, false); err == nil {
		t.Fatal("released with a start under way")
	}
	// The plugin learns a moment later than its caller that the call was given up.
	for {
		if _, err := c.Driver().InspectTask(t.Context(), "nobody"); !errors.Is(err, host.ErrReleased) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	type answer struct {
		list []host.Released
		err  error
	}
	released := make(chan answer, 1)
	go func() {
		list, err := c.Release(t.Context(), false)
		released <- answer{list, err}
	}()
	close(f.startGate)
	if err := <-started; err != nil && !errors.Is(err, host.ErrReleased) {
		t.Fatal(err)
	}
	got := <-released
	if got.err != nil || !slices.ContainsFunc(got.list, func(r host.Released) bool { return r.TaskID == "t1" }) {
		t.Errorf("got %+v", got)
	}
}

// TestHandOverThatFails: the host resumes and recovers, whatever state the release left.
func TestHandOverThatFails(t *testing.T) {
	f := newMover()
	c := plugintest.Serve(t, driver.New(info(), f))
	handle := start(t, c.Driver(), "t1").Handle
	f.startErr = errors.New("cannot let go")
	if _, err := c.Release(t.Context(), false); err == nil || errors.Is(err, host.ErrBusy) {
		t.Fatalf("got %v", err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Driver().RecoverTask(t.Context(), &handle); err != nil {
		t.Fatal(err)
	}
	f.endOf("t1") <- &driver.ExitResult{ExitCode: 6}
	if exit, err := c.Driver().WaitTask(t.Context(), "t1"); err != nil || exit.ExitCode != 6 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func TestDriversWithoutHandOverDoNotOfferIt(t *testing.T) {
	c := plugintest.Serve(t, driver.New(info(), newFake()))
	if _, err := c.Release(t.Context(), false); !errors.Is(err, host.ErrUnimplemented) {
		t.Errorf("got %v", err)
	}
}
