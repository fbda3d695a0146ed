package docker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/droverhq/drover/drivers-docker/config"
	"github.com/droverhq/drover/drivers-docker/spec"
)

// collectLeftovers removes containers of this node that no task knows, such as those of a plugin that was killed between
// making a container and telling the host. What looks like one must look so twice, a period apart.
func (d *Driver) collectLeftovers() {
	suspects := map[string]bool{}
	for {
		s, err := d.current()
		if err != nil {
			return
		}
		period := s.config.GC.DanglingContainers.Period
		if !s.config.GC.DanglingContainers.Enabled || period <= 0 {
			return
		}
		select {
		case <-time.After(period):
		case <-d.background.Done():
			return
		}
		suspects = d.sweep(suspects)
	}
}

// sweep looks once and returns what is suspect now.
func (d *Driver) sweep(before map[string]bool) map[string]bool {
	s, err := d.current()
	if err != nil || !d.cleansUp() {
		return nil
	}
	d.mu.Lock()
	view := leftoverView{owner: d.owner, known: map[string]bool{}, now: time.Now(), grace: s.config.GC.DanglingContainers, pauseGrace: d.times.pauseGrace}
	silent := view.now.Sub(d.asked) > d.times.collectOver
	for _, t := range d.tasks {
		view.known[t.container] = true
	}
	names := map[string]bool{} // of containers
	for _, t := range d.tasks {
		names[spec.Name(t.config)] = true
	}
	busy := len(d.starting) > 0
	for id := range d.starting {
		view.known[id] = true
	}
	beside := slices.Collect(maps.Keys(d.beside))
	for _, id := range d.networks {
		view.known[id] = true
	}
	d.mu.Unlock()
	if silent || view.owner.Node == "" {
		// Without a host nobody recovers tasks of a dead plugin next to this one.
		return nil
	}
	ctx, cancel := context.WithTimeout(d.background, callTimeout)
	defer cancel()
	list, err := s.engine.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", spec.LabelNode+"="+view.owner.Node),
	})
	if err != nil {
		d.logger.Debug("leftovers not looked for", "error", err)
		return nil
	}
	suspects := map[string]bool{}
	for _, c := range list.Items {
		for _, name := range c.Names {
			names[strings.TrimPrefix(name, "/")] = true
		}
	}
	for _, allocs := range beside {
		for _, dir := range stalePrivate(allocs, func(name string) bool { return busy || names[name] }) {
			if before[dir] && !s.config.GC.DanglingContainers.DryRun {
				d.forgetPrivate(dir)
			} else {
				suspects[dir] = true
			}
		}
	}
	for _, c := range view.leftovers(list.Items) {
		if claimed(c.Labels[spec.LabelTaskDir]) {
			continue // another generation of this plugin has it
		}
		switch {
		case !before[c.ID]:
			suspects[c.ID] = true
		case s.config.GC.DanglingContainers.DryRun:
			d.logger.Info("leftover container would be removed", "container", c.ID, "names", c.Names)
		default:
			d.logger.Info("leftover container removed", "container", c.ID, "names", c.Names)
			d.remove(s, c.ID)
		}
	}
	return suspects
}

// leftoverView is what decides which containers nobody needs.
type leftoverView struct {
	owner      spec.Owner
	known      map[string]bool // container ids, and ids of tasks that are being started
	now        time.Time
	grace      config.Dangling
	pauseGrace time.Duration
}

// leftovers are this node's containers that nobody knows and that are not young. A namespace must also be without any
// container of its allocation, and rather old: its tasks may still be downloading.
func (v leftoverView) leftovers(all []container.Summary) []container.Summary {
	inUse := map[string]bool{}
	for _, c := range all {
		if c.Labels[spec.LabelKind] == spec.KindTask {
			inUse[c.Labels[spec.LabelAlloc]] = true
		}
	}
	var found []container.Summary
	for _, c := range all {
		age := v.now.Sub(time.Unix(c.Created, 0))
		if !v.owner.Owns(c.Labels) || v.known[c.ID] || v.known[c.Labels[spec.LabelTaskID]] || age < v.grace.CreationGrace {
			continue
		}
		switch c.Labels[spec.LabelKind] {
		case spec.KindTask:
			found = append(found, c)
		case spec.KindPause:
			if !inUse[c.Labels[spec.LabelAlloc]] && age >= v.pauseGrace {
				found = append(found, c)
			}
		}
	}
	return found
}
