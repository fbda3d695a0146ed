package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func destroyChecks() []check {
	return []check{
		{name: "driver/destroy-ended", of: plugin.TypeDriver, run: checkDestroyEnded,
			reason: "hosts destroy every task at its end, and a task that stays known leaks"},
		{name: "driver/destroy-running-refused", of: plugin.TypeDriver, run: checkDestroyRefused,
			reason: "without force a running task must neither end nor be forgotten"},
		{name: "driver/destroy-force", of: plugin.TypeDriver, run: checkDestroyForce,
			reason: "with force a running task is killed, and those who wait are told"},
		{name: "driver/destroy-leaves-nothing", of: plugin.TypeDriver, run: checkDestroyLeavesNothing,
			reason: "processes that stay behind use the node without anybody knowing"},
		{name: "driver/destroy-unknown", of: plugin.TypeDriver, run: checkDestroyUnknown,
			reason: "hosts count it as done if the text says that the task is unknown"},
	}
}

func checkDestroyEnded(ctx context.Context, s *session) error {
	d, t, _, err := s.ended(ctx)
	if err != nil {
		return err
	}
	if err := d.DestroyTask(ctx, t.Config.ID, false); err != nil {
		return err
	}
	t.destroyed = true
	return forgotten(ctx, d, t)
}

// forgotten fails if the driver still knows a task that was destroyed.
func forgotten(ctx context.Context, d *host.Driver, t *task) error {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	if _, err := d.WaitTask(ctx, t.Config.ID); expectNotFound(err) != nil {
		return fmt.Errorf("wait for a destroyed task: %w", expectNotFound(err))
	}
	if _, err := d.InspectTask(ctx, t.Config.ID); err == nil {
		return errors.New("a destroyed task can still be inspected")
	}
	return nil
}

func checkDestroyRefused(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	if err := d.DestroyTask(ctx, t.Config.ID, false); err == nil {
		return errors.New("a running task was destroyed without force")
	}
	if err := stillRuns(ctx, d, t); err != nil {
		return fmt.Errorf("after destroying it was refused: %w", err)
	}
	return nil
}

func checkDestroyForce(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	waited := make(chan error, 1)
	go func() {
		_, err := d.WaitTask(ctx, t.Config.ID)
		waited <- err
	}()
	if err := d.DestroyTask(ctx, t.Config.ID, true); err != nil {
		return err
	}
	t.destroyed = true
	// Whether the wait began before the task was gone is left open; that it ends is not.
	if err := <-waited; err != nil && !errors.Is(err, host.ErrTaskNotFound) {
		return fmt.Errorf("wait while the task is destroyed: %w", err)
	}
	return forgotten(ctx, d, t)
}

func checkDestroyLeavesNothing(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	mark := markerVariable + "=" + s.marker
	before, err := processesWith(mark)
	if err != nil {
		return skip(err.Error())
	}
	if len(before) == 0 {
		return skip("the task's processes cannot be told by their environment")
	}
	if err := d.DestroyTask(ctx, t.Config.ID, true); err != nil {
		return err
	}
	t.destroyed = true
	return eventually(ctx, promptly, func() error {
		left, err := processesWith(mark)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("processes of the destroyed task still run: %v", left)
		}
		return err
	})
}

func checkDestroyUnknown(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	for _, force := range []bool{false, true} {
		if err := d.DestroyTask(ctx, "unknown", force); err != nil {
			if err := expectNotFound(err); err != nil {
				return err
			}
		}
	}
	return nil
}
