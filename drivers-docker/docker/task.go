package docker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/logs"
	"github.com/droverhq/drover/sdk/driver"
)

var errNotConfigured = errors.New("the docker driver is not configured yet")

// task is one container as the driver follows it.
type task struct {
	config    *driver.TaskConfig
	options   config.Task
	container string // the engine's id
	started   time.Time
	network   *driver.NetworkOverride
	emit      driver.EmitFunc
	follower  *logs.Follower // nil: output is not collected
	claim     *claim

	mu       sync.Mutex
	previous *container.StatsResponse // for the next sample's differences
	stopping bool                     // somebody wants it to end
	cores    string                   // those of its container, if it shares them with others
}

// close stops following; the container runs on.
func (t *task) close() {
	if t.follower != nil {
		t.follower.Close()
	}
	t.claim.release()
}

// network labels that hosts know from the driver that first had them.
const (
	sandboxContainer = "docker_sandbox_container_id"
	sandboxHostname  = "docker_sandbox_hostname"
)

// pauseOf is the container whose network namespace the task joins, if the driver made it.
func pauseOf(task *driver.TaskConfig) string {
	if task.Network == nil {
		return ""
	}
	return task.Network.Labels[sandboxContainer]
}

// follow hands the container's output on to where the task's config says.
func (d *Driver) follow(s *session, t *task) {
	if s.config.DisableLogCollection || t.config.StdoutPath == "" && t.config.StderrPath == "" {
		return
	}
	stdout, stderr := d.sink(t.config, t.config.StdoutPath, "stdout"), d.sink(t.config, t.config.StderrPath, "stderr")
	if t.options.TTY {
		stderr = nil
	}
	if stdout == nil && stderr == nil {
		return
	}
	notice := func(message string) { t.emit(message, nil) }
	t.follower = logs.Follow(recordOf{s.engine}, t.container, t.options.TTY, stdout, stderr, notice)
}

// sink is where one stream goes: to the collector that reads the FIFO, otherwise into the FIFO.
func (d *Driver) sink(task *driver.TaskConfig, path, name string) logs.Sink {
	if path == "" || path == os.DevNull {
		return nil
	}
	open := func(ctx context.Context) (logs.Sink, error) {
		if d.collector != nil {
			id, err := d.collector.Find(ctx, path)
			if err == nil {
				return d.collector.Sink(id), nil
			}
			if !errors.Is(err, logs.ErrNoStream) {
				return nil, err
			}
		}
		record := ""
		if _, err := os.Stat(task.TaskDir()); err == nil {
			record = filepath.Join(task.TaskDir(), ".docker."+name+".cursor")
		}
		return logs.OpenPipe(path, record)
	}
	return logs.Later(open)
}
