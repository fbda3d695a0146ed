package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	gopluginv1 "github.com/droverhq/drover/sdk/proto/goplugin/v1"
)

const (
	// launchTimeout is how long a plugin may take to introduce itself.
	launchTimeout = 60 * time.Second
	// killGrace is how long a plugin may take to end after it was asked.
	killGrace = 2 * time.Second
	// stderrTail is how much of a plugin's own words an error repeats.
	stderrTail = 4 << 10
)

// LaunchConfig says how a plugin process is started.
type LaunchConfig struct {
	Path string
	Args []string
	Dir  string
	// Env is added to what is inherited and wins over it.
	Env []string
	// Keep decides which variables of this process' environment the plugin inherits; nil keeps all. Give one that drops
	// the host's secrets.
	Keep func(name string) bool
	// Stderr becomes the plugin's stderr. Nil reads it here and repeats its end in errors; a plugin launched so may die
	// with this process, when it logs into the broken pipe.
	Stderr *os.File
	// SocketDir is where the plugin should put its socket; empty = its own choice. Plugins may ignore it.
	SocketDir string
	// SysProcAttr is passed on to the system: session, credentials, cgroup.
	SysProcAttr *syscall.SysProcAttr
	// Timeout bounds the time until the handshake; 0 = 60 s.
	Timeout time.Duration
	// TLS, if not nil, asks the plugin for TLS. Plugins that know nothing of it answer in plain text.
	TLS  *Credentials
	Dial []DialOption
}

// Process is a plugin process that this process started.
type Process struct {
	Reattach   Reattach
	ServerCert string // the plugin's, for dialling it again; empty without TLS
	Client     *Client

	cmd     *exec.Cmd
	stderr  *tailBuffer
	done    chan struct{}
	waitErr error
}

// Launch starts a plugin, reads its introduction and connects. If anything fails the process is gone when it returns,
// and the error says why in the plugin's own words as far as there are any. ctx bounds only the launch.
func Launch(ctx context.Context, config LaunchConfig) (*Process, error) {
	timeout := config.Timeout
	if timeout == 0 {
		timeout = launchTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, firstLine, err := start(config)
	if err != nil {
		return nil, fmt.Errorf("launch plugin %s: %w", config.Path, err)
	}
	if err := p.connect(ctx, firstLine, config); err != nil {
		p.destroy()
		return nil, fmt.Errorf("launch plugin %s: %w%s", config.Path, err, p.lastWords())
	}
	return p, nil
}

// start runs the process. The channel carries its first line, or is closed without one.
func start(config LaunchConfig) (*Process, <-chan string, error) {
	p := &Process{cmd: exec.Command(config.Path, config.Args...), done: make(chan struct{})}
	p.cmd.Dir = config.Dir
	p.cmd.Env = launchEnv(os.Environ(), config)
	p.cmd.SysProcAttr = config.SysProcAttr
	if config.Stderr != nil {
		p.cmd.Stderr = config.Stderr
	} else {
		p.stderr = &tailBuffer{}
		p.cmd.Stderr = p.stderr
	}
	// A file keeps exec from waiting for EOF: children of the plugin may hold the other end.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	p.cmd.Stdout = w
	p.cmd.WaitDelay = killGrace
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, nil, err
	}
	lines := make(chan string, 1)
	go readStdout(r, lines)
	go func() {
		p.waitErr = p.cmd.Wait()
		close(p.done)
	}()
	return p, lines, nil
}

// readStdout passes on the first line and drops the rest.
func readStdout(r *os.File, lines chan<- string) {
	defer r.Close()
	b := bufio.NewReaderSize(r, maxHandshakeLine)
	line, err := b.ReadSlice('\n')
	if len(line) > 0 {
		lines <- string(line)
	}
	close(lines)
	if err == nil || errors.Is(err, bufio.ErrBufferFull) {
		_, _ = io.Copy(io.Discard, b)
	}
}

func (p *Process) connect(ctx context.Context, firstLine <-chan string, config LaunchConfig) error {
	line, err := p.introduction(ctx, firstLine)
	if err != nil {
		return err
	}
	h, err := ParseHandshake(line)
	if err != nil {
		return err
	}
	p.Reattach = Reattach{Protocol: h.Protocol, Network: h.Network, Addr: h.Addr, Pid: p.cmd.Process.Pid}
	p.ServerCert = h.ServerCert
	options := config.Dial
	switch {
	case h.ServerCert != "" && config.TLS == nil:
		return fmt.Errorf("%w: it wants TLS, which was not asked for", ErrNoHandshake)
	case h.ServerCert != "":
		options = append(slices.Clone(options), WithTLS(config.TLS, h.ServerCert))
	}
	p.Client, err = Dial(ctx, p.Reattach, options...)
	return err
}

func (p *Process) introduction(ctx context.Context, firstLine <-chan string) (string, error) {
	select {
	case line, ok := <-firstLine:
		if ok {
			return line, nil
		}
		select {
		case <-p.done:
			return "", fmt.Errorf("%w: the process ended first: %s", ErrNoHandshake, p.cmd.ProcessState)
		case <-ctx.Done():
			return "", fmt.Errorf("%w: the process closed its stdout", ErrNoHandshake)
		}
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", fmt.Errorf("%w: the process printed nothing in time", ErrNoHandshake)
		}
		return "", ctx.Err()
	}
}

// destroy kills the process and waits for it.
func (p *Process) destroy() {
	_ = p.cmd.Process.Kill()
	<-p.done
	if p.Client != nil {
		p.Client.Close()
	}
}

func (p *Process) lastWords() string {
	if p.stderr == nil {
		return ""
	}
	words := strings.TrimSpace(p.stderr.String())
	if words == "" {
		return ""
	}
	return "; its stderr ended with: " + words
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Process is the operating system's handle.
func (p *Process) Process() *os.Process { return p.cmd.Process }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// State is how the process ended; nil until Done is closed.
func (p *Process) State() *os.ProcessState {
	select {
	case <-p.done:
		return p.cmd.ProcessState
	default:
		return nil
	}
}

// Kill ends the plugin: it asks, waits up to 2 s, and kills. It returns when the process is gone. Tasks live on.
func (p *Process) Kill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, killGrace)
	defer cancel()
	err := callError(ctx, "stop plugin", gopluginv1.Shutdown(ctx, p.Client.conn))
	if err == nil || errors.Is(err, ErrPluginDown) {
		select {
		case <-p.done:
		case <-ctx.Done():
		}
	}
	p.destroy()
}

// launchEnv builds the plugin's environment. What earlier hosts of this process set for their plugins is never passed
// on: it would switch on TLS or multiplexing.
func launchEnv(inherited []string, config LaunchConfig) []string {
	var env []string
	for _, entry := range inherited {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "PLUGIN_") || config.Keep != nil && !config.Keep(name) {
			continue
		}
		env = append(env, entry)
	}
	env = append(env, config.Env...)
	if config.SocketDir != "" {
		env = append(env, "PLUGIN_UNIX_SOCKET_DIR="+config.SocketDir)
	}
	if config.TLS != nil {
		env = append(env, config.TLS.Env())
	}
	return append(env, HandshakeEnv()...)
}

// tailBuffer keeps the end of what is written to it.
type tailBuffer struct {
	mu   sync.Mutex
	kept []byte
}

func (t *tailBuffer) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, data[max(0, len(data)-stderrTail):]...)
	if extra := len(t.kept) - stderrTail; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(data), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
