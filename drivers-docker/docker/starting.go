package docker

import "context"

// starting is a start under way. Whoever wants to stop or destroy the task ends it first, and finds afterwards either the task
// or nothing.
type starting struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it came to its end
}

// begin notes that a task's container may appear before the task does. The returned function ends that.
func (d *Driver) begin(ctx context.Context, id string) (start context.Context, end func()) {
	start, cancel := context.WithCancel(ctx)
	mine := &starting{cancel: cancel, done: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starting[id] = mine
	return start, func() {
		cancel()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.starting[id] == mine {
			delete(d.starting, id)
		}
		close(mine.done)
	}
}

// settled returns a task. If it is being started that is ended first, so that what it made does not stay.
func (d *Driver) settled(ctx context.Context, id string) (*task, error) {
	d.mu.Lock()
	under := d.starting[id]
	d.mu.Unlock()
	if under != nil {
		under.cancel()
		select {
		case <-under.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return d.task(id)
}
