package plugin

import (
	"os"

	"github.com/hashicorp/go-hclog"
)

// NewLogger returns a logger as hosts read it: one JSON object per line on stderr, everything down to trace. The host
// filters by its own level. Make it before Serve.
func NewLogger(name string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: hclog.Trace, Output: os.Stderr, JSONFormat: true})
}
