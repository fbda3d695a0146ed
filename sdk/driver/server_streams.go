package driver

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"google.golang.org/grpc"

	driverv1 "github.com/droverhq/drover/sdk/proto/driver/v1"
)

const (
	fingerprintInterval = 30 * time.Second
	// fingerprintTimeout bounds one attempt, so that a hanging runtime shows as an error instead of silence.
	fingerprintTimeout = 30 * time.Second
	statsInterval      = time.Second
)

// Fingerprint sends what the driver finds: at once, then whenever it changed.
func (s *server[C, S]) Fingerprint(_ *driverv1.FingerprintRequest, stream grpc.ServerStreamingServer[driverv1.FingerprintResponse]) error {
	interval := fingerprintInterval
	if w, ok := s.impl.(WithFingerprintInterval); ok && w.FingerprintInterval() > 0 {
		interval = w.FingerprintInterval()
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last *Fingerprint
	for {
		triggered := s.trigger.next() // taken before looking, so that no trigger is lost meanwhile
		found := s.fingerprint(stream.Context())
		if err := stream.Context().Err(); err != nil {
			return err
		}
		if !reflect.DeepEqual(found, last) {
			if err := stream.Send(found.Proto()); err != nil {
				return err
			}
			last = found
		}
		select {
		case <-ticker.C:
		case <-triggered:
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.closing.Done():
			return ErrPluginDown
		}
	}
}

func (s *server[C, S]) fingerprint(ctx context.Context) *Fingerprint {
	ctx, cancel := context.WithTimeout(ctx, fingerprintTimeout)
	defer cancel()
	found, err := s.impl.Fingerprint(ctx)
	if err == nil && found == nil {
		err = errors.New("the driver returned no fingerprint")
	}
	if err != nil {
		return &Fingerprint{Health: Unhealthy, Description: err.Error(), Err: err.Error()}
	}
	if found.Health == Healthy && found.Description == "" {
		described := *found
		described.Description = "Healthy"
		return &described
	}
	return found
}

// TaskEvents sends what drivers emit until the host leaves.
func (s *server[C, S]) TaskEvents(_ *driverv1.TaskEventsRequest, stream grpc.ServerStreamingServer[driverv1.DriverTaskEvent]) error {
	l := s.events.listen()
	defer s.events.leave(l)
	for {
		for _, e := range l.take() {
			if err := stream.Send(e.Proto()); err != nil {
				return err
			}
		}
		select {
		case <-l.signal:
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.closing.Done():
			return ErrPluginDown
		}
	}
}

func (s *server[C, S]) emitter(task *TaskConfig) EmitFunc {
	e := TaskEvent{TaskID: task.ID, AllocID: task.AllocID, TaskName: task.Name}
	return func(message string, annotations map[string]string) {
		e := e
		e.Timestamp, e.Message, e.Annotations = time.Now(), message, annotations
		s.events.send(e)
	}
}

// TaskStats samples a task: at once, then in the wanted interval, until the task ends.
func (s *server[C, S]) TaskStats(req *driverv1.TaskStatsRequest, stream grpc.ServerStreamingServer[driverv1.TaskStatsResponse]) error {
	if req.GetCollectionInterval() == nil {
		return fmt.Errorf("failed to parse collection interval: %w", errNilDuration)
	}
	w, ok := s.impl.(WithStats)
	if !ok {
		return statusOf(Unrecoverable(ErrStatsNotSupported))
	}
	t, err := s.tasks.get(req.GetTaskId())
	if err != nil {
		return err
	}
	interval := req.GetCollectionInterval().AsDuration()
	if interval <= 0 {
		interval = statsInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		sample, err := w.Stats(stream.Context(), t.id)
		switch {
		case t.letGo():
			return errReleased
		case t.ended() || errors.Is(err, ErrTaskNotFound):
			return nil
		case errors.Is(err, ErrStatsNotSupported):
			return statusOf(Unrecoverable(err))
		case err != nil:
			return statusOf(err)
		case sample == nil:
			return errors.New("the driver returned no statistics")
		}
		if err := stream.Send(&driverv1.TaskStatsResponse{Stats: complete(sample, t.id).Proto()}); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-t.done:
			if t.letGo() {
				return errReleased
			}
			return nil
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.closing.Done():
			return ErrPluginDown
		}
	}
}

// complete fills in what a driver may leave out.
func complete(sample *TaskStats, id string) *TaskStats {
	full := *sample
	full.ID = id
	if full.Timestamp.IsZero() {
		full.Timestamp = time.Now()
	}
	return &full
}

// broadcast wakes everybody who waits.
type broadcast struct {
	mu   sync.Mutex
	wake chan struct{}
}

func newBroadcast() *broadcast { return &broadcast{wake: make(chan struct{})} }

// next returns a channel that is closed by the next trigger.
func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wake
}

// forward triggers for every value that comes in.
func (b *broadcast) forward(ctx context.Context, in <-chan struct{}) {
	for {
		select {
		case _, open := <-in:
			if !open {
				return
			}
			b.mu.Lock()
			close(b.wake)
			b.wake = make(chan struct{})
			b.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}
