package pluginhost

import (
	"context"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/driver"
)

// fingerprinted takes over what the plugin found.
func (g *generation) fingerprinted(ctx context.Context, s *session, f driver.Fingerprint) {
	h := g.family.host
	h.mu.Lock()
	g.fingerprint = &f
	for key, value := range f.Attributes {
		if text := value.Format(); text != "" {
			g.attributes[key] = text
		} else {
			delete(g.attributes, key)
		}
	}
	for key := range g.attributes { // what is missing from a later message stays, within bounds
		if len(g.attributes) <= 2*maxAttributes {
			break
		}
		delete(g.attributes, key)
	}
	h.mu.Unlock()
	g.postFrom(ctx, s, healthEvent(f))
}

func healthEvent(f driver.Fingerprint) lifecycle.Event {
	if f.Err != "" {
		return lifecycle.Event{Kind: lifecycle.Lost, Reason: "failed to fingerprint: " + f.Err}
	}
	return lifecycle.Event{Kind: lifecycle.Health, Reason: f.Description,
		Healthy: f.Health == driver.Healthy, Detected: f.Health != driver.Undetected}
}

// repeatFingerprint applies the last one again, after the plugin had been out of reach.
func (g *generation) repeatFingerprint(ctx context.Context, s *session) {
	h := g.family.host
	h.mu.Lock()
	f, words := g.fingerprint, g.deviceWords
	h.mu.Unlock()
	switch {
	case f != nil:
		g.postFrom(ctx, s, healthEvent(*f))
	case words != "":
		g.postFrom(ctx, s, devicesListed(words))
	}
}

func (g *generation) taskCount() int {
	g.family.host.mu.Lock()
	defer g.family.host.mu.Unlock()
	return g.taskCountLocked()
}

// taskCountLocked presumes a task while the node has not said what became of those that an earlier agent started.
func (g *generation) taskCountLocked() int {
	if g.restored && g.handedTo == 0 && !g.family.host.recovered {
		return max(1, len(g.tasks))
	}
	return len(g.tasks)
}

// holdTask and dropTask keep the tasks that are bound to this generation, with what they can be recovered from; a nil
// handle is not known yet and replaces none.
func (g *generation) holdTask(id string, handle *driver.TaskHandle) {
	g.family.host.mu.Lock()
	if handle != nil || g.tasks[id] == nil {
		g.tasks[id] = handle
	}
	g.family.host.mu.Unlock()
	g.tasksChanged()
}

func (g *generation) dropTask(id string) {
	g.family.host.mu.Lock()
	if holder := g.family.holder(g.number); holder != nil {
		g = holder // a call that outlasted a hand-over
	}
	delete(g.tasks, id)
	g.family.host.mu.Unlock()
	g.tasksChanged()
}

func (g *generation) tasksChanged() {
	select {
	case g.kick <- struct{}{}:
	default: // it will look anyway
	}
}
