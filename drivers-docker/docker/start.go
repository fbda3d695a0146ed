package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	ctx, end := d.begin(ctx, r.Task.ID)
	defer end()
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
	if ctx.Err() != nil {
		// Nobody takes the task any more.
		d.drop(s, t)
		return nil, ctx.Err()
	}
	d.add(t)
	return &driver.StartResponse[State]{State: State{ContainerID: t.container, Network: t.network}, Network: t.network}, nil
}

// drop takes back a task that was started and that nobody wants.
func (d *Driver) drop(s *session, t *task) {
	t.close()
	d.remove(s, t.container)
	d.forgetPrivate(privateDir(t.config))
	d.releaseImage(t.config.ID)
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
func (d *Driver) run(ctx context.Context, s *session, r *driver.StartRequest[config.Task], owner spec.Owner, found *picture) (_ *task, err error) {
	sees, err := d.engineSees(s)
	if err != nil {
		return nil, classed(err)
	}
	private, err := newPrivate(r.Task, sees)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			d.forgetPrivate(private.dir)
		}
	}()
	in, err := d.input(ctx, s, r, owner, found, private)
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
		return nil, explainScore(found.explain(err), r.Config.OOMScoreAdj)
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
func (d *Driver) input(ctx context.Context, s *session, r *driver.StartRequest[config.Task], owner spec.Owner, found *picture, private *private) (spec.Input, error) {
	in := spec.Input{
		Task: r.Task, Config: r.Config, Plugin: s.config, Node: d.node(s), Owner: owner,
		ImageID: found.id, ImageUser: found.user, SharedNetwork: pauseOf(r.Task), Pin: private.pin,
	}
	if in.SharedNetwork == "" && r.Config.NetworkMode == "" && r.Task.Network != nil && r.Task.Network.Mode == driver.NetworkGroup {
		return in, fmt.Errorf("the allocation's network namespace %s was not made by the docker driver, and docker cannot join one by path", r.Task.Network.Path)
	}
	if err := checkDirs(r.Task); err != nil {
		return in, err
	}
	var err error
	if in.Config.NetworkMode, err = d.joined(ctx, s, r.Task, r.Config.NetworkMode); err != nil {
		return in, err
	}
	if in.SecurityOpt, err = securityOptions(r.Config.SecurityOpt, profiles{r.Task.TaskDir(), s.config.SeccompProfileDirs}.read); err != nil {
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
		if in.HostsFile, err = private.write("hosts", content); err != nil {
			return in, err
		}
	}
	if r.Task.DNS != nil && !in.Node.Windows {
		content, err := spec.ResolvFile(r.Task.DNS)
		if err != nil {
			return in, err
		}
		if in.ResolvFile, err = private.write("resolv.conf", content); err != nil {
			return in, err
		}
	}
	return in, nil
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
		made, err := d.makeContainer(ctx, s, task, r)
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

// makeContainer asks for the container. Once asked the engine makes it whether anybody waits or not, so the answer is awaited
// for a while after the start was given up; what nobody wants any more, or what is there although the engine's answer
// was lost, is removed.
func (d *Driver) makeContainer(ctx context.Context, s *session, task *driver.TaskConfig, r *spec.Request) (client.ContainerCreateResult, error) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d.times.createGrace, cancel) })
	defer stop()
	made, err := s.engine.ContainerCreate(call, r.Create)
	switch {
	case err == nil && ctx.Err() != nil:
		d.remove(s, made.ID)
		return made, ctx.Err()
	case err != nil && (ctx.Err() != nil || unreachable(err)):
		d.removeUnanswered(s, task, r.Create.Name)
	}
	return made, err
}

// removeUnanswered removes the container that the engine made of a request whose answer did not come.
func (d *Driver) removeUnanswered(s *session, task *driver.TaskConfig, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return
	}
	if c := found.Container; c.Config != nil && c.Config.Labels[spec.LabelTaskID] == task.ID && (c.State == nil || !c.State.Running) {
		d.remove(s, c.ID)
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
