package docker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/droverhq/drover/sdk/host"
)

// handOver has the plugin's process release its tasks and another one take them over, while both run.
func (r *rig) handOver(tasks ...*host.StartResult) (old *host.Process) {
	r.Helper()
	old = r.process
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	list, err := old.Client.Release(ctx, false)
	if err != nil || len(list) != len(tasks) {
		r.Fatalf("released %d tasks of %d: %v", len(list), len(tasks), err)
	}
	r.launch()
	for _, s := range tasks {
		r.recoverTask(s)
	}
	return old
}

// One version of the plugin after the other takes a container over in the middle of its output, which a collector stores
// late: every line arrives once.
func TestHandOver(t *testing.T) {
	r := newRig(t, nil).launch()
	r.collector.slow.Store(int64(30 * time.Millisecond))
	const n = 4000
	task := r.task(counter(n), nil)
	started := r.start(task)
	for range 5 {
		before := len(r.out(task))
		r.until("more output", func() bool { return len(r.out(task)) > before || !r.inspect(task).State.Running })
		old := r.handOver(started)
		if err := old.Client.Driver().DestroyTask(t.Context(), task.ID, true); !errors.Is(err, host.ErrReleased) {
			t.Errorf("the old process answers %v to a destroy", err)
		}
		r.kill(old)
	}
	if exit := r.wait(task); exit.ExitCode != 9 {
		t.Errorf("exit %+v, want code 9", exit)
	}
	sameText(t, "stdout", r.out(task), lines("out", n))
	sameText(t, "stderr", r.err(task), lines("err", n))
}

// A version that cannot take the tasks gives them back, and the old one follows their output as before: once.
func TestHandOverReturned(t *testing.T) {
	r := newRig(t, nil).launch()
	const n = 2000
	task := r.task(counter(n), nil)
	started := r.start(task)
	r.until("some output", func() bool { return r.out(task) != "" })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := r.process.Client.Release(ctx, false); err != nil {
		t.Fatal(err)
	}
	if err := r.process.Client.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	r.recoverTask(started)
	if exit := r.wait(task); exit.ExitCode != 9 {
		t.Errorf("exit %+v, want code 9", exit)
	}
	sameText(t, "stdout", r.out(task), lines("out", n))
}

// A process that handed its tasks over may go on for the commands inside them. What it would have cleaned up by itself is
// the next one's, because it may be in use there.
func TestReleasedProcessCleansNothingUp(t *testing.T) {
	const name, delay = "released:1", 300 * time.Millisecond
	r := newRig(t, map[string]any{"gc": []any{map[string]any{"image_delay": delay.String()}}}).launch()
	if _, err := r.daemon.client.ImageTag(t.Context(), client.ImageTagOptions{Source: busybox, Target: name}); err != nil {
		t.Fatal(err)
	}
	gone, stays := r.task("true", of(name)), r.task("sleep 1000", nil)
	r.start(gone)
	r.wait(gone)
	started := r.start(stays)
	r.destroy(gone) // from here its image is due
	r.handOver(started)
	time.Sleep(2 * delay)
	if !r.hasImage(name) {
		t.Error("the old process removed an image")
	}
	if _, err := r.daemon.client.ImageRemove(t.Context(), name, client.ImageRemoveOptions{}); err != nil {
		t.Error(err)
	}
}
