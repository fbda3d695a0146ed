//go:build chaos

package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/droverhq/drover/drivers-exec/executor"
	"github.com/droverhq/drover/drivers-exec/rawexec"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
)

// Set by the linker, for builds that differ as releases do. `make chaos-plugins` swaps them while tasks run.
var (
	stateVersion = "1" // of the state that tasks are stored with
	failRecovery = ""  // not empty: no task can be recovered
)

func served(d *rawexec.Driver) plugin.Plugin { return plug(d, d) }

// plug is for the type of a task's config, which is not exported, to be inferred.
func plug[C any](d *rawexec.Driver, inner driver.Driver[C, executor.State]) plugin.Plugin {
	number, err := strconv.Atoi(stateVersion)
	if err != nil {
		panic(err)
	}
	return driver.New(driver.Info{
		Name: rawexec.Name, Version: version,
		NetworkModes: []driver.NetworkMode{driver.NetworkHost, driver.NetworkGroup},
		NoMounts:     true,
	}, &release[C]{Driver: d, inner: inner, version: number})
}

// state is what a release stores for a task. The place of what counts changes from version to version.
type state struct {
	Format int
	Task   *executor.State // of even versions
	Proc   *executor.State // of odd versions
}

// release is the driver of one release: it stores its own version and recovers all.
type release[C any] struct {
	*rawexec.Driver
	inner   driver.Driver[C, executor.State]
	version int
}

func (r *release[C]) StateVersion() int { return r.version }

func (r *release[C]) Start(ctx context.Context, req *driver.StartRequest[C]) (*driver.StartResponse[state], error) {
	started, err := r.inner.Start(ctx, req)
	if err != nil {
		return nil, err
	}
	s := state{Format: r.version, Task: &started.State}
	if r.version%2 == 1 {
		s.Task, s.Proc = nil, &started.State
	}
	return &driver.StartResponse[state]{State: s, Network: started.Network, Task: started.Task}, nil
}

func (r *release[C]) Recover(ctx context.Context, req *driver.RecoverRequest[C, state]) error {
	if failRecovery != "" {
		return fmt.Errorf("release %s cannot recover tasks", version)
	}
	stored := req.State.Task
	if req.StateVersion%2 == 1 {
		stored = req.State.Proc
	}
	if stored == nil || req.State.Format != req.StateVersion {
		return fmt.Errorf("state of version %d holds format %d", req.StateVersion, req.State.Format)
	}
	return r.inner.Recover(ctx, &driver.RecoverRequest[C, executor.State]{
		Task: req.Task, Config: req.Config, State: *stored, StateVersion: req.StateVersion, RawState: req.RawState, Emit: req.Emit,
	})
}
