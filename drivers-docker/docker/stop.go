package docker

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/sdk/driver"
)

// Stop implements driver.Driver. Without a signal the image's own stop signal is sent.
func (d *Driver) Stop(ctx context.Context, r *driver.StopRequest) error {
	t, err := d.settled(ctx, r.TaskID)
	if err != nil {
		return err
	}
	s, err := d.current()
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.stopping = true
	t.mu.Unlock()
	if r.Signal == "" {
		return stopContainer(ctx, s.engine, t.container, r.Timeout)
	}
	_, err = s.engine.ContainerKill(ctx, t.container, client.ContainerKillOptions{Signal: d.signalName(s, r.Signal)})
	if notRunning(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop container with %s: %w", r.Signal, err)
	}
	if waitFor(ctx, s.engine, t.container, r.Timeout) {
		return nil
	}
	return stopContainer(ctx, s.engine, t.container, 0)
}

// stopContainer sends the stop signal and, after the timeout, kills. The engine counts whole seconds.
func stopContainer(ctx context.Context, e engine, id string, timeout time.Duration) error {
	seconds := int(math.Ceil(timeout.Seconds()))
	_, err := e.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &seconds})
	if err == nil || notRunning(err) {
		return nil
	}
	return fmt.Errorf("stop container: %w", err)
}

// waitFor reports whether the container ended in time.
func waitFor(ctx context.Context, e engine, id string, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	wait := e.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-wait.Result:
		return true
	case err := <-wait.Error:
		return cerrdefs.IsNotFound(err)
	}
}

// notRunning reports an answer that means that there is nothing to stop.
func notRunning(err error) bool {
	return err != nil && (cerrdefs.IsNotFound(err) || cerrdefs.IsNotModified(err) ||
		strings.Contains(err.Error(), "is not running") || strings.Contains(err.Error(), "not running"))
}

// signalName replaces what Windows containers cannot take.
func (d *Driver) signalName(s *session, name string) string {
	if d.node(s).Windows && strings.EqualFold(strings.TrimPrefix(strings.ToUpper(name), "SIG"), "INT") {
		return "SIGTERM"
	}
	return name
}

// Signal implements driver.WithSignals.
func (d *Driver) Signal(ctx context.Context, r *driver.SignalRequest) error {
	t, err := d.task(r.TaskID)
	if err != nil {
		return err
	}
	s, err := d.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := s.engine.ContainerKill(ctx, t.container, client.ContainerKillOptions{Signal: d.signalName(s, r.Signal)}); err != nil {
		return fmt.Errorf("send %s to the container: %w", r.Signal, err)
	}
	return nil
}

// Destroy implements driver.Driver.
func (d *Driver) Destroy(ctx context.Context, r *driver.DestroyRequest) error {
	t, err := d.settled(ctx, r.TaskID)
	if err != nil {
		return err
	}
	s, err := d.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t.mu.Lock()
	t.stopping = true
	t.mu.Unlock()
	if s.config.GC.Container {
		err = removeContainer(ctx, s.engine, t.container)
	} else if r.Force {
		err = stopContainer(ctx, s.engine, t.container, 0)
	}
	if err != nil {
		return err
	}
	if t.follower != nil {
		t.follower.Drain(ctx, time.Second)
	}
	t.close()
	d.mu.Lock()
	delete(d.tasks, r.TaskID)
	again := len(d.starting) > 0 // another attempt has the directory, or may; the sweep looks again
	for _, other := range d.tasks {
		again = again || privateDir(other.config) == privateDir(t.config)
	}
	d.mu.Unlock()
	if !again && s.config.GC.Container { // a container that is kept finds its directory again
		d.forgetPrivate(privateDir(t.config))
	}
	d.releaseImage(r.TaskID)
	return nil
}
