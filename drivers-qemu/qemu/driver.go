// Package qemu is the qemu task driver: it runs virtual machines. A machine's
// serial console is the task's log; the machine outlives the plugin and the
// agent, and is asked to shut down through QEMU's machine protocol.
package qemu

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/tasks"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// Name is what jobs call the driver.
const Name = "qemu"

// Driver runs virtual machines. Unlike other drivers on the executor it offers
// neither signals nor commands inside: QEMU's process is not the guest.
type Driver struct {
	processes *tasks.Table
	log       hclog.Logger
	versions  versions
	kvm       prober

	mu     sync.Mutex
	config pluginConfig
	vms    map[string]*vm
}

var (
	_ driver.Driver[taskConfig, executor.State] = (*Driver)(nil)
	_ driver.WithConfig                         = (*Driver)(nil)
	_ driver.WithConfigCheck[taskConfig]        = (*Driver)(nil)
	_ driver.WithFingerprintTrigger             = (*Driver)(nil)
	_ driver.WithInit                           = (*Driver)(nil)
	_ driver.WithShutdown                       = (*Driver)(nil)
	_ driver.WithStats                          = (*Driver)(nil)
	_ driver.WithInspect                        = (*Driver)(nil)
	_ driver.WithHandOver                       = (*Driver)(nil)
)

// vm is a machine as the driver follows it.
type vm struct {
	dir      string // where its sockets are
	graceful bool
	network  *driver.NetworkOverride
	seed     bool // nocloud was given
}

// New makes the driver. keeper is the command of its keeper; nil is this
// program's own.
func New(logger hclog.Logger, keeper []string) *Driver {
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	sup := executor.New(executor.Config{Driver: Name, KeeperCommand: keeper, Logger: logger})
	return &Driver{
		processes: tasks.New(sup), log: logger,
		versions: versions{ask: askVersion}, kvm: prober{run: probe, done: make(chan struct{}, 1)},
		vms: map[string]*vm{},
	}
}

// Plugin makes what [plugin.Serve] serves.
func Plugin(d *Driver, version string) plugin.Plugin {
	return driver.New(driver.Info{
		Name: Name, Version: version,
		FSIsolation:  driver.FSNone,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup},
		NoMounts:     true,
	}, d)
}

// Config takes the plugin block.
func (d *Driver) Config() driver.ConfigHandler { return driver.Configure(d.configure) }

func (d *Driver) configure(_ context.Context, c *driver.Configuration[pluginConfig]) error {
	if err := check(c.Config); err != nil || c.Node == nil {
		return err
	}
	d.processes.Configure(c.Node)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config = c.Config
	return nil
}

func (d *Driver) configured() pluginConfig {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// Fingerprint reports the emulators that are installed and allowed. They are
// started only when they are met for the first time or were replaced.
func (d *Driver) Fingerprint(ctx context.Context) (*driver.Fingerprint, error) {
	all := findEmulators()
	list := permitted(all, d.configured().EmulatorsAllowlist)
	switch {
	case len(all) == 0:
		return &driver.Fingerprint{Health: driver.Undetected, Description: errNoQEMU.Error()}, nil
	case len(list) == 0:
		return &driver.Fingerprint{Health: driver.Undetected, Description: "emulators_allowlist allows none of the emulators on this node"}, nil
	}
	version, err := d.versions.of(ctx, list[0])
	if err != nil {
		return nil, err
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name
	}
	f := &driver.Fingerprint{
		Health: driver.Healthy,
		Attributes: map[string]attribute.Value{
			"driver." + Name:                   attribute.Truth(true),
			"driver." + Name + ".version":      attribute.Text(version),
			"driver." + Name + ".emulators":    attribute.Text(strings.Join(names, ",")),
			"driver." + Name + ".accelerators": attribute.Text("tcg"),
		},
	}
	native, err := pick(list, hostEmulator())
	if err == nil {
		err = d.kvm.learn(native)
	}
	if err != nil {
		f.Description = "Healthy; guests are emulated in software: " + err.Error()
		return f, nil
	}
	f.Attributes["driver."+Name+".accelerators"] = attribute.Text("kvm,tcg")
	return f, nil
}

// FingerprintTrigger has the driver looked at again when it is known whether
// guests run in kvm.
func (d *Driver) FingerprintTrigger() <-chan struct{} { return d.kvm.done }

// Init lets the plugin shrink when it is idle.
func (d *Driver) Init(ctx context.Context) error { return d.processes.Init(ctx) }

// Shutdown lets go of the keeper. Machines run on.
func (d *Driver) Shutdown(ctx context.Context) error { return d.processes.Shutdown(ctx) }

// Release lets a newer version of the plugin take the machine over.
func (d *Driver) Release(ctx context.Context, id string) error { return d.processes.Release(ctx, id) }

// Recover finds a machine again.
func (d *Driver) Recover(ctx context.Context, req *driver.RecoverRequest[taskConfig, executor.State]) error {
	env, err := executor.Environ(req.Task.Env)
	if err != nil {
		return err
	}
	if err := d.processes.Adopt(ctx, req.State, env, req.Emit); err != nil {
		return err
	}
	d.enter(req.Task, &req.Config)
	return nil
}

// enter remembers a machine that runs.
func (d *Driver) enter(task *driver.TaskConfig, c *taskConfig) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.vms[task.ID] = &vm{dir: task.TaskDir(), graceful: c.GracefulShutdown, network: override(c.PortMap), seed: c.NoCloud != nil}
}

func (d *Driver) vm(id string) (*vm, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if v := d.vms[id]; v != nil {
		return v, nil
	}
	return nil, driver.ErrTaskNotFound
}

// Wait blocks until the machine has ended.
func (d *Driver) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	return d.processes.Wait(ctx, id)
}

// Stats measures QEMU's process.
func (d *Driver) Stats(ctx context.Context, id string) (*driver.TaskStats, error) {
	return d.processes.Stats(ctx, id)
}

// Inspect tells what the machine does, as QEMU sees it.
func (d *Driver) Inspect(ctx context.Context, id string) (*driver.Inspection, error) {
	v, err := d.vm(id)
	if err != nil {
		return nil, err
	}
	i, err := d.processes.Inspect(ctx, id)
	if err != nil {
		return nil, err
	}
	i.Network = v.network
	if m, err := dialMonitor(ctx, v.dir); err == nil {
		defer m.close()
		if status, err := m.status(ctx); err == nil {
			i.Attributes["vm_status"] = status
		}
	}
	return i, nil
}

// Destroy forgets the machine and removes its process, sockets and seed. Its
// images are the job's.
func (d *Driver) Destroy(ctx context.Context, req *driver.DestroyRequest) error {
	v, err := d.vm(req.TaskID)
	if err != nil {
		return err
	}
	if err := d.processes.Destroy(ctx, req); err != nil {
		return err
	}
	if err := tidy(v.dir, v.seed); err != nil {
		return fmt.Errorf("clean up after task %s: %w", req.TaskID, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.vms, req.TaskID)
	return nil
}
