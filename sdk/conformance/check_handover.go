package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func handOverChecks() []check {
	return []check{
		{name: "driver/hand-over", of: plugin.TypeDriver, run: checkHandOver,
			reason: "a new version takes the tasks of the old one while both run, and the old one leaves them alone"},
		{name: "driver/hand-over-returned", of: plugin.TypeDriver, run: checkHandOverReturned,
			reason: "if the new version cannot recover a task, the old one takes all of them back"},
	}
}

// released starts a task and has its process release it.
func (s *session) released(ctx context.Context) (*task, error) {
	p, err := s.process(ctx)
	if err != nil {
		return nil, err
	}
	ext, err := p.Client.Negotiate(ctx, s.plugin.Host)
	if err != nil {
		return nil, err
	}
	if !ext.Has(plugin.ExtensionHandOver) {
		return nil, skip("the plugin does not hand over")
	}
	d, t, err := s.long(ctx)
	if err != nil {
		return nil, err
	}
	waited := make(chan error, 1)
	go func() {
		_, err := d.WaitTask(ctx, t.Config.ID)
		waited <- err
	}()
	list, err := s.shared.Client.Release(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.TaskID == t.Config.ID {
			t.handle = *r.Into(&t.handle)
			if err := <-waited; !errors.Is(err, host.ErrReleased) {
				return nil, fmt.Errorf("a wait for a released task ended with %v, want code Aborted", err)
			}
			return t, nil
		}
	}
	return nil, fmt.Errorf("it released %d tasks, and the one that runs is not among them", len(list))
}

func checkHandOver(ctx context.Context, s *session) error {
	t, err := s.released(ctx)
	if err != nil {
		return err
	}
	old := s.shared
	next, err := s.plugin.Start(ctx)
	if err != nil {
		return err
	}
	s.shared = next
	defer old.Kill(ctx)
	d := next.Client.Driver()
	if err := d.RecoverTask(ctx, &t.handle); err != nil {
		return fmt.Errorf("recover the task in a new process: %w", err)
	}
	if err := old.Client.Driver().DestroyTask(ctx, t.Config.ID, true); !errors.Is(err, host.ErrReleased) {
		return fmt.Errorf("the old process answers %v when told to destroy a task that it released, want code Aborted", err)
	}
	if _, err := old.Client.Driver().StartTask(ctx, &t.handle.Config); !errors.Is(err, host.ErrReleased) {
		return fmt.Errorf("the old process answers %v to a start after its release, want code Aborted", err)
	}
	if err := stillRuns(ctx, d, t); err != nil {
		return err
	}
	old.Kill(ctx)
	return s.stopAndWait(ctx, d, t)
}

func checkHandOverReturned(ctx context.Context, s *session) error {
	t, err := s.released(ctx)
	if err != nil {
		return err
	}
	if err := s.shared.Client.Resume(ctx); err != nil {
		return err
	}
	d := s.shared.Client.Driver()
	if err := d.RecoverTask(ctx, &t.handle); err != nil {
		return fmt.Errorf("recover the task in the process that released it: %w", err)
	}
	return s.stopAndWait(ctx, d, t)
}
