package main

import (
	"context"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/nomad/drivers/shared/executor"
	"github.com/hashicorp/nomad/plugins/drivers"
)

var signals = map[string]syscall.Signal{
	"SIGHUP": syscall.SIGHUP, "SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGKILL": syscall.SIGKILL, "SIGUSR1": syscall.SIGUSR1,
}

// task is one process under its executor.
type task struct {
	config    *drivers.TaskConfig
	exec      executor.Executor
	client    *plugin.Client
	pid       int
	startedAt time.Time
	done      chan struct{}

	mu      sync.Mutex
	exit    *drivers.ExitResult
	endedAt time.Time
}

func newTask(c *drivers.TaskConfig, exec executor.Executor, client *plugin.Client, pid int, startedAt time.Time) *task {
	t := &task{config: c, exec: exec, client: client, pid: pid, startedAt: startedAt, done: make(chan struct{})}
	go t.wait()
	return t
}

func (t *task) wait() {
	ps, err := t.exec.Wait(context.Background())
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.exit, t.endedAt = &drivers.ExitResult{ExitCode: -1, Err: err}, time.Now()
	} else {
		t.exit, t.endedAt = &drivers.ExitResult{ExitCode: ps.ExitCode, Signal: ps.Signal}, ps.Time
	}
	close(t.done)
}

func (t *task) ended() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

func (t *task) result() *drivers.ExitResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.exit.Copy()
}

func (t *task) status() *drivers.TaskStatus {
	s := &drivers.TaskStatus{ID: t.config.ID, Name: t.config.Name, State: drivers.TaskStateRunning, StartedAt: t.startedAt,
		ExitResult: &drivers.ExitResult{}, DriverAttributes: map[string]string{"pid": strconv.Itoa(t.pid)}}
	if t.ended() {
		t.mu.Lock()
		defer t.mu.Unlock()
		s.State, s.CompletedAt, s.ExitResult = drivers.TaskStateExited, t.endedAt, t.exit
	}
	return s
}
