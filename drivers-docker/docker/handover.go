package docker

import "context"

// Release implements driver.WithHandOver: when it returns nothing of the task's output is on its way to the collector any
// more, so that the next process begins where this one ended. The task stays known here, for commands that still run inside
// it; what nobody uses any more is the next process's to remove.
func (d *Driver) Release(_ context.Context, id string) error {
	t, err := d.task(id)
	if err != nil {
		return err
	}
	t.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released = true
	return nil
}

// takeBack ends what this process still does for a task that it is about to recover: after a release that failed halfway
// its output may be followed already.
func (d *Driver) takeBack(id string) {
	if t, err := d.task(id); err == nil {
		t.close()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released = false
}

// cleansUp reports whether leftovers and images are this process's to remove.
func (d *Driver) cleansUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.released
}
