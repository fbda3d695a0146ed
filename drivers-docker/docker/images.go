package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/image"
	"github.com/droverhq/drover/sdk/driver"
)

// picture is an image as the engine has it.
type picture struct {
	id, user     string
	name         string
	architecture string
	ours         string // the engine's architecture
}

// fetch makes sure that the image is there and holds it for the task.
func (d *Driver) fetch(ctx context.Context, s *session, r *driver.StartRequest[config.Task]) (*picture, error) {
	ref, err := image.Parse(r.Config.Image)
	if err != nil {
		return nil, err
	}
	if !r.Config.ForcePull && !ref.Moves() {
		found, err := d.look(ctx, s, ref, r.Task.ID)
		if err == nil {
			found.warn(r.Emit)
			return found, nil
		}
		if !cerrdefs.IsNotFound(err) {
			return nil, classed(fmt.Errorf("image %s: %w", ref.Name, err))
		}
	}
	if r.Config.Load != "" {
		err = d.load(ctx, s, r.Task, r.Config.Load)
	} else {
		err = d.pull(ctx, s, r, ref)
	}
	if err != nil {
		return nil, err
	}
	found, err := d.look(ctx, s, ref, r.Task.ID)
	if cerrdefs.IsNotFound(err) && r.Config.Load != "" {
		return nil, fmt.Errorf("load %s: the archive has no image named %s", r.Config.Load, ref.Name)
	}
	if err != nil {
		return nil, classed(fmt.Errorf("image %s: %w", ref.Name, err))
	}
	found.warn(r.Emit)
	return found, nil
}

// look finds an image and holds it in the same step, so that clean-up cannot come in between.
func (d *Driver) look(ctx context.Context, s *session, ref image.Reference, taskID string) (*picture, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.engine.ImageInspect(ctx, ref.Name)
	if err != nil {
		return nil, err
	}
	p := &picture{id: found.ID, name: ref.Name, architecture: found.Architecture, ours: d.seen().architecture}
	if found.Config != nil {
		p.user = found.Config.User
	}
	d.imagesMu.Lock()
	d.refs.Hold(taskID, p.id, ref.Name)
	d.imagesMu.Unlock()
	return p, nil
}

// foreign reports whether the image is for another kind of processor.
func (p *picture) foreign() bool {
	return p.architecture != "" && p.ours != "" && p.architecture != p.ours
}

// warn tells the task's user what may explain a strange exit; emulators make foreign images work, so it is no refusal.
func (p *picture) warn(emit driver.EmitFunc) {
	if p.foreign() {
		emit(fmt.Sprintf("Image %s is built for %s, the engine runs on %s", p.name, p.architecture, p.ours), nil)
	}
}

// explain says what "exec format error" means.
func (p *picture) explain(err error) error {
	if p.foreign() && foreignProgram.MatchString(err.Error()) {
		return fmt.Errorf("image %s is built for %s and this engine runs on %s: %w", p.name, p.architecture, p.ours, err)
	}
	return err
}

func (d *Driver) pull(ctx context.Context, s *session, r *driver.StartRequest[config.Task], ref image.Reference) error {
	auth, err := s.keyring.Lookup(ctx, ref, r.Config.Auth)
	if err != nil {
		if !r.Config.AuthSoftFail {
			return driver.Recoverable(fmt.Errorf("pull %s: find credentials: %w", ref.Name, err))
		}
		d.logger.Warn("no credentials found, pulling without", "image", ref.Name, "error", err)
		auth = nil
	}
	limit := r.Config.ImagePullTimeout
	if limit == 0 {
		limit = s.config.ImagePullTimeout
	}
	err = s.puller.Pull(ctx, image.Request{Ref: ref, Auth: auth, Limit: limit, Watch: image.Watcher(r.Emit)})
	if err == nil || image.Missing(err) {
		return err
	}
	return driver.Recoverable(err)
}

// load reads an image archive below the task's local directory; a link that leads out of it is refused.
func (d *Driver) load(ctx context.Context, s *session, task *driver.TaskConfig, name string) error {
	root, err := os.OpenRoot(task.LocalDir())
	if err != nil {
		return fmt.Errorf("load %s: %w", name, err)
	}
	defer root.Close()
	archive, err := root.Open(filepath.Clean(name))
	if err != nil {
		return fmt.Errorf("load %s from the task's local directory: %w", name, err)
	}
	defer archive.Close()
	return loadImage(ctx, s.engine, name, archive)
}

// loadImage gives the engine an archive and waits until it has taken it.
func loadImage(ctx context.Context, e engine, name string, archive io.Reader) error {
	answer, err := e.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return classed(fmt.Errorf("load %s: %w", name, err))
	}
	defer answer.Close()
	if err := messages(answer); err != nil {
		return fmt.Errorf("load %s: %w", name, err)
	}
	return nil
}

// releaseImage notes that a task is gone, and has its image removed in time.
func (d *Driver) releaseImage(taskID string) {
	d.imagesMu.Lock()
	due := d.refs.Release(taskID, time.Now())
	d.imagesMu.Unlock()
	s, err := d.current()
	if due.IsZero() || err != nil || !s.config.GC.Image {
		return
	}
	d.workers.Go(func() {
		select {
		case <-time.After(time.Until(due)):
			d.removeImages(s)
		case <-d.background.Done():
		}
	})
}

// removeImages removes what is due. Only the names that tasks asked for go; an image that has others, or that any
// container of anybody uses, stays.
func (d *Driver) removeImages(s *session) {
	if !d.cleansUp() {
		return
	}
	d.imagesMu.Lock()
	defer d.imagesMu.Unlock() // nobody takes an image up while it goes
	ctx, cancel := context.WithTimeout(d.background, callTimeout)
	defer cancel()
	for _, gone := range d.refs.Due(time.Now()) {
		for _, name := range gone.Names {
			if err := removeImage(ctx, s.engine, gone.ID, name); err != nil {
				d.logger.Info("image not removed", "image", name, "id", gone.ID, "reason", err)
				continue
			}
			d.logger.Debug("image removed", "image", name, "id", gone.ID)
		}
	}
}

var errOtherImage = errors.New("the name stands for another image now")

func removeImage(ctx context.Context, e engine, id, name string) error {
	now, err := e.ImageInspect(ctx, name)
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if now.ID != id {
		return errOtherImage
	}
	users, err := e.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("ancestor", id)})
	if err != nil {
		return err
	}
	if len(users.Items) > 0 {
		return fmt.Errorf("container %.12s uses it", users.Items[0].ID)
	}
	_, err = e.ImageRemove(ctx, name, client.ImageRemoveOptions{PruneChildren: true})
	return err
}
