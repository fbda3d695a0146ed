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

func waitChecks() []check {
	return []check{
		{name: "driver/wait-repeatable", of: plugin.TypeDriver, run: checkWaitRepeatable,
			reason: "a host that restarted asks again and must get the same answer, at once"},
		{name: "driver/wait-concurrent", of: plugin.TypeDriver, run: checkWaitConcurrent,
			reason: "the old and the new connection of a host may both wait; all get the result"},
		{name: "driver/wait-cancelled", of: plugin.TypeDriver, run: checkWaitCancelled,
			reason: "a host that stops waiting does not want the task to end"},
		{name: "driver/wait-unknown", of: plugin.TypeDriver, run: checkWaitUnknown,
			reason: "hosts recognise a lost task by the text of the error"},
	}
}

func checkWaitRepeatable(ctx context.Context, s *session) error {
	d, t, first, err := s.ended(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	for range 3 {
		again, err := d.WaitTask(ctx, t.Config.ID)
		if err != nil {
			return fmt.Errorf("wait again for an ended task: %w", err)
		}
		if *again != *first {
			return fmt.Errorf("the first answer was %s, a later one %s", exitText(first), exitText(again))
		}
	}
	return nil
}

func checkWaitConcurrent(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	second, err := host.Dial(ctx, s.shared.Reattach)
	if err != nil {
		return err
	}
	defer second.Close()
	const each = 4
	exits, errs := make([]*driver.ExitResult, 2*each), make([]error, 2*each)
	var group sync.WaitGroup
	for i := range exits {
		from := []*host.Driver{d, second.Driver()}[i%2]
		group.Go(func() { exits[i], errs[i] = from.WaitTask(ctx, t.Config.ID) })
	}
	if err := d.StopTask(ctx, t.Config.ID, promptly, ""); err != nil {
		return err
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, exit := range exits {
		if *exit != *exits[0] {
			return fmt.Errorf("one was told %s, another %s", exitText(exits[0]), exitText(exit))
		}
	}
	return nil
}

func checkWaitCancelled(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		if err := stillRuns(ctx, d, t); err != nil { // it cancels its wait
			return err
		}
	}
	return nil
}

func checkWaitUnknown(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	_, err = d.WaitTask(ctx, "unknown")
	return expectNotFound(err)
}

// expectNotFound wants the error for a task that the driver does not know. Another text is only a warning: hosts then
// take the long way.
func expectNotFound(err error) error {
	switch {
	case err == nil:
		return errors.New("a task that does not exist is answered without an error")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("a task that does not exist is not answered: %w", err)
	case errors.Is(err, host.ErrPluginDown):
		return err
	case !errors.Is(err, host.ErrTaskNotFound):
		return warn(fmt.Errorf("hosts look for %q, the answer was: %w", driver.ErrTaskNotFound, err))
	}
	return nil
}
