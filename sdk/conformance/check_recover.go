package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

func recoverChecks() []check {
	return []check{
		{name: "driver/reattach", of: plugin.TypeDriver, run: checkReattach,
			reason: "an agent that restarts finds the same process and the same tasks, and waits for them again"},
		{name: "driver/recover-known", of: plugin.TypeDriver, run: checkRecoverKnown,
			reason: "recovering is repeatable: a task that the process knows is recovered already"},
		{name: "driver/recover-after-kill", of: plugin.TypeDriver, run: checkRecoverAfterKill,
			reason: "a plugin that is killed takes no task with it, and the next process finds them by their handles alone"},
		{name: "driver/recover-after-shutdown", of: plugin.TypeDriver, run: checkRecoverAfterShutdown,
			reason: "an agent that stops ends its plugins and leaves the tasks running"},
		{name: "driver/recover-exit-code", of: plugin.TypeDriver, run: checkRecoverExitCode,
			reason: "a task that ended while no plugin ran must never look as if it had ended in another way"},
		{name: "driver/start-repeated", of: plugin.TypeDriver, run: checkStartRepeated,
			reason: "a host whose plugin died while it started a task asks the next process for the same start; the task must not run twice"},
		{name: "driver/recover-garbage", of: plugin.TypeDriver, run: checkRecoverGarbage,
			reason: "a handle that cannot be read must fail by itself and leave the process and other tasks alone"},
		{name: "driver/recover-without-handle", of: plugin.TypeDriver, run: checkRecoverWithoutHandle,
			reason: "a message without a handle must be refused, not take the process down"},
		{name: "driver/recover-destroyed", of: plugin.TypeDriver, run: checkRecoverDestroyed,
			reason: "recovering finds tasks and never starts one"},
	}
}

func checkReattach(ctx context.Context, s *session) error {
	_, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	if err := s.shared.Client.Close(); err != nil {
		return err
	}
	c, err := host.Dial(ctx, s.shared.Reattach)
	if err != nil {
		return err
	}
	s.shared.Client = c
	d := c.Driver()
	if _, err := c.Info(ctx); err != nil {
		return err
	}
	if err := d.Init(ctx); err != nil {
		return err
	}
	if err := d.RecoverTask(ctx, &t.handle); err != nil {
		return err
	}
	return s.stopAndWait(ctx, d, t)
}

// stopAndWait sees a task that should be running through to its end.
func (s *session) stopAndWait(ctx context.Context, d *host.Driver, t *task) error {
	if err := stillRuns(ctx, d, t); err != nil {
		return err
	}
	if err := d.StopTask(ctx, t.Config.ID, promptly, ""); err != nil {
		return err
	}
	if _, err := d.WaitTask(ctx, t.Config.ID); err != nil {
		return err
	}
	if err := d.DestroyTask(ctx, t.Config.ID, true); err != nil {
		return err
	}
	t.destroyed = true
	return nil
}

func checkRecoverKnown(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	for range 2 {
		if err := d.RecoverTask(ctx, &t.handle); err != nil {
			return err
		}
	}
	return stillRuns(ctx, d, t)
}

func checkRecoverAfterKill(ctx context.Context, s *session) error {
	_, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	if err := s.crash(); err != nil {
		return err
	}
	return s.recovered(ctx, t)
}

func checkRecoverAfterShutdown(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	if err := d.Shutdown(ctx); err != nil {
		return err
	}
	s.end()
	return s.recovered(ctx, t)
}

// recovered checks that a task survived its plugin and that a new process can do everything with it.
func (s *session) recovered(ctx context.Context, t *task) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	if _, err := d.InspectTask(ctx, t.Config.ID); err == nil {
		return errors.New("a new process knows the task before it was told to recover it")
	}
	for range 2 {
		if err := d.RecoverTask(ctx, &t.handle); err != nil {
			return fmt.Errorf("recover the task in a new process: %w", err)
		}
	}
	if _, err := s.inspect(ctx, t.Config.ID); err != nil {
		return fmt.Errorf("inspect the recovered task: %w", err)
	}
	if _, err := d.StartTask(ctx, &t.handle.Config); err == nil {
		return errors.New("a recovered task could be started a second time")
	}
	return s.stopAndWait(ctx, d, t)
}

func checkStartRepeated(ctx context.Context, s *session) error {
	_, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	mark := markerVariable + "=" + s.marker
	if first, err := processesWith(mark); err != nil {
		return skip(err.Error())
	} else if len(first) == 0 {
		return skip("the task's processes cannot be told by their environment")
	}
	if err := s.crash(); err != nil {
		return err
	}
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	if _, err := d.StartTask(ctx, &t.Config); err != nil {
		return warn(fmt.Errorf("the next process does not return the task that runs: %w", err))
	}
	if err := d.DestroyTask(ctx, t.Config.ID, true); err != nil {
		return err
	}
	// If there were two, the one that the first process started is left.
	err = eventually(ctx, promptly, func() error {
		left, err := processesWith(mark)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the task ran twice: processes of the first start are left: %v", left)
		}
		return err
	})
	if err != nil {
		return warn(err)
	}
	t.destroyed = true
	return nil
}

func checkRecoverExitCode(ctx context.Context, s *session) error {
	_, t, err := s.short(ctx)
	if err != nil {
		return err
	}
	if err := s.crash(); err != nil {
		return err
	}
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	if err := d.RecoverTask(ctx, &t.handle); err != nil {
		return warn(fmt.Errorf("the end of a task is lost with the plugin's process: %w", err))
	}
	exit, err := d.WaitTask(ctx, t.Config.ID)
	if err != nil {
		return warn(fmt.Errorf("the end of a task is lost with the plugin's process: %w", err))
	}
	if exit.Err != "" && exit.ExitCode != t.want.ExitCode {
		return warn(fmt.Errorf("the exit code of a task is lost with the plugin's process: %s", exitText(exit)))
	}
	return t.expectExit(exit)
}

func checkRecoverGarbage(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	bad := t.handle
	bad.Config.ID, bad.DriverState = t.NextAttempt().ID, []byte{0xc1, 0xff, 0x00}
	if err := d.RecoverTask(ctx, &bad); err == nil {
		_ = d.DestroyTask(ctx, bad.Config.ID, true)
		return warn(errors.New("a state that no driver wrote was accepted"))
	} else if errors.Is(err, host.ErrPluginDown) {
		return fmt.Errorf("the state ended the plugin: %w", err)
	}
	return stillRuns(ctx, d, t)
}

func checkRecoverWithoutHandle(ctx context.Context, s *session) error {
	p, err := s.process(ctx)
	if err != nil {
		return err
	}
	conn, err := raw(p)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = driverv1.NewClient(conn).RecoverTask(ctx, &driverv1.RecoverTaskRequest{TaskId: "unknown"})
	if err == nil {
		return errors.New("a message without a handle was accepted")
	}
	if err := p.Client.Ping(ctx); errors.Is(err, host.ErrPluginDown) {
		s.end()
		return warn(fmt.Errorf("the message ended the plugin: %w", err))
	}
	return nil
}

func checkRecoverDestroyed(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	if err := d.DestroyTask(ctx, t.Config.ID, true); err != nil {
		return err
	}
	t.destroyed = true
	if err := s.crash(); err != nil {
		return err
	}
	if d, err = s.driver(ctx); err != nil {
		return err
	}
	if err := d.RecoverTask(ctx, &t.handle); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	var exit *driver.ExitResult
	exit, err = d.WaitTask(ctx, t.Config.ID)
	if ctx.Err() != nil {
		_ = d.DestroyTask(context.WithoutCancel(ctx), t.Config.ID, true)
		return warn(errors.New("a destroyed task was recovered and seems to run"))
	}
	if err == nil && exit.Successful() {
		return errors.New("a destroyed task was recovered and seems to have succeeded")
	}
	return nil
}
