package iis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/droverhq/drover/sdk/driver"
)

// undoTimeout bounds taking back what a failed start had made; the host may have given up long before.
const undoTimeout = 30 * time.Second

// maxFile bounds files of a task that the driver reads: configurations, certificates, passwords. In bytes.
const maxFile = 1 << 20

// Start makes pools and site and starts them. What it made is taken back if any of it fails.
func (d *Driver) Start(ctx context.Context, req *driver.StartRequest[taskConfig]) (*driver.StartResponse[State], error) {
	config := d.configured()
	reach := reach{task: req.Task, allowed: config.AllowedPaths}
	p, err := newPlan(inputs{owner: d.owner, config: config, task: req.Task, resolve: reach.resolve, read: reach.read}, req.Config)
	if err != nil {
		return nil, err
	}
	p.StartedAt = time.Now().Unix()
	d.changes.Lock()
	defer d.changes.Unlock()
	now, err := d.look(ctx, 0)
	if err != nil {
		return nil, driver.Recoverable(err)
	}
	if p.Target != "" {
		if _, ok := now.sites[p.Target]; !ok {
			return nil, driver.Recoverable(fmt.Errorf("IIS has no site %q (target_website)", p.Target))
		}
	}
	if p.State.exists(now) { // of an earlier attempt
		if err := d.remove(ctx, p.State, now); err != nil {
			return nil, driver.Recoverable(err)
		}
	}
	if err := d.make(ctx, p, config, req.Task); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if now, lookErr := d.look(undo, 0); lookErr != nil {
			err = errors.Join(err, lookErr)
		} else if undoErr := d.remove(undo, p.State, now); undoErr != nil {
			err = errors.Join(err, fmt.Errorf("take back what was made: %w", undoErr))
		}
		return nil, driver.Recoverable(err)
	}
	d.keep(req.Task.ID, newTask(p.State, req.Emit))
	return &driver.StartResponse[State]{State: p.State}, nil
}

// make carries a plan out. d.changes is held.
func (d *Driver) make(ctx context.Context, p *plan, config pluginConfig, task *driver.TaskConfig) error {
	for _, dir := range p.Directories {
		if err := fill(dir, config.PlaceholderAppPath); err != nil {
			return err
		}
	}
	server := d.server()
	for i, provider := range p.providers {
		if err := server.AddProvider(ctx, p.Providers[i], provider.Type); err != nil {
			return err
		}
	}
	for _, pool := range p.pools {
		if err := server.AddPool(ctx, pool); err != nil {
			return err
		}
	}
	if config.DirectorySecurity {
		if err := d.permit(ctx, p, task); err != nil {
			return err
		}
	}
	for i := range p.https {
		if err := d.secure(ctx, p, &p.https[i]); err != nil {
			return err
		}
	}
	if p.site != nil {
		if err := server.AddSite(ctx, p.site); err != nil {
			return err
		}
	}
	for _, app := range p.apps {
		name := p.Target + app.path
		if err := server.AddApp(ctx, p.Target, app.path, app.directory, app.pool); err != nil {
			return err
		}
		for _, x := range app.properties {
			if err := server.SetApp(ctx, name, x.Name, x.Value); err != nil {
				return err
			}
		}
		for _, v := range app.virtual {
			if err := server.AddDirectory(ctx, name, alias(v.Alias), v.Path); err != nil {
				return err
			}
		}
	}
	return d.ensureStarted(ctx, p.State)
}

// ensureStarted starts what IIS has not started by itself: depending on its version, what is added runs at once.
func (d *Driver) ensureStarted(ctx context.Context, s State) error {
	now, err := d.look(ctx, 0)
	if err != nil {
		return err
	}
	for _, name := range s.Pools {
		if now.pools[name].State != "Started" {
			if err := d.server().StartPool(ctx, name); err != nil {
				return err
			}
		}
	}
	if s.Site != "" && now.sites[s.Site].State != "Started" {
		if err := d.server().StartSite(ctx, s.Site); err != nil {
			return fmt.Errorf("%w (is the port taken by another program?)", err)
		}
	}
	return nil
}

// permit gives the pools' accounts what they need of the allocation's directories.
func (d *Driver) permit(ctx context.Context, p *plan, task *driver.TaskConfig) error {
	grants := []struct{ dir, access string }{
		{task.LocalDir(), "(OI)(CI)F"}, {filepath.Join(task.TaskDir(), "tmp"), "(OI)(CI)F"}, {task.SecretsDir(), "(OI)(CI)R"},
		{filepath.Join(task.AllocDir, "alloc"), "(OI)(CI)F"},
	}
	for _, dir := range p.Directories {
		grants = append(grants, struct{ dir, access string }{dir, "(OI)(CI)RX"})
	}
	for i, pool := range p.pools {
		account := `IIS AppPool\` + p.Pools[i]
		model := pool.Child("processModel")
		switch model.Get("identityType") {
		case specificUser:
			account = model.Get("userName")
		case poolIdentity:
		default:
			continue // the system's own accounts
		}
		for _, g := range grants {
			if _, err := os.Stat(g.dir); err != nil {
				continue
			}
			if err := d.machine.permit(ctx, g.dir, account, g.access); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill puts the operator's placeholder into a directory that has nothing to serve yet, and makes the directory.
func fill(dir, placeholder string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 || placeholder == "" {
		return err
	}
	if info, err := os.Stat(placeholder); err != nil || !info.IsDir() {
		return nil // there is none on this machine
	}
	if err := os.CopyFS(dir, os.DirFS(placeholder)); err != nil {
		return fmt.Errorf("copy placeholder %s: %w", placeholder, err)
	}
	return nil
}

// reach is what of the machine a task may name.
type reach struct {
	task    *driver.TaskConfig
	allowed []string
}

// resolve follows links, so that none leads out of the allocation or the operator's allowed_paths.
func (r reach) resolve(path string) (string, error) {
	full := filepath.FromSlash(path)
	if !filepath.IsAbs(full) {
		full = filepath.Join(r.task.TaskDir(), full)
	}
	full = filepath.Clean(full)
	real, err := followed(full)
	if err != nil {
		return "", err
	}
	for _, root := range append([]string{r.task.AllocDir}, r.allowed...) {
		root, err := followed(filepath.Clean(root))
		if err != nil {
			continue
		}
		if rel, err := filepath.Rel(root, real); err == nil && filepath.IsLocal(rel) {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s is outside the allocation's directory and the plugin's allowed_paths", path)
}

// followed resolves links in the part of a path that exists.
func followed(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return real, err
	}
	parent := filepath.Dir(path)
	if parent == path {
		return "", err
	}
	if real, err = followed(parent); err != nil {
		return "", err
	}
	return filepath.Join(real, filepath.Base(path)), nil
}

func (r reach) read(path string) ([]byte, error) {
	real, err := r.resolve(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, err
}
