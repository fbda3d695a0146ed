package iis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/droverhq/drover/drivers-iis/appcmd"
	"github.com/droverhq/drover/sdk/driver"
)

// workerPoll is how often the driver looks whether the workers of a stopped pool are gone.
const workerPoll = 200 * time.Millisecond

// Stop ends the site: it takes no new requests, its workers get the timeout to finish those they have.
func (d *Driver) Stop(ctx context.Context, req *driver.StopRequest) error {
	t, err := d.task(req.TaskID)
	if err != nil {
		return err
	}
	defer t.look()
	now, err := d.halt(ctx, t.state)
	if err != nil {
		return err
	}
	for end := time.Now().Add(req.Timeout); ; {
		pids := t.state.pids(now)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(end) {
			return d.kill(pids)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(workerPoll):
		}
		if now, err = d.look(ctx, workerPoll/2); err != nil {
			return err
		}
	}
}

// halt switches a task off in IIS, in an order from which judge can tell that it was on purpose.
func (d *Driver) halt(ctx context.Context, s State) (snapshot, error) {
	d.changes.Lock()
	defer d.changes.Unlock()
	now, err := d.look(ctx, 0)
	if err != nil {
		return now, err
	}
	server := d.server()
	if site, ok := now.sites[s.Site]; ok && s.Site != "" {
		if site.AutoStart() {
			err = server.SetSite(ctx, s.Site, "serverAutoStart", "false")
		}
		if err == nil && site.State == appcmd.Started {
			err = server.StopSite(ctx, s.Site)
		}
	}
	for _, name := range s.Pools {
		if err == nil {
			err = d.pausePool(ctx, name, now)
		}
	}
	for _, app := range s.Apps {
		if err == nil && hasApp(now, s.Target, app) {
			err = server.DeleteApp(ctx, app)
		}
	}
	if err != nil {
		return now, err
	}
	return d.look(ctx, 0)
}

func (d *Driver) pausePool(ctx context.Context, name string, now snapshot) error {
	pool, ok := now.pools[name]
	if !ok {
		return nil
	}
	if pool.AutoStart() {
		if err := d.server().SetPool(ctx, name, "autoStart", "false"); err != nil {
			return err
		}
	}
	if pool.State != appcmd.Started {
		return nil
	}
	return d.server().StopPool(ctx, name)
}

func hasApp(now snapshot, target, app string) bool {
	return State{Target: target, Apps: []string{app}}.hasApps(now)
}

// kill ends workers that did not finish in time.
func (d *Driver) kill(pids []string) error {
	var failed error
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil || pid <= 0 {
			continue
		}
		if err := d.machine.kill(pid); err != nil {
			failed = errors.Join(failed, fmt.Errorf("kill worker process %d: %w", pid, err))
		}
	}
	return failed
}

// Destroy removes everything of the task from IIS.
func (d *Driver) Destroy(ctx context.Context, req *driver.DestroyRequest) error {
	t, err := d.task(req.TaskID)
	if err != nil {
		return err
	}
	if req.Force {
		now, err := d.halt(ctx, t.state)
		if err != nil {
			return err
		}
		if err := d.kill(t.state.pids(now)); err != nil {
			d.logger.Warn("destroy task", "task", req.TaskID, "error", err) // it may just have ended
		}
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	now, err := d.look(ctx, 0)
	if err != nil {
		return err
	}
	if err := d.remove(ctx, t.state, now); err != nil {
		return err
	}
	t.look()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.tasks, req.TaskID)
	return nil
}

// remove takes out of IIS what is there of a task. It can be repeated. d.changes is held.
func (d *Driver) remove(ctx context.Context, s State, now snapshot) error {
	server := d.server()
	var failed error
	try := func(err error) { failed = errors.Join(failed, err) }
	for _, app := range s.Apps {
		if hasApp(now, s.Target, app) {
			try(server.DeleteApp(ctx, app))
		}
	}
	if _, ok := now.sites[s.Site]; ok {
		try(server.DeleteSite(ctx, s.Site))
	}
	for _, endpoint := range s.Endpoints {
		try(d.machine.unbind(ctx, strings.TrimPrefix(endpoint, sniMark), strings.HasPrefix(endpoint, sniMark)))
	}
	for _, thumbprint := range s.Certificates {
		try(d.machine.removeCertificate(thumbprint))
	}
	for _, name := range s.Pools {
		if _, ok := now.pools[name]; ok {
			try(server.DeletePool(ctx, name))
		}
	}
	for _, name := range s.Providers {
		try(server.RemoveProvider(ctx, name))
	}
	d.looking.Lock()
	d.seenAt = time.Time{} // what was seen is out of date
	d.looking.Unlock()
	return failed
}

// look has Wait look at IIS at once.
func (t *task) look() {
	select {
	case t.nudge <- struct{}{}:
	default:
	}
}

// Signal pauses, continues, recycles or ends a site.
func (d *Driver) Signal(ctx context.Context, req *driver.SignalRequest) error {
	t, err := d.task(req.TaskID)
	if err != nil {
		return err
	}
	defer t.look()
	switch strings.ToUpper(req.Signal) {
	case "SIGINT", "SIGTERM", "SIGKILL":
		_, err := d.halt(ctx, t.state)
		return err
	case "SIGHUP", "RECYCLE", "START", "STOP":
	default:
		return fmt.Errorf("signal %s: %w", req.Signal, errUnknownSignal)
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	now, err := d.look(ctx, 0)
	if err != nil {
		return err
	}
	for _, name := range t.state.Pools {
		if err := d.signalPool(ctx, strings.ToUpper(req.Signal), name, now); err != nil {
			return err
		}
	}
	_, err = d.look(ctx, 0)
	return err
}

func (d *Driver) signalPool(ctx context.Context, signal, name string, now snapshot) error {
	pool, ok := now.pools[name]
	if !ok {
		return fmt.Errorf("application pool %s: %w", name, driver.ErrTaskNotFound)
	}
	running := pool.State == appcmd.Started
	switch {
	case signal == "STOP":
		return d.pausePool(ctx, name, now)
	case signal == "START" && !running:
		if err := d.server().StartPool(ctx, name); err != nil {
			return err
		}
		return d.server().SetPool(ctx, name, "autoStart", "true")
	case signal == "START":
		return nil
	case !running:
		return fmt.Errorf("application pool %s is paused: a stopped pool cannot be recycled", name)
	}
	return d.server().RecyclePool(ctx, name)
}

// sweep removes what this node once made and no task knows. Things are removed the second time they are seen: the first
// may be a moment before their task is recovered.
func (d *Driver) sweep(ctx context.Context, now snapshot) {
	left := d.leftovers(now)
	d.mu.Lock()
	again := map[string]bool{}
	var doomed []string
	for _, name := range left {
		if d.strange[name] {
			doomed = append(doomed, name)
		}
		again[name] = true
	}
	d.strange = again
	d.mu.Unlock()
	if len(doomed) == 0 {
		return
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	for _, name := range doomed {
		s := State{}
		if _, ok := now.sites[name]; ok {
			s.Site = name
		} else {
			s.Pools = []string{name}
		}
		if err := d.remove(ctx, s, now); err != nil {
			d.logger.Warn("remove what a dead task left in IIS", "name", name, "error", err)
			continue
		}
		d.logger.Info("removed what a dead task left in IIS", "name", name)
	}
}

// leftovers lists sites, then pools, of this node that no task knows.
func (d *Driver) leftovers(now snapshot) []string {
	known := map[string]bool{}
	d.mu.Lock()
	for _, t := range d.tasks {
		known[t.state.Site] = true
		for _, pool := range t.state.Pools {
			known[pool] = true
		}
	}
	d.mu.Unlock()
	var left []string
	for name := range now.sites {
		if d.owner.ours(name) && !known[name] {
			left = append(left, name)
		}
	}
	for name := range now.pools {
		if d.owner.ours(name) && !known[name] {
			left = append(left, name)
		}
	}
	return left
}

// Cleanup removes everything that this node made in IIS, for an operator whose agent is gone.
func (d *Driver) Cleanup(ctx context.Context) error {
	now, err := d.look(ctx, 0)
	if err != nil {
		return err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	var failed error
	for name := range now.sites {
		if d.owner.ours(name) {
			failed = errors.Join(failed, d.remove(ctx, State{Site: name}, now))
		}
	}
	for name := range now.pools {
		if d.owner.ours(name) {
			failed = errors.Join(failed, d.remove(ctx, State{Pools: []string{name}}, now))
		}
	}
	return failed
}
