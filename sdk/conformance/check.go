package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/droverhq/drover/sdk/plugin"
)

// check is one promise and how it is tried out. The error of run is the finding; see skip and warn.
type check struct {
	name   string
	reason string
	of     plugin.Type // 0 = plugins of every type
	run    func(ctx context.Context, s *session) error
}

// checks returns all checks. The order matters only to the reader: each stands alone.
func checks() []check {
	return slices.Concat(processChecks(), baseChecks(), driverChecks(), startChecks(), waitChecks(), stopChecks(), destroyChecks(),
		inspectChecks(), streamChecks(), signalChecks(), execChecks(), recoverChecks(), handOverChecks(), networkChecks(), deviceChecks(), modeChecks())
}

// concerns reports whether the check is about plugins of this type. A plugin that does not say what it is has failed
// before, and nothing more is asked of it.
func (s *session) concerns(ctx context.Context, c check) bool {
	if c.of == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	return s.identify(ctx) == nil && s.info.Type == c.of
}

// do makes one check and cleans up after it.
func (s *session) do(ctx context.Context, c check) Result {
	r := Result{Name: c.name, Reason: c.reason, Status: Pass}
	start := time.Now()
	err := s.attempt(ctx, c)
	r.Took = time.Since(start)
	var o *outcome
	switch {
	case errors.As(err, &o):
		r.Status, r.Detail = o.status, o.text
	case err != nil:
		r.Status, r.Detail = Fail, err.Error()
	}
	return r
}

func (s *session) attempt(ctx context.Context, c check) error {
	if reason, ok := s.config.Skip[c.name]; ok {
		return skip(reason)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	err := c.run(ctx, s)
	s.cleanUp()
	if err == nil && s.shared != nil && s.shared.State() != nil {
		return fmt.Errorf("the plugin's process ended during this check: %s", s.shared.State())
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("it took longer than %s: %w", s.config.Timeout, err)
	}
	return err
}

func typeName(t plugin.Type) string {
	switch t {
	case plugin.TypeDriver:
		return "driver"
	case plugin.TypeDevice:
		return "device"
	case plugin.TypeNetwork:
		return "network"
	}
	return fmt.Sprintf("type-%d", t)
}
