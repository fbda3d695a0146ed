//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// openConsole makes the two ends. The plugin gets FIFOs opened for reading and writing: as it holds a reading end
// itself, no death of another process ever gives it a SIGPIPE.
func (g *generation) openConsole(ctx context.Context, launch int64) (_ *console, err error) {
	c := &console{fifo: filepath.Join(g.runDir(), fmt.Sprintf("out.%x", launch))}
	if err := os.Remove(c.fifo); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := unix.Mkfifo(c.fifo, 0o600); err != nil {
		return nil, fmt.Errorf("make FIFO %s: %w", c.fifo, err)
	}
	// Ours polls, so that reading can be given up; the plugin's blocks, as programs expect.
	if c.introduction, err = os.OpenFile(c.fifo, os.O_RDWR|unix.O_NONBLOCK, 0); err != nil {
		return nil, err
	}
	if c.stdout, err = openBlocking(c.fifo, unix.O_RDWR); err != nil {
		c.introduction.Close()
		return nil, err
	}
	if c.stderr, err = g.openStderr(ctx); err != nil {
		c.introduction.Close()
		c.stdout.Close()
		return nil, err
	}
	return c, nil
}

func (g *generation) openStderr(ctx context.Context) (*os.File, error) {
	f := g.family
	if f.host.config.Collector == nil {
		return openBlocking(filepath.Join(f.host.logDir(), f.logPrefix()+".0"), unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT)
	}
	if err := f.collectStderr(ctx); err != nil {
		return nil, err
	}
	return openBlocking(f.stderrFIFO(), unix.O_RDWR)
}

// openBlocking opens without Go's poller, whose non-blocking mode the plugin would inherit.
func openBlocking(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
