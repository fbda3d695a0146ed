package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/droverhq/drover/core/pluginhost/lifecycle"
	"github.com/droverhq/drover/sdk/plugin"
)

// How many probes in a row a plugin may leave unanswered before the node says so, and before its process is replaced.
const (
	missesToTell = 2
	missesToKill = 3
)

// probe notices a process that lives and does not answer, and when it answers again. One that stays silent, or answers
// none of the driver's calls in time, is killed: it is of no use to its tasks, which do not depend on it, and the next
// process recovers them. docs/design/008-containment.md says why.
func (g *generation) probe(ctx context.Context, s *session) {
	every := g.family.host.config.Limits.Ping
	tick := time.NewTicker(every)
	defer tick.Stop()
	misses := 0
	for {
		select {
		case <-ctx.Done():
			return
		case why := <-s.calls.stuck:
			g.replace(s, why)
			return
		case <-tick.C:
		}
		err := within(ctx, every, func(ctx context.Context) error { return ask(ctx, s) })
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, context.DeadlineExceeded):
			misses++
		default: // an error is an answer too; the end of the connection shows at the streams
			if misses >= missesToTell {
				g.repeatFingerprint(ctx, s)
			}
			misses = 0
		}
		if misses == missesToTell {
			g.postFrom(ctx, s, lifecycle.Event{Kind: lifecycle.Lost, Reason: "the plugin does not answer"})
		}
		if misses >= missesToKill {
			g.replace(s, fmt.Sprintf("it left %d probes unanswered, %s each", misses, every))
			return
		}
	}
}

// ask puts a question to the process and one to the driver in it that costs nothing: gRPC libraries answer the first
// even if nothing else works.
func ask(ctx context.Context, s *session) error {
	if err := s.client.Ping(ctx); err != nil || s.info.Type != plugin.TypeDriver {
		return err
	}
	_, err := s.client.Driver().Capabilities(ctx)
	return err
}

// replace kills the process; its end is noticed like any other, and the next one is launched.
func (g *generation) replace(s *session, why string) {
	g.log.Warn("plugin does not answer, its process is killed", "pid", s.proc.ID().PID, "reason", why)
	s.killed.Store(&why)
	if err := s.proc.Kill(); err != nil {
		g.log.Error("plugin cannot be ended", "error", err)
	}
}

// end says why a session's process is gone, and whether it had to be killed because it did not answer.
func (s *session) endReason() (why string, stuck bool) {
	if killed := s.killed.Load(); killed != nil {
		return "killed by the agent: " + *killed, true
	}
	return s.proc.End(), false
}
