package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

func stopChecks() []check {
	return []check{
		{name: "driver/stop", of: plugin.TypeDriver, run: checkStop,
			reason: "a task that obeys ends soon, and the driver still knows it: the host asks how it ended"},
		{name: "driver/stop-kills", of: plugin.TypeDriver, run: checkStopKills,
			reason: "a task that does not obey is killed after the timeout; nobody else will"},
		{name: "driver/stop-ended", of: plugin.TypeDriver, run: checkStopEnded,
			reason: "a task may end just before it is stopped; hosts repeat failed stops for minutes"},
		{name: "driver/stop-unknown", of: plugin.TypeDriver, run: checkStopUnknown,
			reason: "hosts count a stop as done if the text says that the task is unknown"},
		{name: "driver/stop-without-timeout", of: plugin.TypeDriver, run: checkStopWithoutTimeout,
			reason: "a message without a duration must be refused, not take the process down"},
	}
}

func checkStop(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	const timeout = 20 * time.Second
	start := time.Now()
	if err := d.StopTask(ctx, t.Config.ID, timeout, ""); err != nil {
		return err
	}
	if _, err := d.WaitTask(ctx, t.Config.ID); err != nil {
		return fmt.Errorf("wait after the stop: %w", err)
	}
	if took := time.Since(start); took >= timeout {
		return fmt.Errorf("the task ended after %s: it was killed after the timeout instead of obeying the driver's signal", took.Round(time.Second))
	}
	if _, err := d.InspectTask(ctx, t.Config.ID); err != nil {
		return fmt.Errorf("inspect after the stop: %w", err)
	}
	return nil
}

func checkStopKills(ctx context.Context, s *session) error {
	d, err := s.usable(ctx)
	if err != nil {
		return err
	}
	if s.config.StubbornTask == nil {
		return skip("no task is given that ignores signals (Config.StubbornTask)")
	}
	_, t, err := s.running(ctx, d, s.config.StubbornTask)
	if err != nil {
		return err
	}
	const timeout = time.Second
	start := time.Now()
	if err := d.StopTask(ctx, t.Config.ID, timeout, ""); err != nil {
		return err
	}
	if _, err := d.WaitTask(ctx, t.Config.ID); err != nil {
		return fmt.Errorf("wait after the stop: %w", err)
	}
	if took := time.Since(start); took > timeout+2*promptly {
		return fmt.Errorf("the task lived for %s after a stop with a timeout of %s", took.Round(time.Second), timeout)
	}
	return nil
}

func checkStopEnded(ctx context.Context, s *session) error {
	d, t, _, err := s.ended(ctx)
	if err != nil {
		return err
	}
	return warn(d.StopTask(ctx, t.Config.ID, time.Second, ""))
}

func checkStopUnknown(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	if err := d.StopTask(ctx, "unknown", time.Second, ""); err != nil {
		return expectNotFound(err)
	}
	return nil
}

func checkStopWithoutTimeout(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	conn, err := raw(s.shared)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = driverv1.NewClient(conn).StopTask(ctx, &driverv1.StopTaskRequest{TaskId: t.Config.ID})
	if err == nil {
		return warn(errors.New("the message was accepted"))
	}
	if err := s.shared.Client.Ping(ctx); errors.Is(err, host.ErrPluginDown) {
		return fmt.Errorf("the message ended the plugin: %w", err)
	}
	return stillRuns(ctx, d, t)
}
