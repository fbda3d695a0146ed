// Package rawexec is the raw_exec task driver: it runs a program on the host
// as it is, without isolation and without limits. An operator has to enable
// it.
package rawexec

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/executor/tasks"
	"github.com/droverhq/drover/sdk/attribute"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
	"github.com/droverhq/drover/sdk/schema"
)

// Name is what jobs call the driver.
const Name = "raw_exec"

// Driver runs programs on the host.
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
	Enabled        bool     `config:"enabled" default:"false"`
	DeniedHostUIDs string   `config:"denied_host_uids"`
	DeniedHostGIDs string   `config:"denied_host_gids"`
	DeniedEnvvars  []string `config:"denied_envvars"`
}

// config is pluginConfig checked.
type config struct {
	enabled       bool
	denied        executor.Denied
	deniedEnvvars []string
}

// taskConfig is a task's config block.
type taskConfig struct {
	Command          string           `config:"command,required"`
	Args             []string         `config:"args"`
	CgroupV2Override string           `config:"cgroup_v2_override"`
	CgroupV1Override schema.StringMap `config:"cgroup_v1_override"`
	OOMScoreAdj      int              `config:"oom_score_adj" default:"0"`
	WorkDir          string           `config:"work_dir"`
	DeniedEnvvars    []string         `config:"denied_envvars"`
}

// New makes the driver. keeper is the command of its keeper; nil is this
// program's own.
func New(logger hclog.Logger, keeper []string) *Driver {
	sup := executor.New(executor.Config{Driver: Name, KeeperCommand: keeper, Logger: logger})
	return &Driver{Table: tasks.New(sup)}
}

// Plugin makes what [plugin.Serve] serves.
func Plugin(d *Driver, version string) plugin.Plugin {
	return driver.New(driver.Info{
		Name: Name, Version: version,
		FSIsolation:  driver.FSNone,
		NetworkModes: networkModes(),
		NoMounts:     true,
	}, d)
}

// Config takes the plugin block.
func (d *Driver) Config() driver.ConfigHandler { return driver.Configure(d.configure) }

func (d *Driver) configure(_ context.Context, c *driver.Configuration[pluginConfig]) error {
	uids, err := executor.ParseIDRanges(c.Config.DeniedHostUIDs)
	if err != nil {
		return fmt.Errorf("denied_host_uids: %w", err)
	}
	gids, err := executor.ParseIDRanges(c.Config.DeniedHostGIDs)
	if err != nil {
		return fmt.Errorf("denied_host_gids: %w", err)
	}
	if _, err := executor.Environ(map[string]string{"x": ""}, c.Config.DeniedEnvvars...); err != nil {
		return err
	}
	if c.Node == nil {
		return nil
	}
	d.Configure(c.Node)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config = config{
		enabled:       c.Config.Enabled || c.Host.DevMode,
		denied:        executor.Denied{UIDs: uids, GIDs: gids},
		deniedEnvvars: c.Config.DeniedEnvvars,
	}
	return nil
}

func (d *Driver) configured() config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}

// Fingerprint reports whether the driver is enabled; nothing else is needed to
// run a program.
func (d *Driver) Fingerprint(context.Context) (*driver.Fingerprint, error) {
	if !d.configured().enabled {
		return &driver.Fingerprint{Health: driver.Undetected, Description: "disabled: set enabled = true in the plugin's config to allow tasks to run on the host without isolation"}, nil
	}
	f := &driver.Fingerprint{
		Health:     driver.Healthy,
		Attributes: map[string]attribute.Value{"driver." + Name: attribute.Truth(true)},
	}
	describe(f)
	return f, nil
}

// Start runs the task's program.
func (d *Driver) Start(ctx context.Context, req *driver.StartRequest[taskConfig]) (*driver.StartResponse[executor.State], error) {
	config := d.configured()
	if !config.enabled {
		return nil, errors.New("driver raw_exec is disabled on this node: set enabled = true in the plugin's config")
	}
	cmd, err := command(req.Task, &req.Config, config)
	if err != nil {
		return nil, err
	}
	state, err := d.Table.Start(ctx, *cmd, req.Emit)
	if err != nil {
		return nil, err
	}
	return &driver.StartResponse[executor.State]{State: state}, nil
}

// Recover finds the task's process again.
func (d *Driver) Recover(ctx context.Context, req *driver.RecoverRequest[taskConfig, executor.State]) error {
	env, err := environ(req.Task, &req.Config, d.configured())
	if err != nil {
		return err
	}
	return d.Adopt(ctx, req.State, env, req.Emit)
}

// command composes the process of a task, and makes its cgroup last.
func command(task *driver.TaskConfig, c *taskConfig, config config) (*executor.Command, error) {
	if c.OOMScoreAdj < 0 {
		return nil, fmt.Errorf("oom_score_adj is %d, it must not be negative", c.OOMScoreAdj)
	}
	if c.WorkDir != "" && !filepath.IsAbs(c.WorkDir) {
		return nil, fmt.Errorf("work_dir %q must be an absolute path", c.WorkDir)
	}
	path, err := executor.FindCommand(c.Command, task.TaskDir(), task.Env)
	if err != nil {
		return nil, err
	}
	env, err := environ(task, c, config)
	if err != nil {
		return nil, err
	}
	cmd := &executor.Command{
		ID: task.ID, Dir: executor.KeeperDir(Name, task.AllocDir),
		Stdout: task.StdoutPath, Stderr: task.StderrPath,
	}
	cmd.Spec.Path = path
	cmd.Spec.Args = append([]string{c.Command}, c.Args...)
	cmd.Spec.Env = env
	cmd.Spec.Dir = task.TaskDir()
	if c.WorkDir != "" {
		cmd.Spec.Dir = c.WorkDir
	}
	cmd.Spec.OOMScoreAdj = c.OOMScoreAdj
	return cmd, surround(cmd, task, c, config)
}

func environ(task *driver.TaskConfig, c *taskConfig, config config) ([]string, error) {
	return executor.Environ(task.Env, append(c.DeniedEnvvars, config.deniedEnvvars...)...)
}
