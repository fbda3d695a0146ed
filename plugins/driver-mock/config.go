package main

import (
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/schema"
)

// pluginConfig is what the driver says of itself.
type pluginConfig struct {
	Health            string            `config:"health" default:"healthy"` // healthy, unhealthy or undetected
	HealthDescription string            `config:"health_description"`
	FingerprintError  string            `config:"fingerprint_error"`
	Attributes        map[string]string `config:"attributes"`
	SetConfigError    string            `config:"set_config_error"`
}

// taskConfig is the course of one task.
type taskConfig struct {
	StartBlockFor         time.Duration `config:"start_block_for"` // how long the start takes
	StartError            string        `config:"start_error"`
	StartErrorRecoverable bool          `config:"start_error_recoverable"`

	RunFor     time.Duration `config:"run_for"`    // the task ends by itself after this; at once if 0
	KillAfter  time.Duration `config:"kill_after"` // how long the task takes to end after a stop
	ExitCode   int           `config:"exit_code"`
	ExitSignal int           `config:"exit_signal"`
	ExitErr    string        `config:"exit_err_msg"`
	OOMKilled  bool          `config:"oom_killed"`

	Stdout         string        `config:"stdout_string"`
	StdoutRepeat   int           `config:"stdout_repeat"`
	StdoutInterval time.Duration `config:"stdout_repeat_duration"`
	Stderr         string        `config:"stderr_string"`
	Events         []string      `config:"events"` // emitted right after the start

	RecoverError string `config:"recover_error"`
	ReleaseError string `config:"release_error"`
	StopError    string `config:"stop_error"`
	DestroyError string `config:"destroy_error"`
	SignalError  string `config:"signal_error"`
	InspectError string `config:"inspect_error"`
	StatsError   string `config:"stats_error"`
	ExecError    string `config:"exec_error"`
	ExecExitCode int    `config:"exec_exit_code"`

	DriverIP        string           `config:"driver_ip"`
	DriverPortMap   schema.NumberMap `config:"driver_port_map"`
	DriverAdvertise bool             `config:"driver_advertise"`
}

// override is nil unless the task's config says where it listens.
func (c *taskConfig) override() *driver.NetworkOverride {
	if c.DriverIP == "" && len(c.DriverPortMap) == 0 {
		return nil
	}
	return &driver.NetworkOverride{PortMap: c.DriverPortMap, Addr: c.DriverIP, AutoAdvertise: c.DriverAdvertise}
}

// exit is how a task ends by itself.
func (c *taskConfig) exit() *driver.ExitResult {
	return &driver.ExitResult{ExitCode: c.ExitCode, Signal: c.ExitSignal, OOMKilled: c.OOMKilled, Err: c.ExitErr}
}

func healthOf(name string) driver.Health {
	switch name {
	case "undetected":
		return driver.Undetected
	case "unhealthy":
		return driver.Unhealthy
	}
	return driver.Healthy
}
