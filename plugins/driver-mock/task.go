package main

import (
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/droverhq/drover/sdk/driver"
)

// task is one timer with a configured end.
type task struct {
	config taskConfig
	state  taskState
	stdout io.WriteCloser // nil after a recovery
	stderr io.WriteCloser

	once  sync.Once
	ended chan struct{}
	exit  *driver.ExitResult // read after ended is closed
}

func newTask(config taskConfig, state taskState) *task {
	return &task{config: config, state: state, ended: make(chan struct{})}
}

// end ends the task, unless it has ended.
func (t *task) end(how *driver.ExitResult) {
	t.once.Do(func() {
		t.exit = how
		close(t.ended)
	})
}

// wait ends the task when its time has come, and returns how it ended.
func (t *task) wait(ctx context.Context) (*driver.ExitResult, error) {
	timer := time.NewTimer(time.Until(t.state.StartedAt.Add(t.config.RunFor)))
	defer timer.Stop()
	select {
	case <-timer.C:
		t.end(t.config.exit())
	case <-t.ended:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	<-t.ended
	return t.exit, nil
}

// pauseOrEnd returns after d or when the task has ended.
func (t *task) pauseOrEnd(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-t.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openOutput opens the task's stdout and stderr for writing, as every driver must, even if the task prints nothing.
func (t *task) openOutput(c *driver.TaskConfig) error {
	var err error
	if t.stdout, err = openOutput(c.StdoutPath); err != nil {
		return err
	}
	if t.stderr, err = openOutput(c.StderrPath); err != nil {
		t.stdout.Close()
	}
	return err
}

// openOutput takes no path for no output.
func openOutput(path string) (io.WriteCloser, error) {
	if path == "" {
		path = os.DevNull
	}
	return os.OpenFile(path, os.O_WRONLY, 0)
}

// print writes what the task has to say, at its pace, and closes its output when it ends.
func (t *task) print() {
	defer t.stdout.Close()
	defer t.stderr.Close()
	_, _ = io.WriteString(t.stderr, t.config.Stderr)
	_, _ = io.WriteString(t.stdout, t.config.Stdout)
	for range t.config.StdoutRepeat {
		if !t.pauseUnlessEnded(t.config.StdoutInterval) {
			return
		}
		_, _ = io.WriteString(t.stdout, t.config.Stdout)
	}
	<-t.ended
}

func (t *task) pauseUnlessEnded(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-t.ended:
		return false
	}
}
