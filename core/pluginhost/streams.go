package pluginhost

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

// What a plugin may send us, at most. Beyond that it is slowed down (its stream is not read) or cut.
const (
	fingerprintGap   = 100 * time.Millisecond // between two fingerprints
	maxAttributes    = 512
	maxAttributeKey  = 256
	maxAttributeText = 4 << 10
	maxDescription   = 1 << 10
	eventBurst       = 500
	eventGap         = 5 * time.Millisecond // between two task events once the burst is used up
	maxReopen        = 2 * time.Minute
)

// watch opens the streams of a session and keeps them open until it is released.
func (g *generation) watch(s *session) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	switch s.info.Type {
	case plugin.TypeDriver:
		s.loops.Go(func() { g.fingerprints(ctx, s) })
		s.loops.Go(func() { g.taskEvents(ctx, s) })
	case plugin.TypeDevice:
		s.loops.Go(func() { g.deviceLists(ctx, s) })
		s.loops.Go(func() { g.deviceSamples(ctx, s) })
	}
	s.loops.Go(func() { g.ping(ctx, s) })
}

func (g *generation) fingerprints(ctx context.Context, s *session) {
	g.reopen(ctx, func() error {
		return s.client.Driver().Fingerprint(ctx, func(f driver.Fingerprint) error {
			g.fingerprinted(ctx, s, trim(f))
			return pause(ctx, fingerprintGap)
		})
	}, func(err error) {
		if err == nil {
			return // it said what it had to say; it is asked again
		}
		g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Lost, Reason: "failed to fingerprint: " + err.Error()})
		if errors.Is(err, host.ErrPluginDown) {
			g.endIfCutOff(ctx, s)
		}
	})
}

func (g *generation) taskEvents(ctx context.Context, s *session) {
	free := eventBurst
	g.reopen(ctx, func() error {
		return s.client.Driver().TaskEvents(ctx, func(e driver.TaskEvent) error {
			g.family.host.events.publish(e)
			if free > 0 {
				free--
				return nil
			}
			return pause(ctx, eventGap)
		})
	}, func(err error) {
		free = eventBurst
		if err != nil && !errors.Is(err, host.ErrPluginDown) && !errors.Is(err, host.ErrUnimplemented) {
			g.log.Warn("plugin's task event stream broke", "error", err)
		}
	})
}

// reopen runs a stream again and again, with growing waits while it does not last.
func (g *generation) reopen(ctx context.Context, stream func() error, ended func(error)) {
	wait := g.family.host.config.Limits.Reopen
	for {
		opened := time.Now()
		err := stream()
		if ctx.Err() != nil {
			return
		}
		ended(err)
		if errors.Is(err, host.ErrUnimplemented) {
			return
		}
		if time.Since(opened) > maxReopen {
			wait = g.family.host.config.Limits.Reopen
		}
		if pause(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, maxReopen)
	}
}

// endIfCutOff ends a process whose connection is gone although it lives: it cannot be connected to again under the same
// guarantees, and a new one recovers its tasks.
func (g *generation) endIfCutOff(ctx context.Context, s *session) {
	const dying = 3 * time.Second
	select {
	case <-s.proc.Done():
	case <-ctx.Done():
	case <-time.After(dying):
		g.log.Warn("plugin's connection is gone, its process is ended", "pid", s.proc.ID().PID)
		if err := s.proc.Kill(); err != nil {
			g.log.Error("plugin cannot be ended", "error", err)
		}
	}
}

// ping notices a process that lives and does not answer, and when it answers again.
func (g *generation) ping(ctx context.Context, s *session) {
	every := g.family.host.config.Limits.Ping
	misses := 0
	for pause(ctx, every) == nil {
		err := within(ctx, every, s.client.Ping)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && misses > 1:
			g.repeatFingerprint(ctx, s)
			misses = 0
		case err == nil:
			misses = 0
		case errors.Is(err, context.DeadlineExceeded):
			misses++
			if misses > 1 {
				g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Lost, Reason: "the plugin does not answer"})
			}
		}
	}
}

// trim bounds what is kept of a fingerprint.
func trim(f driver.Fingerprint) driver.Fingerprint {
	f.Description = cut(f.Description, maxDescription)
	f.Err = cut(f.Err, maxDescription)
	n := 0
	for key, value := range f.Attributes {
		n++
		if n > maxAttributes || len(key) > maxAttributeKey || len(value.Format()) > maxAttributeText {
			delete(f.Attributes, key)
		}
	}
	return f
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
