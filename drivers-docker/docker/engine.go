package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/image"
	"github.com/droverhq/drover/drivers-docker/logs"
)

// callTimeout bounds every call that is not meant to last.
const callTimeout = 5 * time.Minute

// engine is all that the driver asks of a Docker engine. The moby client is one.
type engine interface {
	Ping(ctx context.Context, o client.PingOptions) (client.PingResult, error)
	Info(ctx context.Context, o client.InfoOptions) (client.SystemInfoResult, error)
	Events(ctx context.Context, o client.EventsListOptions) client.EventsResult
	NetworkInspect(ctx context.Context, id string, o client.NetworkInspectOptions) (client.NetworkInspectResult, error)

	ContainerCreate(ctx context.Context, o client.ContainerCreateOptions) (client.ContainerCreateResult, error)
	ContainerStart(ctx context.Context, id string, o client.ContainerStartOptions) (client.ContainerStartResult, error)
	ContainerStop(ctx context.Context, id string, o client.ContainerStopOptions) (client.ContainerStopResult, error)
	ContainerKill(ctx context.Context, id string, o client.ContainerKillOptions) (client.ContainerKillResult, error)
	ContainerRemove(ctx context.Context, id string, o client.ContainerRemoveOptions) (client.ContainerRemoveResult, error)
	ContainerInspect(ctx context.Context, id string, o client.ContainerInspectOptions) (client.ContainerInspectResult, error)
	ContainerList(ctx context.Context, o client.ContainerListOptions) (client.ContainerListResult, error)
	ContainerLogs(ctx context.Context, id string, o client.ContainerLogsOptions) (client.ContainerLogsResult, error)
	ContainerStats(ctx context.Context, id string, o client.ContainerStatsOptions) (client.ContainerStatsResult, error)
	ContainerUpdate(ctx context.Context, id string, o client.ContainerUpdateOptions) (client.ContainerUpdateResult, error)
	ContainerWait(ctx context.Context, id string, o client.ContainerWaitOptions) client.ContainerWaitResult

	ExecCreate(ctx context.Context, id string, o client.ExecCreateOptions) (client.ExecCreateResult, error)
	ExecAttach(ctx context.Context, id string, o client.ExecAttachOptions) (client.ExecAttachResult, error)
	ExecResize(ctx context.Context, id string, o client.ExecResizeOptions) (client.ExecResizeResult, error)
	ExecInspect(ctx context.Context, id string, o client.ExecInspectOptions) (client.ExecInspectResult, error)

	ImageInspect(ctx context.Context, name string, o ...client.ImageInspectOption) (client.ImageInspectResult, error)
	ImagePull(ctx context.Context, name string, o client.ImagePullOptions) (client.ImagePullResponse, error)
	ImageLoad(ctx context.Context, in io.Reader, o ...client.ImageLoadOption) (client.ImageLoadResult, error)
	ImageRemove(ctx context.Context, name string, o client.ImageRemoveOptions) (client.ImageRemoveResult, error)

	ClientVersion() string // of the API that is spoken, once the engine has answered something
	Close() error
}

var _ engine = (*client.Client)(nil)

// connect makes a client; nothing is dialled yet.
func connect(p config.Plugin) (*client.Client, error) {
	options := []client.Opt{client.WithUserAgent("drover")}
	if p.Endpoint != "" {
		options = append(options, client.WithHost(p.Endpoint))
	} else if os.Getenv(client.EnvOverrideHost) != "" {
		options = append(options, client.WithHostFromEnv())
	}
	if p.TLS.Cert+p.TLS.Key+p.TLS.CA != "" {
		options = append(options, client.WithTLSClientConfig(p.TLS.CA, p.TLS.Cert, p.TLS.Key))
	} else if p.Endpoint == "" {
		options = append(options, client.WithTLSClientConfigFromEnv())
	}
	c, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("docker client: %w", err)
	}
	return c, nil
}

// unreachable reports whether an error says nothing about the request: the engine did not get it, or not to its end.
func unreachable(err error) bool {
	if err == nil {
		return false
	}
	return client.IsErrConnectionFailed(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) || cerrdefs.IsUnavailable(err) ||
		isNetwork(err)
}

// registryOf lets the puller pull through an engine.
type registryOf struct{ engine engine }

func (r registryOf) Pull(ctx context.Context, name, auth string) (image.Messages, error) {
	return r.engine.ImagePull(ctx, name, client.ImagePullOptions{RegistryAuth: auth})
}

// recordOf lets a follower read the engine's record of a container's output.
type recordOf struct{ engine engine }

var _ logs.Source = recordOf{}

func (r recordOf) Logs(ctx context.Context, id, since string) (io.ReadCloser, error) {
	body, err := r.engine.ContainerLogs(ctx, id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: true, Since: since,
	})
	if cerrdefs.IsNotImplemented(err) || err != nil && unreadable.MatchString(err.Error()) {
		return nil, logs.NoRecord(err)
	}
	return body, err
}

func (r recordOf) Ended(ctx context.Context, id string) (ended, gone bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := r.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if cerrdefs.IsNotFound(err) {
		return true, true, nil
	}
	if err != nil {
		return false, false, err
	}
	s := found.Container.State
	return s != nil && !s.Running && !s.Paused && !s.Restarting && s.Status != "created", false, nil
}
