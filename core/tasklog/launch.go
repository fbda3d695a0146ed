package tasklog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// launchTimeout is how long a collector may take until its socket answers.
const launchTimeout = 10 * time.Second

// logKept is the size in bytes beyond which the collector's own log is begun anew at launch.
const logKept = 1 << 20

// connect returns a greeted connection to a collector of our protocol version, launching one if none answers.
func (c *Client) connect(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, launchTimeout)
	defer cancel()
	for {
		l, dialErr := c.dial(ctx)
		if dialErr == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("connect to the log collector: %w", dialErr)
		}
		err := c.launch(ctx)
		if err == nil || errors.Is(err, errAnother) {
			continue
		}
		return nil, err
	}
}

// dial connects to a running collector. One that speaks another version is asked to make room for ours.
func (c *Client) dial(ctx context.Context) (*link, error) {
	conn, err := dialCollector(ctx, c.cfg.SocketPath)
	if err != nil {
		return nil, err
	}
	if err := trusted(conn); err != nil {
		conn.Close()
		return nil, err
	}
	l, err := newLink(ctx, conn, c.emit)
	if errors.Is(err, ErrVersion) {
		return nil, errors.Join(err, c.retire(ctx))
	}
	return l, err
}

// retire ends a collector of another version; streams, FIFOs and files stay for the next one.
func (c *Client) retire(ctx context.Context) error {
	conn, err := dialCollector(ctx, c.cfg.SocketPath)
	if err != nil {
		return err
	}
	l := &link{conn: conn, onEvent: c.emit, lost: make(chan struct{}), pending: map[uint64]chan *message{}}
	go l.read()
	defer l.close()
	return l.request(ctx, &message{Op: opRetire}, nil, nil)
}

// launch starts a collector in a session of its own and returns when its socket answers. errAnother: one is running
// already or was just started by somebody else.
func (c *Client) launch(ctx context.Context) error {
	if err := os.MkdirAll(c.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("launch log collector: %w", err)
	}
	exe := c.cfg.Executable
	if exe == "" {
		var err error
		if exe, err = defaultExecutable(); err != nil {
			return fmt.Errorf("launch log collector: %w", err)
		}
	}
	logPath := filepath.Join(c.cfg.StateDir, "collector.log")
	logFile, err := openOwnLog(logPath)
	if err != nil {
		return fmt.Errorf("launch log collector: %w", err)
	}
	defer logFile.Close()
	ready, readyW, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("launch log collector: %w", err)
	}
	defer ready.Close()
	cmd := exec.Command(exe)
	cmd.Args = append([]string{"drover"}, c.cfg.Args...)
	cmd.Args = append(cmd.Args, "-socket", c.cfg.SocketPath, "-state", c.cfg.StateDir, "-idle", c.cfg.Idle.String())
	cmd.Env = append([]string{"GOMAXPROCS=1"}, c.cfg.Env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = readyW, logFile
	detach(cmd)
	err = cmd.Start()
	readyW.Close()
	if err != nil {
		return fmt.Errorf("launch log collector %s: %w", exe, err)
	}
	c.launches.Add(1)
	c.log.Debug("launched the log collector", "pid", cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // ends with the collector, which may outlive this client
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Now()) })
	defer stop()
	answer, err := io.ReadAll(ready)
	if bytes.HasPrefix(answer, []byte("ready")) {
		return nil
	}
	if ctx.Err() != nil {
		cmd.Process.Kill()
		return fmt.Errorf("launch log collector: it did not answer in time: %w%s", ctx.Err(), logTail(logPath))
	}
	exit := <-ended
	if cmd.ProcessState.ExitCode() == exitAnother {
		return errAnother
	}
	return fmt.Errorf("launch log collector: it ended at once: %w%s", errors.Join(exit, err), logTail(logPath))
}

// openOwnLog opens the file for what the collector itself has to say.
func openOwnLog(path string) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND
	if st, err := os.Stat(path); err == nil && st.Size() > logKept {
		flags |= os.O_TRUNC
	}
	return os.OpenFile(path, flags, 0o600)
}

// logTail returns the last line of the collector's log for an error message.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		f.Seek(max(0, st.Size()-2<<10), io.SeekStart)
	}
	data, _ := io.ReadAll(io.LimitReader(f, 2<<10))
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return ": " + last
	}
	return ""
}
