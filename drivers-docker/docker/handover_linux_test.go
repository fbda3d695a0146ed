package docker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/droverhq/drover/sdk/driver"
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

// counting is a task that counts on both streams until [rig.endCounting].
func (r *rig) counting() *driver.TaskConfig {
	r.Helper()
	const script = `i=0; while [ ! -e /local/end ]; do echo out $i; echo err $i >&2; i=$((i+1)); [ $((i % 10)) = 0 ] && sleep 0.02; done; exit 9`
	// One file: an engine that rotates while it is read may drop lines.
	return r.task(script, map[string]any{"logging": []any{map[string]any{"type": "json-file", "config": []any{map[string]any{"max-size": "100m"}}}}})
}

// endCounting ends the task and checks that every line came once.
func (r *rig) endCounting(task *driver.TaskConfig) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(task.LocalDir(), "end"), nil, 0o644); err != nil {
		r.Fatal(err)
	}
	if exit := r.wait(task); exit.ExitCode != 9 {
		r.Errorf("exit %+v, want code 9", exit)
	}
	n := strings.Count(r.out(task), "\n")
	sameText(r.T, "stdout", r.out(task), lines("out", n))
	sameText(r.T, "stderr", r.err(task), lines("err", n))
}

// One version of the plugin after the other takes a container over in the middle of its output, which a collector stores
// late: every line arrives once.
func TestHandOver(t *testing.T) {
	r := newRig(t, nil).launch()
	r.collector.slow.Store(int64(30 * time.Millisecond))
	task := r.counting()
	started := r.start(task)
	for range 5 {
		before := len(r.out(task))
		r.until("more output", func() bool { return len(r.out(task)) > before })
		old := r.handOver(started)
		if err := old.Client.Driver().DestroyTask(t.Context(), task.ID, true); !errors.Is(err, host.ErrReleased) {
			t.Errorf("the old process answers %v to a destroy", err)
		}
		r.kill(old)
	}
	r.endCounting(task)
}

// A version that cannot take the tasks gives them back, and the old one follows their output as before: once.
func TestHandOverReturned(t *testing.T) {
	r := newRig(t, nil).launch()
	task := r.counting()
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
	before := len(r.out(task))
	r.until("more output", func() bool { return len(r.out(task)) > before })
	r.endCounting(task)
}

// A process that handed its tasks over may go on for the commands inside them. What it would have cleaned up by itself is
// the next one's, because it may be in use there.
func TestReleasedProcessCleansNothingUp(t *testing.T) {
	const name, other, delay = "released:1", "released:2", 300 * time.Millisecond
	r := newRig(t, map[string]any{"gc": []any{map[string]any{"image_delay": delay.String()}}}).launch()
	for _, target := range []string{name, other} { // what tasks ask for is removed in the end
		if _, err := r.daemon.client.ImageTag(t.Context(), client.ImageTagOptions{Source: busybox, Target: target}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = r.daemon.client.ImageRemove(context.Background(), target, client.ImageRemoveOptions{}) })
	}
	gone, stays := r.task("true", of(name)), r.task("sleep 1000", of(other))
	r.start(gone)
	r.wait(gone)
	started := r.start(stays)
	r.destroy(gone) // from here its image is due
	r.handOver(started)
	time.Sleep(2 * delay)
	if !r.hasImage(name) {
		t.Error("the old process removed an image")
	}
}
