package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/image"
	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
)

// Recover implements driver.Driver. It needs the engine only to check who it found: if the engine is away just now, the
// task is taken up all the same and Wait asks when it is back.
func (d *Driver) Recover(ctx context.Context, r *driver.RecoverRequest[config.Task, State]) error {
	s, err := d.current()
	if err != nil {
		return err
	}
	if r.State.ContainerID == "" {
		return errors.New("the stored state names no container")
	}
	d.learn(r.Task)
	d.takeBack(r.Task.ID)
	t := &task{config: r.Task, options: r.Config, container: r.State.ContainerID, network: r.State.Network, started: time.Now(), emit: r.Emit}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(call, t.container, client.ContainerInspectOptions{})
	switch {
	case cerrdefs.IsNotFound(err):
		return fmt.Errorf("container %.12s does not exist any more", t.container)
	case err != nil && !unreachable(err):
		return fmt.Errorf("look at container %.12s: %w", t.container, err)
	case err != nil:
		d.logger.Warn("task taken up without a look at its container, the engine is away", "task", r.Task.ID, "error", err)
	default:
		if c := found.Container.Config; c == nil || !identified(c.Labels, r.Task) {
			return fmt.Errorf("container %.12s is not that of task %s", t.container, r.Task.ID)
		}
		if at, err := time.Parse(time.RFC3339Nano, found.Container.State.StartedAt); err == nil {
			t.started = at
		}
		if h := found.Container.HostConfig; h != nil {
			t.cores = h.CpusetCpus
		}
		d.holdImage(r.Task.ID, found.Container.Image, r.Config.Image)
	}
	t.claim = claimTask(r.Task)
	d.follow(s, t)
	d.add(t)
	return nil
}

// identified checks that a container is this task's. The attempt may differ: a running container was adopted then.
func identified(labels map[string]string, task *driver.TaskConfig) bool {
	return labels[spec.LabelAlloc] == task.AllocID && labels[spec.LabelTask] == task.Name
}

func (d *Driver) holdImage(taskID, imageID, name string) {
	ref, err := image.Parse(name)
	if err != nil {
		return
	}
	d.imagesMu.Lock()
	defer d.imagesMu.Unlock()
	d.refs.Hold(taskID, imageID, ref.Name)
}

// Inspect implements driver.WithInspect.
func (d *Driver) Inspect(_ context.Context, id string) (*driver.Inspection, error) {
	t, err := d.task(id)
	if err != nil {
		return nil, err
	}
	return &driver.Inspection{
		StartedAt:  t.started,
		Attributes: map[string]string{"container_id": t.container, "image": t.options.Image},
		Network:    t.network,
	}, nil
}
