package docker

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/image"
	"github.com/droverhq/drover/drivers-docker/pause"
	"github.com/droverhq/drover/drivers-docker/spec"
	"github.com/droverhq/drover/sdk/driver"
)

// pauseName is the name of the container that holds an allocation's network namespace.
func pauseName(allocID string) string { return "nomad_init_" + allocID }

// CreateNetwork implements driver.WithNetwork: docker cannot join a namespace by path, so a container holds it.
func (d *Driver) CreateNetwork(ctx context.Context, r *driver.CreateNetworkRequest) (*driver.CreateNetworkResponse, error) {
	s, err := d.current()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	network, err := d.pauseNetwork(ctx, s, r)
	if err != nil {
		return nil, err
	}
	if network != nil {
		return &driver.CreateNetworkResponse{Network: network}, nil
	}
	name, err := d.pauseImage(ctx, s)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	owner := d.owner
	d.mu.Unlock()
	made, err := s.engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name:   pauseName(r.AllocID),
		Config: &container.Config{Image: name, Hostname: r.Hostname, Labels: spec.PauseLabels(r.AllocID, owner)},
		HostConfig: &container.HostConfig{
			NetworkMode:   "none",
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyUnlessStopped},
			LogConfig:     container.LogConfig{Type: "none"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("make the container of the network namespace: %w", err)
	}
	if _, err := s.engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		d.remove(s, made.ID)
		return nil, fmt.Errorf("start the container of the network namespace: %w", err)
	}
	if network, err = d.pauseNetwork(ctx, s, r); err != nil || network == nil {
		d.remove(s, made.ID)
		return nil, fmt.Errorf("the container of the network namespace ended at once (%w)", err)
	}
	return &driver.CreateNetworkResponse{Network: network, Created: true}, nil
}

// pauseNetwork returns the namespace that exists already, nil if there is none. A container that does not run is of no use
// and goes.
func (d *Driver) pauseNetwork(ctx context.Context, s *session, r *driver.CreateNetworkRequest) (*driver.NetworkIsolation, error) {
	found, err := s.engine.ContainerInspect(ctx, pauseName(r.AllocID), client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the container of the network namespace: %w", err)
	}
	c := found.Container
	if c.Config == nil || c.Config.Labels[spec.LabelKind] != spec.KindPause || c.Config.Labels[spec.LabelAlloc] != r.AllocID {
		return nil, fmt.Errorf("the name %s is taken by container %.12s, which is not the driver's; remove it", pauseName(r.AllocID), c.ID)
	}
	if c.State == nil || !c.State.Running || c.NetworkSettings == nil || c.NetworkSettings.SandboxKey == "" {
		return nil, removeContainer(ctx, s.engine, c.ID)
	}
	d.mu.Lock()
	d.networks[r.AllocID] = c.ID
	d.mu.Unlock()
	labels := map[string]string{sandboxContainer: c.ID}
	if r.Hostname != "" {
		labels[sandboxHostname] = r.Hostname
	}
	return &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: c.NetworkSettings.SandboxKey, Labels: labels}, nil
}

// DestroyNetwork implements driver.WithNetwork.
func (d *Driver) DestroyNetwork(ctx context.Context, r *driver.DestroyNetworkRequest) error {
	s, err := d.current()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(ctx, pauseName(r.AllocID), client.ContainerInspectOptions{})
	if err != nil && !cerrdefs.IsNotFound(err) {
		return fmt.Errorf("look for the container of the network namespace: %w", err)
	}
	if err == nil && found.Container.Config != nil && found.Container.Config.Labels[spec.LabelKind] == spec.KindPause {
		if err := removeContainer(ctx, s.engine, found.Container.ID); err != nil {
			return err
		}
	}
	d.mu.Lock()
	delete(d.networks, r.AllocID)
	d.mu.Unlock()
	d.releaseImage(pauseName(r.AllocID))
	return nil
}

// pauseImage makes sure of the image and returns its name: the operator's, pulled, or the one built into the driver.
func (d *Driver) pauseImage(ctx context.Context, s *session) (string, error) {
	d.pauseMu.Lock()
	defer d.pauseMu.Unlock()
	if s.config.InfraImage != "" {
		return d.pullPause(ctx, s)
	}
	built, err := pause.Build(runtime.GOARCH)
	if err != nil {
		return "", err
	}
	_, err = s.engine.ImageInspect(ctx, built.Name)
	if cerrdefs.IsNotFound(err) {
		err = loadImage(ctx, s.engine, "the built-in pause image", bytes.NewReader(built.Archive))
	}
	if err != nil {
		return "", fmt.Errorf("image of the network namespace: %w", err)
	}
	return built.Name, nil
}

func (d *Driver) pullPause(ctx context.Context, s *session) (string, error) {
	ref, err := image.Parse(strings.TrimPrefix(s.config.InfraImage, "https://"))
	if err != nil {
		return "", fmt.Errorf("infra_image of the docker plugin: %w", err)
	}
	if _, err := s.engine.ImageInspect(ctx, ref.Name); err == nil || !cerrdefs.IsNotFound(err) {
		return ref.Name, err
	}
	auth, err := s.keyring.Lookup(ctx, ref, config.TaskAuth{})
	if err != nil {
		return "", fmt.Errorf("infra_image of the docker plugin: %w", err)
	}
	err = s.puller.Pull(ctx, image.Request{Ref: ref, Auth: auth, Limit: s.config.InfraImagePullTimeout})
	if err != nil {
		return "", fmt.Errorf("infra_image of the docker plugin: %w", err)
	}
	return ref.Name, nil
}

// joined is the network mode of a task that wants to live in a named container's namespace: that container is of the same
// allocation, or nobody's if the operator allows it. It is named by its id then, which no other container takes.
func (d *Driver) joined(ctx context.Context, s *session, task *driver.TaskConfig, mode string) (string, error) {
	name, joins := strings.CutPrefix(mode, "container:")
	if !joins {
		return mode, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return "", classed(fmt.Errorf("network_mode: look at container %s: %w", name, err))
	}
	var labels map[string]string
	if found.Container.Config != nil {
		labels = found.Container.Config.Labels
	}
	switch alloc := spec.AllocOf(labels); {
	case alloc == task.AllocID:
	case alloc != "":
		return "", fmt.Errorf("network_mode: container %s belongs to another allocation", name)
	case !s.config.AllowContainerNetwork:
		return "", fmt.Errorf("network_mode: container %s is not of this allocation; the operator can set allow_container_network of the docker plugin for containers that belong to none", name)
	}
	return "container:" + found.Container.ID, nil
}
