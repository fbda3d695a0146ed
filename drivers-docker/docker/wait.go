package docker

import (
	"context"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/sdk/driver"
)

// Wait implements driver.Driver. It outlives the engine: while that is away the container may run on, and what became of
// it is asked when the engine is back.
func (d *Driver) Wait(ctx context.Context, id string) (*driver.ExitResult, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	var away time.Time // when the engine was first missed
	for {
		s, err := d.current()
		if err != nil {
			return nil, err
		}
		state, err := d.ended(ctx, s, t)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case cerrdefs.IsNotFound(err):
			return &driver.ExitResult{ExitCode: -1, Err: "the container was removed behind the driver's back; how it ended is not known"}, nil
		case err == nil && state != nil:
			if t.follower != nil && !t.follower.Drain(ctx, d.times.drain) {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				d.logger.Warn("the end of the container's output was not taken", "task", id)
			}
			return d.result(ctx, s, t, state, away), nil
		}
		if err != nil {
			if away.IsZero() {
				away = time.Now()
				d.wake()
			}
			d.logger.Debug("waiting for the engine", "task", id, "error", err)
		}
		select {
		case <-time.After(d.times.reconnect):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ended waits for the end of a container and returns its state; nil without an error means to ask again.
func (d *Driver) ended(ctx context.Context, s *session, t *task) (*container.State, error) {
	wait := s.engine.ContainerWait(ctx, t.container, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case err := <-wait.Error:
		return nil, err
	case <-wait.Result:
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(call, t.container, client.ContainerInspectOptions{})
	if err != nil {
		return nil, err
	}
	if state := found.Container.State; state != nil && !state.Running && !state.Restarting {
		return state, nil
	}
	return nil, nil
}

// oomLag is how long the engine may take to hear from the kernel why a container was killed.
const oomLag = 200 * time.Millisecond

// result turns a container's last state into how the task ended.
func (d *Driver) result(ctx context.Context, s *session, t *task, state *container.State, away time.Time) *driver.ExitResult {
	if state.ExitCode == 137 && !state.OOMKilled && !t.isStopping() {
		select {
		case <-time.After(oomLag):
		case <-ctx.Done():
		}
		if found, err := s.engine.ContainerInspect(ctx, t.container, client.ContainerInspectOptions{}); err == nil && found.Container.State != nil {
			state = found.Container.State
		}
	}
	return exitResult(state, !t.isStopping() && d.wentWithEngine(s, state, away))
}

// wentWithEngine reports whether the engine ended the container because it went down itself.
func (d *Driver) wentWithEngine(s *session, state *container.State, away time.Time) bool {
	if d.seen().liveRestore {
		return false
	}
	if !away.IsZero() && endedAfter(state, away) {
		return true
	}
	return goingDown(s.config)
}

// goingDownWait bounds the look at an engine that just said that a container ended.
const goingDownWait = 2 * time.Second

// goingDown reports whether the engine takes no new connections: while it ends its containers it still answers on old ones.
func goingDown(p config.Plugin) bool {
	e, err := connect(p)
	if err != nil {
		return false
	}
	defer e.Close()
	ctx, cancel := context.WithTimeout(context.Background(), goingDownWait)
	defer cancel()
	_, err = e.Ping(ctx, client.PingOptions{})
	return err != nil && unreachable(err)
}

func (t *task) isStopping() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stopping
}

// restartSlack is how much earlier than we noticed an engine may have ended its containers.
const restartSlack = 15 * time.Second

func endedAfter(state *container.State, away time.Time) bool {
	at, err := time.Parse(time.RFC3339Nano, state.FinishedAt)
	return err != nil || at.After(away.Add(-restartSlack))
}

// exitResult is what the host is told. withEngine: the engine went down without live-restore and took the container along,
// so that its exit code says nothing about the task.
func exitResult(state *container.State, withEngine bool) *driver.ExitResult {
	r := &driver.ExitResult{ExitCode: state.ExitCode, OOMKilled: state.OOMKilled}
	switch {
	case withEngine:
		r.Err = "dockerd went down and ended the container, because its live-restore is off"
	case state.OOMKilled:
		r.Err = "OOM Killed"
	case state.Error != "":
		r.Err = state.Error
	case state.ExitCode != 0:
		r.Err = fmt.Sprintf("Docker container exited with non-zero exit code: %d", state.ExitCode)
	}
	return r
}
