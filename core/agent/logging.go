package agent

import (
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"

	"github.com/droverhq/drover/core/config"
)

// newLogger logs to w (stderr) and, when configured, to a file as well.
func newLogger(c *config.Config, w io.Writer) (hclog.InterceptLogger, io.Closer, error) {
	var closer io.Closer = io.NopCloser(nil)
	if c.LogFile != "" {
		f, err := os.OpenFile(c.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return nil, nil, fmt.Errorf("log_file: %w", err)
		}
		w, closer = io.MultiWriter(w, f), f
	}
	return hclog.NewInterceptLogger(&hclog.LoggerOptions{
		Name:       "agent",
		Level:      hclog.LevelFromString(c.LogLevel),
		Output:     w,
		JSONFormat: c.LogJSON,
	}), closer, nil
}

// Monitor hands out log lines of at least the given level from the moment it returns, until stop is called. Lines that
// the receiver is too slow for are dropped: a watcher must not slow the agent down.
func (a *Agent) Monitor(level hclog.Level, json bool) (lines <-chan []byte, stop func()) {
	out := make(chan []byte, 1024)
	sink := hclog.NewSinkAdapter(&hclog.LoggerOptions{Level: level, JSONFormat: json, Output: writerFunc(func(p []byte) {
		select {
		case out <- append([]byte(nil), p...):
		default:
		}
	})})
	a.logger.RegisterSink(sink)
	return out, func() { a.logger.DeregisterSink(sink) }
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
