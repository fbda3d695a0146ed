package host

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"

	"github.com/droverhq/drover/sdk/driver"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
)

// Released is a task that a plugin let go of.
type Released struct {
	TaskID string
	// StateVersion and DriverState replace those of the task's handle; version 0 = the handle holds.
	StateVersion int
	DriverState  []byte
}

// Into returns the handle to recover the task from; stored is not changed.
func (r *Released) Into(stored *driver.TaskHandle) *driver.TaskHandle {
	if r.StateVersion == 0 {
		return stored
	}
	next := *stored
	next.Version, next.DriverState = r.StateVersion, r.DriverState
	return &next
}

// Release makes a plugin with the extension "hand-over" let go of all tasks: nothing of them is ended, no call about them
// is answered any more, and its waits end with ErrReleased. With ErrBusy nothing was released: try again, or ask for tasks
// that have ended too, which not every driver can recover. After any other error the plugin is in between: Resume it and
// recover its tasks in it.
func (c *Client) Release(ctx context.Context, includeEnded bool) ([]Released, error) {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	resp, err := extensionv1.NewHandOverClient(c.conn).Release(ctx, &extensionv1.ReleaseRequest{IncludeEnded: includeEnded})
	if err != nil {
		return nil, busy(callError(ctx, "release tasks", err))
	}
	var list []Released
	for _, t := range resp.GetTasks() {
		list = append(list, Released{TaskID: t.GetTaskId(), StateVersion: int(t.GetStateVersion()), DriverState: t.GetDriverState()})
	}
	return list, nil
}

func busy(err error) error {
	var call *CallError
	if errors.As(err, &call) && call.Code == codes.FailedPrecondition {
		call.class = ErrBusy
	}
	return err
}

// Resume takes a release back: the plugin starts tasks again, and recovers those that it is given. Without a release it
// changes nothing.
func (c *Client) Resume(ctx context.Context) error {
	ctx, cancel := deadline(ctx, shortCall)
	defer cancel()
	_, err := extensionv1.NewHandOverClient(c.conn).Resume(ctx, &extensionv1.ResumeRequest{})
	return callError(ctx, "resume", err)
}
