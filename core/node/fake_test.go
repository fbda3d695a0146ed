package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/node/network"
	"github.com/droverhq/drover/core/node/taskrunner"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/device"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	sdknetwork "github.com/droverhq/drover/sdk/network"
	"github.com/droverhq/drover/sdk/schema"
)

// world is a machine's runtime: tasks in it live on when plugin and agent die. It is the plugin host too.
type world struct {
	nets       fakeNetworks
	mu         sync.Mutex
	tasks      map[string]*fakeTask // by task id
	started    int
	stops      []string // task names in the order they were asked to stop
	proc       *fakeProc
	generation uint64
	changed    chan struct{}
	events     chan *model.NodeEvent
	recovered  atomic.Int32 // calls of Recovered
	down       bool         // no process can be had
	startErr   func(*driver.TaskConfig) error
	onStart    func(*driver.TaskConfig) error // called while the task is being started
	onDestroy  func() bool                    // called before a task is destroyed; false: the process died
	emit       map[string]chan driver.TaskEvent
	destroyed  []string
	healthy    bool
	refused    int // calls while down
	stopErrs   int // how many StopTask calls fail

	devices     []*model.NodeDevice // replaced, never changed
	deviceCalls []string
}

type fakeTask struct {
	config   driver.TaskConfig
	done     chan struct{}
	result   driver.ExitResult
	at       time.Time
	once     sync.Once
	stubborn bool // ignores StopTask
}

func (t *fakeTask) exit(code int) {
	t.once.Do(func() {
		t.result, t.at = driver.ExitResult{ExitCode: code}, time.Now()
		close(t.done)
	})
}

// fakeNetworks is a network plugin that only remembers.
type fakeNetworks struct {
	mu     sync.Mutex
	have   map[string]*sdknetwork.Allocation
	broken string        // why nothing can be set up
	latest uint64        // revision of the last call
	wanted []string      // of the last reconciliation
	hold   chan struct{} // setups wait for it
	setups int
}

func (f *fakeNetworks) Name() string { return "fakenet" }
func (f *fakeNetworks) Pid() int     { return 1 }

func (f *fakeNetworks) Setup(ctx context.Context, a *sdknetwork.Allocation, revision uint64) (*sdknetwork.Status, error) {
	f.mu.Lock()
	hold := f.hold
	f.setups++
	f.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = revision
	if f.broken != "" {
		return nil, errors.New(f.broken)
	}
	if f.have == nil {
		f.have = map[string]*sdknetwork.Allocation{}
	}
	f.have[a.ID] = a
	return &sdknetwork.Status{AllocID: a.ID, NamespacePath: "/ns/" + a.ID, Healthy: true,
		Interfaces: []sdknetwork.Interface{{Name: "eth0", Mode: "fake", Addresses: []string{"fd00::7/64", "192.0.2.7/24"}}}}, nil
}

func (f *fakeNetworks) Teardown(_ context.Context, r *sdknetwork.TeardownRequest, revision uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = revision
	delete(f.have, r.AllocID)
	return nil
}

func (f *fakeNetworks) Reconcile(_ context.Context, wanted []*sdknetwork.Allocation, revision uint64) ([]sdknetwork.Outcome, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest, f.wanted = revision, nil
	for _, a := range wanted {
		f.wanted = append(f.wanted, a.ID)
	}
	return nil, nil
}

func (f *fakeNetworks) asked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.setups > 0
}

func (f *fakeNetworks) of(allocID string) *sdknetwork.Allocation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.have[allocID]
}

func newWorld() *world {
	w := &world{
		tasks: map[string]*fakeTask{}, changed: make(chan struct{}), events: make(chan *model.NodeEvent, 16),
		emit: map[string]chan driver.TaskEvent{}, generation: 1, healthy: true,
	}
	w.proc = w.newProc()
	return w
}

func (w *world) newProc() *fakeProc {
	return &fakeProc{w: w, gen: w.generation, gone: make(chan struct{}), known: map[string]bool{}}
}

// killPlugin ends the plugin's process; the next call finds a new one.
func (w *world) killPlugin() {
	w.mu.Lock()
	old := w.proc
	w.proc = w.newProc()
	w.mu.Unlock()
	close(old.gone)
}

func (w *world) running() []*fakeTask {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*fakeTask
	for _, t := range w.tasks {
		select {
		case <-t.done:
		default:
			out = append(out, t)
		}
	}
	return out
}

// task returns the running instance of a task by name.
func (w *world) task(name string) *fakeTask {
	for _, t := range w.running() {
		if t.config.Name == name {
			return t
		}
	}
	return nil
}

func (w *world) starts() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.started
}

func (w *world) DriverOf(ctx context.Context, name string, _ uint64) (taskrunner.Driver, error) {
	return w.Driver(ctx, name)
}

func (w *world) Driver(_ context.Context, name string) (taskrunner.Driver, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if name != "fake" {
		return nil, fmt.Errorf("no plugin offers driver %q", name)
	}
	if w.down {
		w.refused++
		return nil, errors.New("the plugin fails to start")
	}
	return w.proc, nil
}

func (w *world) Network(_ context.Context, mode string) (network.Plugin, error) {
	if mode != "fake" {
		return nil, fmt.Errorf("no plugin offers network mode %q", mode)
	}
	return &w.nets, nil
}

func (w *world) NetworkPlugin(context.Context, string) (network.Plugin, error) { return &w.nets, nil }

func (w *world) Networks() []network.Plugin { return []network.Plugin{&w.nets} }

func (w *world) Subscribe(allocID, task string) (<-chan driver.TaskEvent, func()) {
	c := make(chan driver.TaskEvent, 8)
	w.mu.Lock()
	defer w.mu.Unlock()
	key := allocID + "/" + task
	w.emit[key] = c
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.emit[key] == c {
			delete(w.emit, key)
		}
		close(c)
	}
}

func (w *world) Settled(context.Context) error   { return nil }
func (w *world) Events() <-chan *model.NodeEvent { return w.events }
func (w *world) Recovered()                      { w.recovered.Add(1) }
func (w *world) Logs(_ context.Context, _ string, _ bool, fn func([]byte) error) error {
	return fn([]byte("a line"))
}

func (w *world) Measured() []*model.PluginInfo {
	p, _ := w.Plugins()
	return p.Plugins
}

func (w *world) Plugins() (*Plugins, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &Plugins{
		Drivers:    map[string]*model.DriverInfo{"fake": {Detected: true, Healthy: w.healthy, UpdateTime: time.Now()}},
		Devices:    w.devices,
		Plugins:    []*model.PluginInfo{{Name: "fake", Type: "driver", State: "ready", TaskCount: len(w.tasks)}},
		Attributes: map[string]string{"driver.fake": "1", "kernel.name": "what a plugin says"},
	}, w.changed
}

func (w *world) ReserveDevices(_ context.Context, d *model.AllocatedDevice) (*device.Reservation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var have []string
	for _, n := range w.devices {
		for _, i := range n.Instances {
			if n.ID() == d.ID() && i.Healthy {
				have = append(have, i.ID)
			}
		}
	}
	res := &device.Reservation{Env: map[string]string{"DEVICES": strings.Join(d.DeviceIDs, ",")}}
	for _, id := range d.DeviceIDs {
		if !slices.Contains(have, id) {
			return nil, fmt.Errorf("%w: no %s", taskrunner.ErrNoDevice, id)
		}
		res.Devices = append(res.Devices, device.Node{TaskPath: "/dev/" + id, HostPath: "/dev/" + id, Permissions: "rw"})
	}
	w.deviceCalls = append(w.deviceCalls, "reserve "+strings.Join(d.DeviceIDs, ","))
	return res, nil
}

func (w *world) ReleaseDevices(_ context.Context, d *model.AllocatedDevice) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deviceCalls = append(w.deviceCalls, "release "+strings.Join(d.DeviceIDs, ","))
	return nil
}

func (w *world) DevicesChanged() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *world) DeviceStats() []device.GroupStats {
	used := int64(42)
	return []device.GroupStats{{Vendor: "acme", Type: "gpu", Name: "m1", Instances: map[string]device.Stats{
		"g0": {Summary: device.Stat{Int: &used}}, "g1": {Summary: device.Stat{Int: &used}},
	}}}
}

// list replaces the devices of the machine; those whose id begins with "!" are broken.
func (w *world) list(ids ...string) {
	d := &model.NodeDevice{Vendor: "acme", Type: "gpu", Name: "m1"}
	for _, id := range ids {
		i := &model.NodeDeviceInstance{ID: strings.TrimPrefix(id, "!"), Healthy: id[0] != '!'}
		if !i.Healthy {
			i.HealthDescription = "too hot"
		}
		d.Instances = append(d.Instances, i)
	}
	w.mu.Lock()
	w.devices = nil
	if len(ids) > 0 {
		w.devices = []*model.NodeDevice{d}
	}
	w.mu.Unlock()
	w.notify()
}

// say sends a driver's event about a task.
func (w *world) say(allocID, task, message string) {
	w.mu.Lock()
	c := w.emit[allocID+"/"+task]
	w.mu.Unlock()
	c <- driver.TaskEvent{AllocID: allocID, TaskName: task, Timestamp: time.Now(), Message: message}
}

func (w *world) set(fn func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn(w)
}

func (w *world) setHealthy(ok bool) {
	w.set(func(w *world) { w.healthy = ok })
	w.notify()
}

// notify wakes those who watch the plugins.
func (w *world) notify() {
	w.mu.Lock()
	old := w.changed
	w.changed = make(chan struct{})
	w.mu.Unlock()
	close(old)
}

// fakeProc is one process of the plugin.
type fakeProc struct {
	w     *world
	gen   uint64
	gone  chan struct{}
	known map[string]bool // guarded by w.mu
}

func (p *fakeProc) dead() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}

// find returns a task this process knows.
func (p *fakeProc) find(id string) (*fakeTask, error) {
	if p.dead() {
		return nil, host.ErrPluginDown
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	t := p.w.tasks[id]
	if t == nil || !p.known[id] {
		return nil, host.ErrTaskNotFound
	}
	return t, nil
}

func (p *fakeProc) Generation() uint64    { return p.gen }
func (p *fakeProc) Done() <-chan struct{} { return p.gone }
func (p *fakeProc) Capabilities() driver.Capabilities {
	return driver.Capabilities{SendSignals: true, Exec: true}
}

func (p *fakeProc) EncodeTaskConfig(config map[string]any, vars *schema.Variables) ([]byte, error) {
	if bad, ok := config["bad"]; ok {
		return nil, fmt.Errorf("no argument is named %q", bad)
	}
	return []byte(fmt.Sprint(config["code"])), nil
}

func (p *fakeProc) StartTask(_ context.Context, tc *driver.TaskConfig) (*host.StartResult, error) {
	p.w.mu.Lock()
	hook, fail := p.w.onStart, p.w.startErr
	p.w.mu.Unlock()
	if fail != nil {
		if err := fail(tc); err != nil {
			return nil, err
		}
	}
	p.w.mu.Lock()
	if p.w.tasks[tc.ID] == nil { // what a process before this one began is found, not begun again
		p.w.tasks[tc.ID] = &fakeTask{config: *tc, done: make(chan struct{})}
		p.w.started++
	}
	p.known[tc.ID] = true
	p.w.mu.Unlock()
	if hook != nil {
		if err := hook(tc); err != nil {
			return nil, err
		}
	}
	if p.dead() {
		return nil, host.ErrPluginDown
	}
	return &host.StartResult{Handle: driver.TaskHandle{Version: 1, Config: *tc, DriverState: []byte(tc.ID)}}, nil
}

func (p *fakeProc) RecoverTask(_ context.Context, h *driver.TaskHandle) error {
	if p.dead() {
		return host.ErrPluginDown
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.w.tasks[h.Config.ID] == nil || string(h.DriverState) != h.Config.ID {
		return errors.New("nothing is left of the task")
	}
	p.known[h.Config.ID] = true
	return nil
}

func (p *fakeProc) WaitTask(ctx context.Context, id string) (*driver.ExitResult, error) {
	t, err := p.find(id)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.done:
		r := t.result
		return &r, nil
	case <-p.gone:
		return nil, host.ErrPluginDown
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *fakeProc) StopTask(_ context.Context, id string, _ time.Duration, _ string) error {
	t, err := p.find(id)
	if err != nil {
		return err
	}
	p.w.mu.Lock()
	p.w.stops = append(p.w.stops, t.config.Name)
	fail := p.w.stopErrs > 0
	p.w.stopErrs--
	p.w.mu.Unlock()
	if fail {
		return errors.New("the runtime is busy")
	}
	if !t.stubborn {
		t.exit(143)
	}
	return nil
}

func (p *fakeProc) DestroyTask(_ context.Context, id string, _ bool) error {
	if p.dead() {
		return host.ErrPluginDown
	}
	p.w.mu.Lock()
	hook := p.w.onDestroy
	p.w.mu.Unlock()
	if hook != nil && !hook() {
		return host.ErrPluginDown
	}
	t, err := p.find(id)
	if err != nil {
		return err
	}
	p.w.mu.Lock()
	delete(p.w.tasks, id)
	p.w.destroyed = append(p.w.destroyed, id)
	p.w.mu.Unlock()
	t.exit(137)
	return nil
}

func (p *fakeProc) InspectTask(_ context.Context, id string) (*driver.TaskStatus, error) {
	t, err := p.find(id)
	if err != nil {
		return nil, err
	}
	return &driver.TaskStatus{ID: id, CompletedAt: t.at}, nil
}

func (p *fakeProc) SignalTask(_ context.Context, id, signal string) error {
	t, err := p.find(id)
	if err == nil && signal == "SIGUSR1" {
		t.exit(10)
	}
	return err
}

func (p *fakeProc) Stats(_ context.Context, id string, _ time.Duration, fn func(driver.TaskStats) error) error {
	if _, err := p.find(id); err != nil {
		return err
	}
	return fn(driver.TaskStats{Usage: driver.ResourceUsage{Memory: driver.MemoryUsage{RSS: 1000, Measured: []driver.MemoryField{driver.MemoryRSS}}}})
}

func (p *fakeProc) ExecTaskStreaming(_ context.Context, req *driver.ExecRequest) (*driver.ExitResult, error) {
	if _, err := p.find(req.TaskID); err != nil {
		return nil, err
	}
	in, err := io.ReadAll(req.Stdin)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(req.Stdout, "%v %s", req.Command, in)
	return &driver.ExitResult{ExitCode: 3}, nil
}

// fakeLogs is a collector that only remembers what is open.
type fakeLogs struct {
	mu   sync.Mutex
	open map[string]bool
	fail error
}

func newLogs() *fakeLogs { return &fakeLogs{open: map[string]bool{}} }

func (l *fakeLogs) OpenStream(_ context.Context, s tasklog.Stream) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[s.ID] = true
	return l.fail
}

func (l *fakeLogs) CloseStream(_ context.Context, id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
	return nil
}

func (l *fakeLogs) Update(context.Context, string, tasklog.Limits) error { return nil }

func (l *fakeLogs) left() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// eventually waits for what another goroutine does; what says so when it never comes.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
