package java

import (
	"context"
	"fmt"

	"github.com/droverhq/drover/drivers-exec/executor/isolation"
	"github.com/droverhq/drover/sdk/schema"
)

// pluginConfig is the agent's plugin block.
type pluginConfig struct {
	DefaultPIDMode string   `config:"default_pid_mode" default:"private"`
	DefaultIPCMode string   `config:"default_ipc_mode" default:"private"`
	AllowCaps      []string `config:"allow_caps"`
	// What the exec driver calls by the same names.
	NoPivotRoot bool              `config:"no_pivot_root" default:"false"`
	ChrootEnv   map[string]string `config:"chroot_env"`
	PIDsLimit   int64             `config:"pids_limit" default:"16384"`
	Seccomp     bool              `config:"seccomp" default:"true"`
	Landlock    bool              `config:"landlock" default:"true"`
}

// config is pluginConfig checked, with defaults.
type config struct {
	pluginConfig
	hidden *isolation.Hidden
}

// taskConfig is a task's config block.
type taskConfig struct {
	JarPath    string   `config:"jar_path"`
	Class      string   `config:"class"`
	ClassPath  string   `config:"class_path"`
	JVMOptions []string `config:"jvm_options"`
	Args       []string `config:"args"`
	// Isolation: these count where the driver isolates.
	PIDMode string   `config:"pid_mode"`
	IPCMode string   `config:"ipc_mode"`
	CapAdd  []string `config:"cap_add"`
	CapDrop []string `config:"cap_drop"`
	WorkDir string   `config:"work_dir"`
}

// check refuses what no task could be started with, and fills in defaults.
func check(p pluginConfig) (config, error) {
	c := config{p, &isolation.Hidden{}}
	if p.PIDsLimit < 0 {
		return c, fmt.Errorf("pids_limit is %d, it must be a number of processes, or 0 for no limit", p.PIDsLimit)
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
	var found schema.Diagnostics
	if c.JarPath == "" && c.Class == "" {
		found = append(found, schema.Diagnostic{Summary: "Missing program", Detail: "one of jar_path and class must be set", Path: "jar_path"})
	}
	o := isolation.TaskOptions{PIDMode: c.PIDMode, IPCMode: c.IPCMode, CapAdd: c.CapAdd, CapDrop: c.CapDrop}
	if isolates() {
		o.WorkDir = c.WorkDir
	}
	return append(found, o.Check()...)
}
