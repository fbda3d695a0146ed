package qemu

import (
	"context"
	"fmt"
	"time"

	"github.com/droverhq/drover/sdk/driver"
)

// pressAgain is how long a guest may do nothing about its power button before
// it is pressed again: one that was pressed before the guest listened is lost.
const pressAgain = 3 * time.Second

// quitWithin is how long QEMU may take to write out what it holds and end.
const quitWithin = 5 * time.Second

// Stop ends a machine. With graceful_shutdown the guest's power button is
// pressed and the guest has the timeout to shut down. Then, or without it,
// QEMU itself is asked to end, which does not wait for the guest but completes
// what it has under way on disks, and at last it is killed.
func (d *Driver) Stop(ctx context.Context, req *driver.StopRequest) error {
	v, err := d.vm(req.TaskID)
	if err != nil {
		return err
	}
	stop := *req
	if v.graceful && req.Timeout > 0 {
		if err := d.powerDown(ctx, v, req); err != nil {
			d.log.Warn("machine does not shut down, ending it", "task", req.TaskID, "reason", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		stop.Signal, stop.Timeout = "", quitWithin
	}
	return d.processes.Stop(ctx, &stop)
}

// powerDown presses the power button until the machine has ended. The error
// says why it has not.
func (d *Driver) powerDown(ctx context.Context, v *vm, req *driver.StopRequest) error {
	ctx, cancel := context.WithTimeout(ctx, req.Timeout)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		if _, err := d.processes.Wait(ctx, req.TaskID); err == nil {
			close(ended)
		}
	}()
	var last error
	for {
		if err := press(ctx, v.dir); err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			if last != nil {
				return last
			}
			return fmt.Errorf("its guest did not within %s", req.Timeout)
		case <-time.After(pressAgain):
		}
	}
}

// press presses the power button once.
func press(ctx context.Context, dir string) error {
	m, err := dialMonitor(ctx, dir)
	if err != nil {
		return err
	}
	defer m.close()
	return m.run(ctx, "system_powerdown", nil)
}
