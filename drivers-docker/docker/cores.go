package docker

import (
	"context"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// keepCores follows the cores that tasks without cores of their own share: the host takes some away when it reserves them
// for a task, and gives them back. A container that was made before would go on running on them.
func (d *Driver) keepCores() {
	tick := time.NewTicker(d.times.cores)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.background.Done():
			return
		}
		if s, err := d.current(); err == nil && d.cleansUp() {
			d.moveContainers(s)
		}
	}
}

// moveContainers gives each container the shared cores of now. What fails is tried again the next time.
func (d *Driver) moveContainers(s *session) {
	read := map[string]string{} // by the group that the host prepared, which many tasks may have in common
	for _, t := range d.all() {
		group := t.config.Resources.Linux.CpusetCgroup
		cores, known := read[group]
		if !known {
			cores = sharedCores(t.config)
			read[group] = cores
		}
		if t.config.Resources.Linux.CpusetCpus != "" || cores == "" || !t.mayMove(cores) {
			continue
		}
		ctx, cancel := context.WithTimeout(d.background, callTimeout)
		_, err := s.engine.ContainerUpdate(ctx, t.container, client.ContainerUpdateOptions{Resources: &container.Resources{CpusetCpus: cores}})
		cancel()
		if err != nil {
			d.logger.Debug("container keeps its cores for now", "task", t.config.ID, "cores", cores, "error", err)
			continue
		}
		t.moved(cores)
	}
}

// all are the tasks of now.
func (d *Driver) all() []*task {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*task, 0, len(d.tasks))
	for _, t := range d.tasks {
		list = append(list, t)
	}
	return list
}

// mayMove reports whether the container runs and has other cores.
func (t *task) mayMove(cores string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.stopping && t.cores != cores
}

func (t *task) moved(cores string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cores = cores
}
