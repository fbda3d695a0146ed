// Package exec is the exec task driver: it runs a program in namespaces of its
// own, in a root put together from read-only mounts of the host's, with limits
// and few capabilities. It needs root and Linux.
package exec

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/drivers-exec/executor/sandbox"
	"github.com/droverhq/drover/drivers-exec/executor/tasks"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/schema"
)

// Name is what jobs call the driver.
const Name = "exec"

// Driver runs isolated programs.
type Driver struct {
	*tasks.Table

	mu     sync.Mutex
	config config
}

var (
	_ driver.Driver[taskConfig, executor.State] = (*Driver)(nil)
	_ driver.WithConfig                         = (*Driver)(nil)
)

// pluginConfig is the agent's plugin block.
type pluginConfig struct {
	NoPivotRoot    bool              `config:"no_pivot_root" default:"false"`
	DefaultPIDMode string            `config:"default_pid_mode" default:"private"`
	DefaultIPCMode string            `config:"default_ipc_mode" default:"private"`
	AllowCaps      []string          `config:"allow_caps"`
	DeniedHostUIDs string            `config:"denied_host_uids"`
	DeniedHostGIDs string            `config:"denied_host_gids"`
	ChrootEnv      map[string]string `config:"chroot_env"`
	// PIDsLimit bounds the processes and threads of each task; 0 = no limit.
	PIDsLimit int64 `config:"pids_limit" default:"16384"`
	// Seccomp filters tasks' system calls.
	Seccomp bool `config:"seccomp" default:"true"`
	// Landlock confines where tasks write, where the kernel has it.
	Landlock bool `config:"landlock" default:"true"`
}

// config is pluginConfig checked, with defaults.
type config struct {
	pluginConfig
	denied executor.Denied
	hidden *isolation.Hidden
}

// taskConfig is a task's config block.
type taskConfig struct {
	Command string   `config:"command,required"`
	Args    []string `config:"args"`
	PIDMode string   `config:"pid_mode"`
	IPCMode string   `config:"ipc_mode"`
	CapAdd  []string `config:"cap_add"`
	CapDrop []string `config:"cap_drop"`
	WorkDir string   `config:"work_dir"`
}

// New makes the driver. keeper is the command of its keeper; nil is this
// program's own.
func New(logger hclog.Logger, keeper []string) *Driver {
	sup := executor.New(executor.Config{Driver: Name, KeeperCommand: keeper, Logger: logger})
	d := &Driver{Table: tasks.New(sup)}
	d.config = isolation.Defaults(check)
	return d
}

// Plugin makes what [plugin.Serve] serves.
func Plugin(d *Driver, version string) plugin.Plugin {
	return driver.New(driver.Info{
		Name: Name, Version: version,
		FSIsolation:  driver.FSChroot,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup},
	}, d)
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

// check refuses what no task could be started with, and fills in defaults.
func check(p pluginConfig) (config, error) {
	c := config{pluginConfig: p, hidden: &isolation.Hidden{}}
	var err error
	if p.PIDsLimit < 0 {
		return c, fmt.Errorf("pids_limit is %d, it must be a number of processes, or 0 for no limit", p.PIDsLimit)
	}
	if c.denied.UIDs, err = executor.ParseIDRanges(p.DeniedHostUIDs); err != nil {
		return c, fmt.Errorf("denied_host_uids: %w", err)
	}
	if c.denied.GIDs, err = executor.ParseIDRanges(p.DeniedHostGIDs); err != nil {
		return c, fmt.Errorf("denied_host_gids: %w", err)
	}
	if _, err := isolation.IsPrivate("default_pid_mode", p.DefaultPIDMode, isolation.Private); err != nil {
		return c, err
	}
	if _, err := isolation.IsPrivate("default_ipc_mode", p.DefaultIPCMode, isolation.Private); err != nil {
		return c, err
	}
	if err := isolation.CheckCapabilities("allow_caps", p.AllowCaps); err != nil {
		return c, err
	}
	if p.AllowCaps == nil {
		c.AllowCaps = isolation.DefaultCapabilities()
	}
	if len(p.ChrootEnv) == 0 {
		c.ChrootEnv = isolation.DefaultChroot()
	}
	return c, nil
}

// CheckConfig refuses a task's config for what the schema cannot say.
func (d *Driver) CheckConfig(_ context.Context, c taskConfig) schema.Diagnostics {
	return isolation.TaskOptions{PIDMode: c.PIDMode, IPCMode: c.IPCMode, CapAdd: c.CapAdd, CapDrop: c.CapDrop, WorkDir: c.WorkDir}.Check()
}

func (d *Driver) configured() config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// Fingerprint reports whether tasks can be isolated and limited here.
func (d *Driver) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	if err := usable(); err != nil {
		return &driver.Fingerprint{Health: driver.Undetected, Description: err.Error()}, nil
	}
	f := &driver.Fingerprint{
		Health:     driver.Healthy,
		Attributes: map[string]attribute.Value{"driver." + Name: attribute.Truth(true)},
	}
	c := d.configured()
	sandbox.Describe(f, Name, !c.Seccomp, !c.Landlock)
	return f, nil
}

// usable says why the driver cannot work on this node, or nil.
func usable() error {
	if os.Geteuid() != 0 {
		return errors.New("driver exec needs root: the agent does not run as root")
	}
	return isolation.Supported()
}

// Start runs the task's program.
func (d *Driver) Start(ctx context.Context, req *driver.StartRequest[taskConfig]) (*driver.StartResponse[executor.State], error) {
	if err := usable(); err != nil {
		return nil, err
	}
	cmd, task, err := command(req.Task, &req.Config, d.configured())
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
