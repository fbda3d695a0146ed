package conformance

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugin"
	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

func streamChecks() []check {
	return []check{
		{name: "driver/stats-first-sample", of: plugin.TypeDriver, run: checkStats,
			reason: "hosts show and publish what a task uses, and read time and usage without looking whether they are there"},
		{name: "driver/stats-end", of: plugin.TypeDriver, run: checkStatsEnd,
			reason: "samples of a task that has ended are wrong"},
		{name: "driver/events-stay-open", of: plugin.TypeDriver, run: checkEvents,
			reason: "events come on one stream that lasts as long as the host; one that ends is opened again and again"},
	}
}

func checkStats(ctx context.Context, s *session) error {
	_, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	conn, err := raw(s.shared)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	const interval = time.Second
	stream, err := driverv1.NewClient(conn).TaskStats(ctx, &driverv1.TaskStatsRequest{TaskId: t.Config.ID, CollectionInterval: durationpb.New(interval)})
	if err != nil {
		return err
	}
	for range 2 {
		resp, err := stream.Recv()
		if err != nil {
			return s.withoutStats(ctx, t, err)
		}
		if err := checkSample(resp.GetStats()); err != nil {
			return err
		}
	}
	return nil
}

// withoutStats tells a driver that never has statistics from one that fails.
func (s *session) withoutStats(ctx context.Context, t *task, received error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("two samples in an interval of 1 s did not come within %s", promptly)
	}
	err := s.shared.Client.Driver().Stats(ctx, t.Config.ID, time.Second, func(driver.TaskStats) error { return enough })
	var marked *driver.RecoverableError
	if errors.As(err, &marked) && !marked.Recoverable {
		return skip("the driver has no statistics: ", err.Error())
	}
	if errors.Is(err, driver.ErrStatsNotSupported) {
		return errors.New("a driver without statistics must mark its error as not recoverable: hosts ask again for ever")
	}
	return fmt.Errorf("statistics of a running task: %w", received)
}

func checkSample(st *driverv1.TaskStats) error {
	switch usage := st.GetAggResourceUsage(); {
	case st.GetTimestamp() == nil:
		return errors.New("the sample has no timestamp")
	case usage == nil:
		return errors.New("the sample has no usage of the whole task")
	default:
		for name, v := range map[string]float64{
			"percent": usage.GetCpu().GetPercent(), "total_ticks": usage.GetCpu().GetTotalTicks(),
			"system_mode": usage.GetCpu().GetSystemMode(), "user_mode": usage.GetCpu().GetUserMode(),
		} {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return warn(fmt.Errorf("cpu usage has %s = %g", name, v))
			}
		}
	}
	return nil
}

func checkStatsEnd(ctx context.Context, s *session) error {
	d, t, err := s.long(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 3*promptly)
	defer cancel()
	sampled := false
	err = d.Stats(ctx, t.Config.ID, time.Second, func(driver.TaskStats) error {
		if sampled {
			return nil
		}
		sampled = true
		return d.StopTask(ctx, t.Config.ID, promptly, "")
	})
	switch {
	case !sampled:
		return skip("the driver has no statistics")
	case ctx.Err() != nil:
		return warn(fmt.Errorf("the stream goes on after the task has ended"))
	}
	return err
}

func checkEvents(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	return staysOpen(ctx, func(ctx context.Context, opened func()) error {
		opened()
		return d.TaskEvents(ctx, func(driver.TaskEvent) error { return nil })
	})
}
