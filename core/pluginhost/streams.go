package pluginhost

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

// What a plugin may send us, at most. Beyond that it is slowed down (its stream is not read) or cut.
const (
	fingerprintGap   = 100 * time.Millisecond // between two fingerprints
	fingerprintBurst = 20                     // that differ, before there is a longer time between two of them:
	fingerprintEvery = 5 * time.Second
	maxAttributes    = 512
	maxAttributeKey  = 256
	maxAttributeText = 4 << 10
	maxDescription   = 1 << 10
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
	case plugin.TypeNetwork:
		s.loops.Go(func() { g.networkOffers(ctx, s) })
	case plugin.TypeDevice:
		s.loops.Go(func() { g.deviceLists(ctx, s) })
		s.loops.Go(func() { g.deviceSamples(ctx, s) })
	}
	s.loops.Go(func() { g.probe(ctx, s) })
}

// fingerprints follows what a driver finds. Only the latest counts: they are read as they come and taken over at a rate
// that the cluster can bear, because each that differs registers the node anew.
func (g *generation) fingerprints(ctx context.Context, s *session) {
	latest := make(chan driver.Fingerprint, 1)
	s.loops.Go(func() { g.takeOver(ctx, s, latest) })
	slow := newReading()
	g.reopen(ctx, func() error {
		return s.client.Driver().Fingerprint(ctx, func(f driver.Fingerprint) error {
			size := fingerprintSize(f)
			push(latest, trim(f))
			return slow.pause(ctx, size)
		})
	}, func(err error) {
		if err == nil {
			return // it said what it had to say; it is asked again
		}
		g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Lost, Reason: "failed to fingerprint: " + cut(err.Error(), maxDescription)})
		if errors.Is(err, host.ErrPluginDown) {
			g.endIfCutOff(ctx, s)
		}
	})
}

func (g *generation) takeOver(ctx context.Context, s *session, latest <-chan driver.Fingerprint) {
	changes := newBucket(fingerprintBurst, 1/fingerprintEvery.Seconds(), time.Now())
	var before driver.Fingerprint
	for {
		select {
		case f := <-latest:
			g.fingerprinted(ctx, s, f)
			wait := fingerprintGap
			if !reflect.DeepEqual(f, before) {
				changes.take(time.Now())
				wait = max(wait, changes.wait())
			}
			before = f
			if pause(ctx, wait) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func fingerprintSize(f driver.Fingerprint) int {
	size := len(f.Description) + len(f.Err)
	for k, v := range f.Attributes {
		size += len(k) + len(v.Format())
	}
	return size
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

// trim bounds what is kept of a fingerprint.
func trim(f driver.Fingerprint) driver.Fingerprint {
	f.Description = cut(f.Description, maxDescription)
	f.Err = cut(f.Err, maxDescription)
	n := 0
	for _, key := range sortedKeys(f.Attributes) { // the same ones each time
		n++
		if n > maxAttributes || len(key) > maxAttributeKey || len(f.Attributes[key].Format()) > maxAttributeText {
			delete(f.Attributes, key)
		}
	}
	return f
}

// cut bounds a plugin's words and takes out what would play with a terminal.
func cut(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s[:min(len(s), most+utf8.UTFMax)])
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
