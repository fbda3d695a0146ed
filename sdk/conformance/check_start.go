package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func startChecks() []check {
	return []check{
		{name: "driver/start", of: plugin.TypeDriver, run: checkStart,
			reason: "the handle is all that the host keeps: it must name the task, carry its config and a version"},
		{name: "driver/start-does-not-wait", of: plugin.TypeDriver, run: checkStartDoesNotWait,
			reason: "the task counts as running when the call returns, not when the task ends"},
		{name: "driver/exit-code", of: plugin.TypeDriver, run: checkExitCode,
			reason: "restart policies and users decide by it"},
		{name: "driver/output", of: plugin.TypeDriver, run: checkOutput,
			reason: "logs are what the task writes to the two pipes"},
		{name: "driver/null-output", of: plugin.TypeDriver, run: checkNullOutput,
			reason: "jobs can switch log collection off, and output then goes to the null device"},
		{name: "driver/start-duplicate", of: plugin.TypeDriver, run: checkStartDuplicate,
			reason: "a host that lost an answer may ask again, and must not get two tasks"},
		{name: "driver/start-bad-config", of: plugin.TypeDriver, run: checkStartBadConfig,
			reason: "a failed start leaves nothing behind: the host does not clean up after it"},
		{name: "driver/many-tasks", of: plugin.TypeDriver, run: checkManyTasks,
			reason: "one process serves all tasks of a node, which start and end at the same time"},
	}
}

func checkStart(ctx context.Context, s *session) error {
	_, t, err := s.short(ctx)
	if err != nil {
		return err
	}
	h := t.handle
	switch {
	case h.Config.ID != t.Config.ID:
		return fmt.Errorf("the handle's config has id %q, not %q", h.Config.ID, t.Config.ID)
	case h.Version == 0:
		return errors.New("the handle has state version 0, which is reserved: give it one from 1 on")
	case h.Config.AllocDir != t.Config.AllocDir || h.Config.StdoutPath != t.Config.StdoutPath || h.Config.Name != t.Config.Name:
		return errors.New("the handle's config is not the task's: it is what the driver gets back when it has to recover the task")
	}
	return nil
}

func checkStartDoesNotWait(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	return stillRuns(ctx, d, t)
}

func checkExitCode(ctx context.Context, s *session) error {
	_, t, exit, err := s.ended(ctx)
	if err != nil {
		return err
	}
	return t.expectExit(exit)
}

func checkOutput(ctx context.Context, s *session) error {
	_, t, _, err := s.ended(ctx)
	if err != nil {
		return err
	}
	if t.want.Stdout == "" && t.want.Stderr == "" {
		return skip("the task is not said to write anything (Task.Stdout)")
	}
	if s.caps.DisableLogCollection {
		return skip("the driver collects logs itself")
	}
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	if err := t.stdout.expect(ctx, t.want.Stdout); err != nil {
		return fmt.Errorf("stdout: %w", err)
	}
	if err := t.stderr.expect(ctx, t.want.Stderr); err != nil {
		return fmt.Errorf("stderr: %w", err)
	}
	return nil
}

func checkNullOutput(ctx context.Context, s *session) error {
	d, err := s.usable(ctx)
	if err != nil {
		return err
	}
	if s.config.Task == nil {
		return skip("no task is given that ends by itself (Config.Task)")
	}
	t, err := s.prepare(s.config.Task, true)
	if err != nil {
		return err
	}
	if err := t.launch(ctx, d); err != nil {
		return err
	}
	exit, err := d.WaitTask(ctx, t.Config.ID)
	if err != nil {
		return err
	}
	return t.expectExit(exit)
}

func checkStartDuplicate(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	if _, err := d.StartTask(ctx, &t.Config); err == nil {
		return errors.New("a second start of the same id succeeded")
	}
	if err := stillRuns(ctx, d, t); err != nil {
		return fmt.Errorf("after a second start was refused: %w", err)
	}
	return nil
}

func checkStartBadConfig(ctx context.Context, s *session) error {
	d, err := s.usable(ctx)
	if err != nil {
		return err
	}
	for name, config := range map[string][]byte{
		"garbage":         {0xc1, 0xff, 0x00},
		"a text":          {0xa3, 'a', 'b', 'c'},
		"a truncated map": {0x82, 0xa1, 'a'},
	} {
		t, err := s.place(&Task{}, false)
		if err != nil {
			return err
		}
		t.Config.DriverConfig = config
		if err := t.launch(ctx, d); err == nil {
			return fmt.Errorf("a task whose config is %s was started", name)
		} else if errors.Is(err, host.ErrPluginDown) {
			return fmt.Errorf("a task whose config is %s ended the plugin: %w", name, err)
		}
		if _, err := d.InspectTask(ctx, t.Config.ID); err == nil {
			return fmt.Errorf("the driver still knows a task that it could not start (its config is %s)", name)
		}
	}
	return nil
}

func checkManyTasks(ctx context.Context, s *session) error {
	d, err := s.usable(ctx)
	if err != nil {
		return err
	}
	if s.config.Task == nil {
		return skip("no task is given that ends by itself (Config.Task)")
	}
	const many = 8
	var tasks []*task
	for range many {
		t, err := s.prepare(s.config.Task, false)
		if err != nil {
			return err
		}
		tasks = append(tasks, t)
	}
	errs := make([]error, many)
	var group sync.WaitGroup
	for i, t := range tasks {
		group.Go(func() { errs[i] = runThrough(ctx, d, t) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// runThrough is a task's life without incident.
func runThrough(ctx context.Context, d *host.Driver, t *task) error {
	if err := t.launch(ctx, d); err != nil {
		return err
	}
	var exit *driver.ExitResult
	exit, err := d.WaitTask(ctx, t.Config.ID)
	if err != nil {
		return err
	}
	if err := t.expectExit(exit); err != nil {
		return err
	}
	return d.DestroyTask(ctx, t.Config.ID, true)
}
