package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"

	"github.com/droverhq/drover/drivers-docker/config"
)

const (
	// conflictBackoff is the first wait after a name conflict; it doubles.
	conflictBackoff = 50 * time.Millisecond
	// startAttempts is how often a container is made anew, or started again, when the engine stumbles.
	startAttempts = 5
	// cleanTimeout bounds what is taken back after a failed start.
	cleanTimeout = time.Minute
)

// Start implements driver.Driver.
func (d *Driver) Start(ctx context.Context, r *driver.StartRequest[config.Task]) (*driver.StartResponse[State], error) {
	s, err := d.current()
	if err != nil {
		return nil, err
	}
	owner := d.learn(r.Task)
	defer d.begin(r.Task.ID)()
	if err := s.config.Allow(r.Config); err != nil {
		return nil, err
	}
	t, err := d.attempt(ctx, s, r, owner)
	if err != nil && goingDown(s.config) {
		if err = d.awaitEngine(ctx, s, r, err); err == nil {
			t, err = d.attempt(ctx, s, r, owner)
		}
	}
	if err != nil {
		return nil, err
	}
	d.add(t)
	return &driver.StartResponse[State]{State: State{ContainerID: t.container, Network: t.network}, Network: t.network}, nil
}

// attempt gets the image and runs the container. If it fails nothing of it is left.
func (d *Driver) attempt(ctx context.Context, s *session, r *driver.StartRequest[config.Task], owner spec.Owner) (*task, error) {
	found, err := d.fetch(ctx, s, r)
	if err != nil {
		d.releaseImage(r.Task.ID)
		return nil, err
	}
	t, err := d.run(ctx, s, r, owner, found)
	if err != nil {
		d.releaseImage(r.Task.ID)
		return nil, err
	}
	return t, nil
}

// awaitEngine waits for an engine that went away during a start, so that a restart of dockerd does not use up the attempts
// of every task's restart policy. cause is what the engine said when it went.
func (d *Driver) awaitEngine(ctx context.Context, s *session, r *driver.StartRequest[config.Task], cause error) error {
	d.wake()
	r.Emit("dockerd does not answer; waiting for it", nil)
	ctx, cancel := context.WithTimeout(ctx, d.times.engineBack)
	defer cancel()
	for goingDown(s.config) {
		select {
		case <-time.After(d.times.reconnect):
		case <-ctx.Done():
			return driver.Recoverable(fmt.Errorf("dockerd did not answer for %s: %w", d.times.engineBack, cause))
		}
	}
	return nil
}

// run makes and starts the container. If it fails nothing of it is left.
func (d *Driver) run(ctx context.Context, s *session, r *driver.StartRequest[config.Task], owner spec.Owner, found *picture) (*task, error) {
	in, err := d.input(s, r, owner, found)
	if err != nil {
		return nil, err
	}
	request, err := spec.Create(in)
	if err != nil {
		return nil, err
	}
	for _, line := range request.Warnings {
		r.Emit(line, nil)
	}
	id, err := d.createAndStart(ctx, s, owner, r.Task, request)
	if err != nil {
		return nil, found.explain(err)
	}
	t := &task{config: r.Task, options: r.Config, container: id, started: time.Now(), emit: r.Emit, cores: in.Cpuset}
	if t.network, err = d.override(ctx, s, r.Config, request, id); err != nil {
		d.remove(s, id)
		return nil, driver.Recoverable(err)
	}
	t.claim = claimTask(r.Task)
	d.follow(s, t)
	return t, nil
}

// input gathers what the container's making depends on, and writes the files it needs.
func (d *Driver) input(s *session, r *driver.StartRequest[config.Task], owner spec.Owner, found *picture) (spec.Input, error) {
	in := spec.Input{
		Task: r.Task, Config: r.Config, Plugin: s.config, Node: d.node(s), Owner: owner,
		ImageID: found.id, ImageUser: found.user, SharedNetwork: pauseOf(r.Task), Resolve: resolve,
	}
	if in.SharedNetwork == "" && r.Config.NetworkMode == "" && r.Task.Network != nil && r.Task.Network.Mode == driver.NetworkGroup {
		return in, fmt.Errorf("the allocation's network namespace %s was not made by the docker driver, and docker cannot join one by path", r.Task.Network.Path)
	}
	var err error
	if in.SecurityOpt, err = securityOptions(r.Config.SecurityOpt, os.ReadFile); err != nil {
		return in, err
	}
	in.Cpuset = sharedCores(r.Task)
	joins := in.SharedNetwork != "" && r.Config.NetworkMode == ""
	if joins {
		var hosts *driver.HostsConfig
		if r.Task.Network != nil {
			hosts = r.Task.Network.Hosts
		}
		content, err := spec.HostsFile(hosts, r.Config.ExtraHosts)
		if err != nil {
			return in, err
		}
		if in.HostsFile, err = writeTaskFile(r.Task, "hosts", content); err != nil {
			return in, err
		}
	}
	if r.Task.DNS != nil && !in.Node.Windows {
		if in.ResolvFile, err = writeTaskFile(r.Task, "resolv.conf", spec.ResolvFile(r.Task.DNS)); err != nil {
			return in, err
		}
	}
	return in, nil
}

// writeTaskFile writes a generated file beside the directories that the task may write to.
func writeTaskFile(task *driver.TaskConfig, name string, content []byte) (string, error) {
	path := filepath.Join(task.TaskDir(), name)
	if err := os.MkdirAll(task.TaskDir(), 0o755); err != nil {
		return "", fmt.Errorf("write %s for the container: %w", name, err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return "", fmt.Errorf("write %s for the container: %w", name, err)
	}
	return path, nil
}

// createAndStart returns a running container's id.
func (d *Driver) createAndStart(ctx context.Context, s *session, owner spec.Owner, task *driver.TaskConfig, r *spec.Request) (string, error) {
	for attempt := 1; ; attempt++ {
		id, running, err := d.create(ctx, s, owner, task, r)
		if err != nil {
			return "", err
		}
		if running {
			return id, nil
		}
		err = d.start(ctx, s, id)
		if err == nil {
			return id, nil
		}
		d.remove(s, id)
		if !cerrdefs.IsNotFound(err) || attempt == startAttempts || ctx.Err() != nil {
			return "", classed(fmt.Errorf("start container: %w", err))
		}
	}
}

// create makes the container. A namesake of the same task that runs is what a plugin made that was killed before it could
// say so: it is adopted. One that does not run is replaced.
func (d *Driver) create(ctx context.Context, s *session, owner spec.Owner, task *driver.TaskConfig, r *spec.Request) (id string, running bool, err error) {
	wait := conflictBackoff
	for attempt := 0; ; attempt++ {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		made, err := s.engine.ContainerCreate(call, r.Create)
		cancel()
		if err == nil {
			for _, w := range made.Warnings {
				d.logger.Debug("container created with a warning", "container", made.ID, "warning", w)
			}
			return made.ID, false, nil
		}
		if !cerrdefs.IsConflict(err) || !nameTaken.MatchString(err.Error()) || attempt >= s.config.ContainerExistsAttempts {
			return "", false, classed(fmt.Errorf("create container: %w", err))
		}
		id, err := d.namesake(ctx, s, owner, task, r.Create.Name)
		if err != nil {
			return "", false, err
		}
		if id != "" {
			return id, true, nil
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return "", false, ctx.Err()
		}
	}
}

// namesake looks at the container that has the name. It returns its id if it can be adopted, and removes it if it is ours
// and does not run.
func (d *Driver) namesake(ctx context.Context, s *session, owner spec.Owner, task *driver.TaskConfig, name string) (string, error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(call, name, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", classed(fmt.Errorf("look at container %s: %w", name, err))
	}
	c := found.Container
	if c.Config == nil || !owner.IsTask(c.Config.Labels, task) {
		return "", fmt.Errorf("create container: the name %s is taken by container %.12s, which is not this node's; remove it", name, c.ID)
	}
	if c.State != nil && c.State.Running {
		d.logger.Info("running container adopted", "container", c.ID, "task", task.ID)
		return c.ID, nil
	}
	d.remove(s, c.ID)
	return "", nil
}

// start starts a container; an engine that stumbles is asked again.
func (d *Driver) start(ctx context.Context, s *session, id string) error {
	wait := conflictBackoff
	for attempt := 1; ; attempt++ {
		call, cancel := context.WithTimeout(ctx, callTimeout)
		_, err := s.engine.ContainerStart(call, id, client.ContainerStartOptions{})
		cancel()
		if err == nil || attempt == startAttempts || ctx.Err() != nil || !cerrdefs.IsUnavailable(err) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// override finds out where the container listens.
func (d *Driver) override(ctx context.Context, s *session, c config.Task, r *spec.Request, id string) (*driver.NetworkOverride, error) {
	mode := r.Create.HostConfig.NetworkMode
	if mode.IsContainer() || mode == "host" || mode == "none" {
		return nil, nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(call, id, client.ContainerInspectOptions{})
	if err != nil {
		return nil, fmt.Errorf("look at the started container: %w", err)
	}
	if found.Container.NetworkSettings == nil {
		return nil, nil
	}
	for name, n := range found.Container.NetworkSettings.Networks {
		addr := n.IPAddress
		if c.AdvertiseIPv6Address {
			addr = n.GlobalIPv6Address
		}
		if addr.IsValid() {
			return spec.Override(c.PortMap, addr.String(), name), nil
		}
	}
	return spec.Override(c.PortMap, "", ""), nil
}

// remove takes a container away, whatever its state. It has its own time: what was begun is also cleaned up after the
// host gave up.
func (d *Driver) remove(s *session, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
	defer cancel()
	if err := removeContainer(ctx, s.engine, id); err != nil {
		d.logger.Warn("container not removed", "container", id, "error", err)
	}
}

// removeContainer succeeds when the container is gone.
func removeContainer(ctx context.Context, e engine, id string) error {
	wait := conflictBackoff
	for {
		_, err := e.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if err == nil || cerrdefs.IsNotFound(err) {
			return nil
		}
		// Somebody else removes it, or something still holds its files: both pass.
		if !cerrdefs.IsConflict(err) && !cerrdefs.IsInternal(err) || ctx.Err() != nil {
			return fmt.Errorf("remove container %.12s: %w", id, err)
		}
		select {
		case <-time.After(wait):
			wait = min(wait*2, 2*time.Second)
		case <-ctx.Done():
			return fmt.Errorf("remove container %.12s: %w", id, err)
		}
	}
}
