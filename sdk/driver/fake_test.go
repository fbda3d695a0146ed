package driver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/schema"
)

// fake is a driver whose every step a test decides and sees.
type fake struct {
	mu        sync.Mutex
	calls     []string
	called    *sync.Cond
	ends      map[string]chan *driver.ExitResult
	startErr  error
	startGate chan struct{} // Start waits for it if it is set
	stats     func() (*driver.TaskStats, error)
	health    driver.Health
	fpErr     error
	trigger   chan struct{}
	recovered *driver.RecoverRequest[fakeConfig, fakeState]
	emit      driver.EmitFunc
	exec      func(context.Context, *driver.ExecRequest) (*driver.ExitResult, error)
}

type fakeConfig struct {
	Command string `config:"command"`
	Count   int    `config:"count" default:"2"`
}

type fakeState struct {
	Handle  string
	Started time.Time
}

func newFake() *fake {
	f := &fake{ends: map[string]chan *driver.ExitResult{}, health: driver.Healthy, trigger: make(chan struct{}, 1)}
	f.called = sync.NewCond(&f.mu)
	return f
}

func (f *fake) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	f.called.Broadcast()
}

// await blocks until the call was made.
func (f *fake) await(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !slices.Contains(f.calls, call) {
		f.called.Wait()
	}
}

func (f *fake) count(call string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

func (f *fake) endOf(id string) chan *driver.ExitResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ends[id] == nil {
		f.ends[id] = make(chan *driver.ExitResult, 1)
	}
	return f.ends[id]
}

func (f *fake) setHealth(h driver.Health, err error) {
	f.mu.Lock()
	f.health, f.fpErr = h, err
	f.mu.Unlock()
	f.trigger <- struct{}{}
}

func (f *fake) FingerprintTrigger() <-chan struct{} { return f.trigger }

func (f *fake) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &driver.Fingerprint{Health: f.health}, f.fpErr
}

func (f *fake) Start(ctx context.Context, r *driver.StartRequest[fakeConfig]) (*driver.StartResponse[fakeState], error) {
	f.note("start %s %s %d", r.Task.ID, r.Config.Command, r.Config.Count)
	if f.startGate != nil {
		<-f.startGate
	}
	if f.startErr != nil {
		return nil, f.startErr
	}
	f.mu.Lock()
	f.emit = r.Emit
	f.mu.Unlock()
	return &driver.StartResponse[fakeState]{State: fakeState{Handle: "h-" + r.Task.ID, Started: time.Unix(1, 2)}}, nil
}

func (f *fake) Recover(_ context.Context, r *driver.RecoverRequest[fakeConfig, fakeState]) error {
	f.note("recover %s", r.Task.ID)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recovered = r
	return nil
}

func (f *fake) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	f.note("wait %s", id)
	select {
	case exit := <-f.endOf(id):
		if exit == nil {
			return nil, errors.New("cannot tell how it ended")
		}
		return exit, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fake) Stop(_ context.Context, r *driver.StopRequest) error {
	f.note("stop %s %s %s", r.TaskID, r.Timeout, r.Signal)
	f.endOf(r.TaskID) <- &driver.ExitResult{ExitCode: 143, Signal: 15}
	return nil
}

func (f *fake) Destroy(_ context.Context, r *driver.DestroyRequest) error {
	f.note("destroy %s %t", r.TaskID, r.Force)
	select {
	case f.endOf(r.TaskID) <- &driver.ExitResult{ExitCode: 137, Signal: 9}:
	default:
	}
	return nil
}

// able is a fake with the abilities that are optional.
type able struct{ *fake }

func (f able) Stats(context.Context, string) (*driver.TaskStats, error) { return f.stats() }

func (f able) Signal(_ context.Context, r *driver.SignalRequest) error {
	f.note("signal %s %s", r.TaskID, r.Signal)
	return nil
}

func (f able) Exec(ctx context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
	return f.exec(ctx, r)
}

func (f able) CreateNetwork(_ context.Context, r *driver.CreateNetworkRequest) (*driver.CreateNetworkResponse, error) {
	return &driver.CreateNetworkResponse{
		Network: &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: "/ns/" + r.AllocID, Labels: map[string]string{"h": r.Hostname}},
		Created: true,
	}, nil
}

func (f able) DestroyNetwork(_ context.Context, r *driver.DestroyNetworkRequest) error {
	f.note("destroy network %s %t", r.AllocID, r.Network != nil)
	return nil
}

func (f able) StateVersion() int { return 7 }

func (f able) CheckConfig(_ context.Context, c fakeConfig) schema.Diagnostics {
	if c.Count > 100 {
		return schema.Diagnostics{{Summary: "Too many", Path: "count"}}
	}
	return nil
}

// newTask is a task's config as a host sends it.
func newTask(t testing.TB, d *host.Driver, id string, config map[string]any) *driver.TaskConfig {
	t.Helper()
	spec, err := d.TaskConfigSchema(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := spec.Encode(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &driver.TaskConfig{ID: id, Name: path.Base(id), AllocID: "a1", AllocDir: "/alloc", DriverConfig: data}
}

func start(t testing.TB, d *host.Driver, id string) *host.StartResult {
	t.Helper()
	started, err := d.StartTask(t.Context(), newTask(t, d, id, map[string]any{"command": "c"}))
	if err != nil {
		t.Fatal(err)
	}
	return started
}

// stopped ends a stream from the receiving side.
var stopped = io.EOF
