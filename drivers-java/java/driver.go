// Package java is the java task driver: it runs a jar or a class in a Java
// virtual machine. On Linux, as root, the JVM is isolated as the exec driver
// isolates a program; elsewhere it is a plain process.
package java

import (
	"context"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/tasks"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// Name is what jobs call the driver.
const Name = "java"

// Driver runs Java programs.
type Driver struct {
	*tasks.Table
	jvm detector

	mu     sync.Mutex
	config config
}

var (
	_ driver.Driver[taskConfig, executor.State] = (*Driver)(nil)
	_ driver.WithConfig                         = (*Driver)(nil)
	_ driver.WithConfigCheck[taskConfig]        = (*Driver)(nil)
)

// New makes the driver. keeper is the command of its keeper; nil is this
// program's own.
func New(logger hclog.Logger, keeper []string) *Driver {
	sup := executor.New(executor.Config{Driver: Name, KeeperCommand: keeper, Logger: logger})
	d := &Driver{Table: tasks.New(sup), jvm: detector{find: findJava, ask: askVersion}}
	d.config = isolation.Defaults(check)
	return d
}

// Plugin makes what [plugin.Serve] serves.
func Plugin(d *Driver, version string) plugin.Plugin {
	info := driver.Info{
		Name: Name, Version: version,
		FSIsolation:  driver.FSNone,
		NoMounts:     true,
		NetworkModes: networkModes(),
	}
	if isolates() {
		info.FSIsolation, info.NoMounts = driver.FSChroot, false
	}
	return driver.New(info, d)
}

// Config takes the plugin block.
func (d *Driver) Config() driver.ConfigHandler { return driver.Configure(d.configure) }

func (d *Driver) configure(_ context.Context, c *driver.Configuration[pluginConfig]) error {
	checked, err := check(c.Config)
	if err != nil || c.Node == nil {
		return err
	}
	d.Configure(c.Node)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config = checked
	return nil
}

func (d *Driver) configured() config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// Fingerprint reports the JVM that tasks would run in. The JVM is started only
// when it is met for the first time or was replaced.
func (d *Driver) Fingerprint(ctx context.Context) (*driver.Fingerprint, error) {
	j, err := d.jvm.detect(ctx)
	if err != nil {
		return &driver.Fingerprint{Health: driver.Undetected, Description: err.Error()}, nil
	}
	f := &driver.Fingerprint{
		Health: driver.Healthy,
		Attributes: map[string]attribute.Value{
			"driver." + Name:              attribute.Truth(true),
			"driver." + Name + ".version": attribute.Text(j.Version),
			"driver." + Name + ".runtime": attribute.Text(j.Runtime),
			"driver." + Name + ".vm":      attribute.Text(j.VM),
		},
	}
	describe(f, d.configured())
	return f, nil
}

// Start runs the task's program.
func (d *Driver) Start(ctx context.Context, req *driver.StartRequest[taskConfig]) (*driver.StartResponse[executor.State], error) {
	j, err := d.jvm.detect(ctx)
	if err != nil {
		return nil, err
	}
	cmd, task, err := d.command(req, j)
	if err != nil {
		return nil, err
	}
	state, err := d.Table.Start(ctx, *cmd, req.Emit)
	if err != nil {
		return nil, err
	}
	return &driver.StartResponse[executor.State]{State: state, Task: task}, nil
}

// Recover finds the task's process again. Its environment is in the task's
// config as Start returned it.
func (d *Driver) Recover(ctx context.Context, req *driver.RecoverRequest[taskConfig, executor.State]) error {
	env, err := executor.Environ(req.Task.Env)
	if err != nil {
		return err
	}
	return d.Adopt(ctx, req.State, env, req.Emit)
}
