package restart

import (
	"testing"
	"time"

	"github.com/droverhq/drover/core/model"
)

func TestDecide(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }
	fail := Policy{RestartPolicy: model.RestartPolicy{Attempts: 2, Interval: time.Minute, Delay: 8 * time.Second, Mode: "fail"}, OnSuccess: true}
	delay := fail
	delay.Mode = "delay"
	batch := fail
	batch.OnSuccess = false
	never := fail
	never.Attempts = 0

	for name, c := range map[string]struct {
		tracker Tracker
		policy  Policy
		cause   Cause
		now     time.Time
		jitter  float64
		want    Decision
		count   int
	}{
		"first failure":             {Tracker{}, fail, Cause{}, at(0), 0, Decision{Restart: true, Delay: 8 * time.Second}, 1},
		"jitter adds up to 25 %":    {Tracker{}, fail, Cause{}, at(0), 0.5, Decision{Restart: true, Delay: 9 * time.Second}, 1},
		"last attempt":              {Tracker{1, at(0)}, fail, Cause{}, at(5 * time.Second), 0, Decision{Restart: true, Delay: 8 * time.Second}, 2},
		"one too many":              {Tracker{2, at(0)}, fail, Cause{}, at(9 * time.Second), 0, Decision{Failed: true, Reason: `Exceeded allowed attempts 2 in interval 1m0s and mode is "fail"`}, 3},
		"delay to interval's end":   {Tracker{2, at(0)}, delay, Cause{}, at(9 * time.Second), 0.9, Decision{Restart: true, Delay: 51 * time.Second, Reason: reasonDelay}, 3},
		"interval over":             {Tracker{2, at(0)}, fail, Cause{}, at(61 * time.Second), 0, Decision{Restart: true, Delay: 8 * time.Second}, 1},
		"success of a service":      {Tracker{}, fail, Cause{Success: true}, at(0), 0, Decision{Restart: true, Delay: 8 * time.Second}, 1},
		"success of a batch":        {Tracker{1, at(0)}, batch, Cause{Success: true}, at(0), 0, Decision{}, 1},
		"failed start, recoverable": {Tracker{}, batch, Cause{StartFailed: true, Recoverable: true}, at(0), 0, Decision{Restart: true, Delay: 8 * time.Second}, 1},
		"failed start for good":     {Tracker{}, fail, Cause{StartFailed: true}, at(0), 0, Decision{Failed: true, Reason: reasonUnrecoverable}, 0},
		"no attempts, failure":      {Tracker{}, never, Cause{}, at(0), 0, Decision{Failed: true, Reason: reasonNotAllowed}, 0},
		"no attempts, success":      {Tracker{}, never, Cause{Success: true}, at(0), 0, Decision{Reason: reasonNotAllowed}, 0},
		"forced does not count":     {Tracker{2, at(0)}, never, Cause{Forced: true}, at(0), 0.5, Decision{Restart: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, tracker := Decide(c.tracker, c.policy, c.cause, c.now, c.jitter)
			if got != c.want || tracker.Count != c.count {
				t.Errorf("got %+v count %d, want %+v count %d", got, tracker.Count, c.want, c.count)
			}
		})
	}
}

func TestFor(t *testing.T) {
	group := &model.TaskGroup{RestartPolicy: &model.RestartPolicy{Attempts: 7}}
	for name, c := range map[string]struct {
		jobType   string
		task      *model.Task
		onSuccess bool
		attempts  int
	}{
		"service main":     {"service", &model.Task{}, true, 7},
		"system main":      {"system", &model.Task{}, true, 7},
		"batch main":       {"batch", &model.Task{RestartPolicy: &model.RestartPolicy{Attempts: 1}}, false, 1},
		"batch sidecar":    {"batch", &model.Task{Lifecycle: &model.Lifecycle{Hook: "prestart", Sidecar: true}}, true, 7},
		"service poststop": {"service", &model.Task{Lifecycle: &model.Lifecycle{Hook: "poststop"}}, false, 7},
	} {
		t.Run(name, func(t *testing.T) {
			p := For(c.jobType, group, c.task)
			if p.OnSuccess != c.onSuccess || p.Attempts != c.attempts {
				t.Errorf("got %+v", p)
			}
		})
	}
}
