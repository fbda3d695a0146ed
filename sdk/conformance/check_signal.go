package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func signalChecks() []check {
	return []check{
		{name: "driver/signal", of: plugin.TypeDriver, run: checkSignal,
			reason: "users and templates signal tasks; the host calls whatever the driver says it can"},
		{name: "driver/signal-unknown", of: plugin.TypeDriver, run: checkSignalUnknown,
			reason: "a signal that reached nobody must not look as if it had"},
	}
}

func checkSignal(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	if !s.caps.SendSignals {
		err := d.SignalTask(ctx, t.Config.ID, "SIGUSR1")
		if errors.Is(err, host.ErrPluginDown) {
			return err
		}
		if err == nil {
			return warn(errors.New("it sends signals, but does not say so in its capabilities"))
		}
		return skip("the driver cannot send signals")
	}
	if s.config.Signal == "" {
		return skip("no signal is given that the task survives (Config.Signal)")
	}
	if err := d.SignalTask(ctx, t.Config.ID, s.config.Signal); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	if err := t.stdout.expect(ctx, s.config.SignalStdout); err != nil {
		return fmt.Errorf("after %s: %w", s.config.Signal, err)
	}
	return stillRuns(ctx, d, t)
}

func checkSignalUnknown(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	if !s.caps.SendSignals {
		return skip("the driver cannot send signals")
	}
	return expectNotFound(d.SignalTask(ctx, "unknown", "SIGHUP"))
}
