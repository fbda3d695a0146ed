package pluginhost

import (
	"context"
	"os"
	"path/filepath"
)

// openConsole: stderr is a file, and stdout a pipe that is read while the agent is there. Writing to a pipe without a
// reader is an error on Windows, not the end of the process.
func (g *generation) openConsole(_ context.Context, _ int64) (*console, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(g.family.host.logDir(), g.family.logPrefix()+".0")
	stderr, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	return &console{stdout: w, stderr: stderr, introduction: r}, nil
}
