package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

func inspectChecks() []check {
	return []check{
		{name: "driver/inspect-running", of: plugin.TypeDriver, run: checkInspectRunning,
			reason: "tools read the status; hosts read both times and the result without looking whether they are there"},
		{name: "driver/inspect-ended", of: plugin.TypeDriver, run: checkInspectEnded,
			reason: "an ended task is shown with when and how it ended"},
		{name: "driver/inspect-unknown", of: plugin.TypeDriver, run: checkInspectUnknown,
			reason: "a task that does not exist must not look like one that does"},
	}
}

// inspect asks without the mending of package host.
func (s *session) inspect(ctx context.Context, id string) (*driverv1.TaskStatus, error) {
	conn, err := raw(s.shared)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	resp, err := driverv1.NewClient(conn).InspectTask(ctx, &driverv1.InspectTaskRequest{TaskId: id})
	if err != nil {
		return nil, err
	}
	st := resp.GetTask()
	switch {
	case st == nil:
		return nil, errors.New("the answer has no task status")
	case st.GetStartedAt() == nil || st.GetCompletedAt() == nil:
		return nil, errors.New("the status lacks started_at or completed_at; while the task runs the latter is the zero time")
	case st.GetResult() == nil:
		return nil, errors.New("the status lacks its result, which is an empty message while the task runs")
	case st.GetId() != id:
		return nil, fmt.Errorf("the status is that of task %q", st.GetId())
	}
	return st, nil
}

func checkInspectRunning(ctx context.Context, s *session) error {
	_, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	st, err := s.inspect(ctx, t.Config.ID)
	if err != nil {
		return err
	}
	if driver.TaskState(st.GetState()) == driver.TaskExited {
		return errors.New("a running task is shown as exited")
	}
	if st.GetName() != t.Config.Name {
		return fmt.Errorf("the task's name is %q and is shown as %q", t.Config.Name, st.GetName())
	}
	return nil
}

func checkInspectEnded(ctx context.Context, s *session) error {
	_, t, exit, err := s.ended(ctx)
	if err != nil {
		return err
	}
	st, err := s.inspect(ctx, t.Config.ID)
	if err != nil {
		return err
	}
	switch {
	case driver.TaskState(st.GetState()) == driver.TaskRunning:
		return errors.New("an ended task is shown as running")
	case st.GetCompletedAt().AsTime().Before(st.GetStartedAt().AsTime()):
		return fmt.Errorf("the task ended at %s, before it started", st.GetCompletedAt().AsTime())
	case int(st.GetResult().GetExitCode()) != exit.ExitCode:
		return fmt.Errorf("the exit code is %d and is shown as %d", exit.ExitCode, st.GetResult().GetExitCode())
	}
	return nil
}

func checkInspectUnknown(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	_, err = d.InspectTask(ctx, "unknown")
	return expectNotFound(err)
}
