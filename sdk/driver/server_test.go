package driver_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/plugintest"
)

func info() driver.Info {
	return driver.Info{Name: "fake", Version: "1.2.3", FSIsolation: driver.FSChroot, NoMounts: true}
}

func TestCapabilitiesAreDerived(t *testing.T) {
	tests := map[string]struct {
		plugin plugin.Plugin
		want   driver.Capabilities
	}{
		"only what is required": {driver.New(info(), newFake()), driver.Capabilities{FSIsolation: driver.FSChroot, NoMounts: true}},
		"everything": {driver.New(info(), able{newFake()}), driver.Capabilities{
			FSIsolation: driver.FSChroot, NoMounts: true, SendSignals: true, Exec: true, MustCreateNetwork: true,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := plugintest.Driver(t, test.plugin, nil).Capabilities(t.Context())
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestWaitIsSharedAndRepeatable(t *testing.T) {
	f := newFake()
	r := plugintest.Listen(t, driver.New(info(), f))
	first, second := plugintest.Connect(t, r).Driver(), plugintest.Connect(t, r).Driver()
	start(t, first, "t1")
	var wg sync.WaitGroup
	results := make([]*driver.ExitResult, 10)
	for i := range results {
		d := []*host.Driver{first, second}[i%2]
		wg.Go(func() { results[i], _ = d.WaitTask(t.Context(), "t1") })
	}
	want := driver.ExitResult{ExitCode: 137, OOMKilled: true}
	f.endOf("t1") <- &want
	wg.Wait()
	again, err := second.WaitTask(t.Context(), "t1")
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range append(results, again) {
		if got == nil || *got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if n := f.count("wait t1"); n != 1 {
		t.Errorf("the driver's Wait was called %d times, want once", n)
	}
}

func TestWaitTellsWhenTheEndIsNotUnderstood(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	start(t, d, "t1")
	f.endOf("t1") <- nil
	exit, err := d.WaitTask(t.Context(), "t1")
	if err != nil || exit.Err != "cannot tell how it ended" || exit.Successful() {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// TestTextsOfErrors pins the texts that hosts know (plugin protocol, 12.2).
func TestTextsOfErrors(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	start(t, d, "running")
	ctx := t.Context()
	tests := map[string]struct {
		err   error
		text  string
		class error
	}{
		"wait for an unknown task":    {errorOf(d.WaitTask(ctx, "nope")), "task not found for given id", host.ErrTaskNotFound},
		"stop an unknown task":        {d.StopTask(ctx, "nope", 0, ""), "task not found for given id", host.ErrTaskNotFound},
		"destroy an unknown task":     {d.DestroyTask(ctx, "nope", true), "task not found for given id", host.ErrTaskNotFound},
		"inspect an unknown task":     {errorOf(d.InspectTask(ctx, "nope")), "task not found for given id", host.ErrTaskNotFound},
		"destroy a running task":      {d.DestroyTask(ctx, "running", false), "cannot destroy running task", driver.ErrTaskRunning},
		"start it again":              {errorOf(d.StartTask(ctx, newTask(t, d, "running", nil))), `task with ID "running" already started`, nil},
		"signal, unsupported":         {d.SignalTask(ctx, "running", "SIGHUP"), "SignalTask is not supported by this driver", driver.ErrSignalNotSupported},
		"exec, unsupported":           {errorOf(d.ExecTask(ctx, "running", []string{"x"}, time.Second)), "ExecTask is not supported by this driver", nil},
		"streaming exec, unsupported": {errorOf(d.ExecTaskStreaming(ctx, &driver.ExecRequest{TaskID: "running", Command: []string{"x"}})), "driver does not support exec", driver.ErrExecNotSupported},
		"network, unsupported":        {errorOf(d.CreateNetwork(ctx, &driver.CreateNetworkRequest{AllocID: "a"})), "CreateNetwork RPC not supported by driver", nil},
		"no network, unsupported":     {d.DestroyNetwork(ctx, &driver.DestroyNetworkRequest{AllocID: "a"}), "DestroyNetwork RPC not supported by driver", nil},
		"stats, unsupported":          {d.Stats(ctx, "running", time.Second, nil), "stats not implemented for driver", driver.ErrStatsNotSupported},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.err == nil || !strings.HasSuffix(test.err.Error(), ": "+test.text) {
				t.Errorf("got %v, want an error that ends with %q", test.err, test.text)
			}
			if test.class != nil && !errors.Is(test.err, test.class) {
				t.Errorf("%v is not a %v", test.err, test.class)
			}
		})
	}
	var marked *driver.RecoverableError
	if err := tests["stats, unsupported"].err; !errors.As(err, &marked) || marked.Recoverable {
		t.Errorf("missing statistics must be marked as final, got %v", err)
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestStopOfAnEndedTaskSucceeds(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	start(t, d, "t1")
	f.endOf("t1") <- &driver.ExitResult{}
	if _, err := d.WaitTask(t.Context(), "t1"); err != nil {
		t.Fatal(err)
	}
	if err := d.StopTask(t.Context(), "t1", time.Second, "SIGTERM"); err != nil {
		t.Error(err)
	}
	if n := f.count("stop t1 1s SIGTERM"); n != 0 {
		t.Error("the driver was asked to stop a task that has ended")
	}
	// Stop does not forget: the result is there until Destroy.
	if _, err := d.WaitTask(t.Context(), "t1"); err != nil {
		t.Error(err)
	}
	if err := d.DestroyTask(t.Context(), "t1", false); err != nil {
		t.Errorf("destroy of an ended task without force: %v", err)
	}
}

func TestDestroyWithForceAnswersThoseWhoWait(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	start(t, d, "t1")
	waited := make(chan *driver.ExitResult, 1)
	go func() {
		exit, _ := d.WaitTask(t.Context(), "t1")
		waited <- exit
	}()
	if err := d.DestroyTask(t.Context(), "t1", true); err != nil {
		t.Fatal(err)
	}
	if exit := <-waited; exit != nil && exit.Signal != 9 { // nil: it asked after the task was gone
		t.Errorf("got %+v", exit)
	}
	if err := d.DestroyTask(t.Context(), "t1", true); !errors.Is(err, host.ErrTaskNotFound) {
		t.Errorf("second destroy: got %v", err)
	}
}

func TestRecoverFromTheHandleAlone(t *testing.T) {
	started := start(t, plugintest.Driver(t, driver.New(info(), able{newFake()}), nil), "t1")
	if started.Handle.Version != 7 || started.Handle.State != driver.TaskRunning {
		t.Errorf("got handle %+v", started.Handle)
	}

	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	var wg sync.WaitGroup
	for range 5 { // at the same time and repeatedly
		wg.Go(func() {
			if err := d.RecoverTask(t.Context(), &started.Handle); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.count("recover t1"); n != 1 {
		t.Errorf("the driver's Recover was called %d times, want once", n)
	}
	got := f.recovered
	if got.Config != (fakeConfig{Command: "c", Count: 2}) || got.State.Handle != "h-t1" || !got.State.Started.Equal(time.Unix(1, 2)) || got.StateVersion != 7 {
		t.Errorf("got %+v", got)
	}
	if !reflect.DeepEqual(got.RawState, started.Handle.DriverState) || !reflect.DeepEqual(*got.Task, started.Handle.Config) {
		t.Error("the handle did not come back as it was stored")
	}
	f.endOf("t1") <- &driver.ExitResult{ExitCode: 9}
	if exit, err := d.WaitTask(t.Context(), "t1"); err != nil || exit.ExitCode != 9 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

func TestStateOfAnotherVersionKeepsWhatBothKnow(t *testing.T) {
	type newer struct {
		Handle string
		Extra  []string
	}
	d := plugintest.Driver(t, driver.New(info(), otherState[newer]{state: newer{Handle: "h", Extra: []string{"x"}}}), nil)
	started := start(t, d, "t1")
	f := newFake()
	older := plugintest.Driver(t, driver.New(info(), f), nil)
	if err := older.RecoverTask(t.Context(), &started.Handle); err != nil {
		t.Fatal(err)
	}
	if f.recovered.State.Handle != "h" {
		t.Errorf("got %+v", f.recovered.State)
	}
}

// otherState is a driver with a state type of its own.
type otherState[S any] struct{ state S }

func (o otherState[S]) Fingerprint(context.Context) (*driver.Fingerprint, error) { return nil, nil }
func (o otherState[S]) Start(context.Context, *driver.StartRequest[fakeConfig]) (*driver.StartResponse[S], error) {
	return &driver.StartResponse[S]{State: o.state}, nil
}
func (o otherState[S]) Recover(context.Context, *driver.RecoverRequest[fakeConfig, S]) error {
	return nil
}
func (o otherState[S]) Wait(ctx context.Context, _ string) (*driver.ExitResult, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
func (o otherState[S]) Stop(context.Context, *driver.StopRequest) error       { return nil }
func (o otherState[S]) Destroy(context.Context, *driver.DestroyRequest) error { return nil }

// TestUnansweredStartIsUndone: nobody would know of the task.
func TestUnansweredStartIsUndone(t *testing.T) {
	f := newFake()
	f.startGate = make(chan struct{})
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := d.StartTask(ctx, newTask(t, d, "t1", nil))
		done <- err
	}()
	f.await("start t1  2")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// The server learns of the cancellation by a frame of its own; a call after it on the same connection is behind it.
	if _, err := d.Capabilities(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(f.startGate)
	f.await("destroy t1 true")
	f.startGate = nil
	start(t, d, "t1") // the id is free again
}

func TestStartErrorsCarryTheirMark(t *testing.T) {
	tests := map[string]struct {
		err         error
		recoverable bool
	}{
		"plain":         {errors.New("bad"), false},
		"recoverable":   {driver.Recoverable(errors.New("bad")), true},
		"unrecoverable": {driver.Unrecoverable(errors.New("bad")), false},
		"wrapped":       {errors.Join(errors.New("pull"), driver.Recoverable(errors.New("bad"))), true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.startErr = test.err
			d := plugintest.Driver(t, driver.New(info(), f), nil)
			_, err := d.StartTask(t.Context(), newTask(t, d, "t1", nil))
			if err == nil || driver.IsRecoverable(err) != test.recoverable || !strings.Contains(err.Error(), "bad") {
				t.Errorf("got %v, recoverable %t", err, driver.IsRecoverable(err))
			}
		})
	}
}

func TestConfigIsCheckedBeforeStart(t *testing.T) {
	f := newFake()
	c := plugintest.Serve(t, driver.New(info(), able{f}))
	d := c.Driver()
	task := newTask(t, d, "t1", map[string]any{"count": 101})
	if _, err := d.StartTask(t.Context(), task); err == nil || !strings.Contains(err.Error(), "count: Too many") {
		t.Errorf("got %v", err)
	}
	diags, err := c.CheckTaskConfig(t.Context(), task.DriverConfig)
	if err != nil || len(diags) != 1 || diags[0].Path != "count" {
		t.Errorf("got %v, %v", diags, err)
	}
	ext, err := c.Negotiate(t.Context(), plugin.HostInfo{Name: "test", DevMode: true})
	if err != nil || !ext.Has(plugin.ExtensionConfigCheck) || ext.Has(plugin.ExtensionHandOver) || ext.StateVersion != 7 {
		t.Errorf("got %+v, %v", ext, err)
	}
}

func TestInspectIsComplete(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	start(t, d, "a/web")
	running, err := d.InspectTask(t.Context(), "a/web")
	if err != nil || running.State != driver.TaskRunning || running.StartedAt.IsZero() || !running.CompletedAt.IsZero() || running.Exit != nil || running.Name != "web" {
		t.Errorf("got %+v, %v", running, err)
	}
	f.endOf("a/web") <- &driver.ExitResult{ExitCode: 2}
	if _, err := d.WaitTask(t.Context(), "a/web"); err != nil {
		t.Fatal(err)
	}
	ended, err := d.InspectTask(t.Context(), "a/web")
	if err != nil || ended.State != driver.TaskExited || ended.CompletedAt.IsZero() || ended.Exit == nil || ended.Exit.ExitCode != 2 {
		t.Errorf("got %+v, %v", ended, err)
	}
}

// inspecting is a driver that knows more about times than the SDK.
type inspecting struct {
	*fake
	more driver.Inspection
}

func (i inspecting) Inspect(context.Context, string) (*driver.Inspection, error) { return &i.more, nil }

// TestInspectPrefersTheDriversTimes: after a recovery the SDK knows only when it learned of things.
func TestInspectPrefersTheDriversTimes(t *testing.T) {
	f := newFake()
	began, ended := time.Unix(1000, 0).UTC(), time.Unix(2000, 0).UTC()
	d := plugintest.Driver(t, driver.New(info(), inspecting{f, driver.Inspection{StartedAt: began, CompletedAt: ended}}), nil)
	start(t, d, "a/web")
	running, err := d.InspectTask(t.Context(), "a/web")
	if err != nil || !running.StartedAt.Equal(began) || !running.CompletedAt.IsZero() {
		t.Errorf("got %+v, %v", running, err)
	}
	f.endOf("a/web") <- &driver.ExitResult{}
	if _, err := d.WaitTask(t.Context(), "a/web"); err != nil {
		t.Fatal(err)
	}
	done, err := d.InspectTask(t.Context(), "a/web")
	if err != nil || !done.StartedAt.Equal(began) || !done.CompletedAt.Equal(ended) {
		t.Errorf("got %+v, %v", done, err)
	}
}

func TestNetwork(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	got, err := d.CreateNetwork(t.Context(), &driver.CreateNetworkRequest{AllocID: "a", Hostname: "h"})
	want := &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: "/ns/a", Labels: map[string]string{"h": "h"}}
	if err != nil || !got.Created || !reflect.DeepEqual(got.Network, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := d.DestroyNetwork(t.Context(), &driver.DestroyNetworkRequest{AllocID: "a"}); err != nil || f.count("destroy network a false") != 1 {
		t.Error(err)
	}
}

// TestPluginOutlivesItsHost: a host goes without a word and another takes over.
func TestPluginOutlivesItsHost(t *testing.T) {
	f := newFake()
	r := plugintest.Listen(t, driver.New(info(), f))
	first := plugintest.Connect(t, r)
	start(t, first.Driver(), "t1")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	secondHost := plugintest.Connect(t, r).Driver()
	f.endOf("t1") <- &driver.ExitResult{ExitCode: 4}
	if exit, err := secondHost.WaitTask(t.Context(), "t1"); err != nil || exit.ExitCode != 4 {
		t.Errorf("got %+v, %v", exit, err)
	}
}

// TestSignalsArePassedUnchecked: drivers define names of their own (plugin protocol, trap 27).
func TestSignalsArePassedUnchecked(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	start(t, d, "t1")
	if err := d.SignalTask(t.Context(), "t1", "RECYCLE"); err != nil || f.count("signal t1 RECYCLE") != 1 {
		t.Errorf("got %v", err)
	}
	if err := d.SignalTask(t.Context(), "nope", "SIGHUP"); !errors.Is(err, host.ErrTaskNotFound) {
		t.Errorf("got %v", err)
	}
}

// TestLargeTask: a plugin of this SDK takes more than the 4 MiB that gRPC allows by default, and hands it back.
func TestLargeTask(t *testing.T) {
	d := plugintest.Driver(t, driver.New(info(), newFake()), nil)
	task := newTask(t, d, "t1", nil)
	task.Env = map[string]string{"BIG": strings.Repeat("x", 5<<20)}
	started, err := d.StartTask(t.Context(), task)
	if err != nil || len(started.Handle.Config.Env["BIG"]) != 5<<20 {
		t.Errorf("got %v", err)
	}
}
