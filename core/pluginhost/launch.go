package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/droverhq/drover/core/pluginhost/process"
	"github.com/droverhq/drover/core/tasklog"
	"github.com/droverhq/drover/sdk/host"
)

// startError is why a generation could not be brought up. Final: another attempt with the same file and configuration
// cannot succeed.
type startError struct {
	reason string
	final  bool
}

func (e *startError) Error() string { return e.reason }

func final(format string, args ...any) error {
	return &startError{reason: fmt.Sprintf(format, args...), final: true}
}

// launch starts the process, reads its introduction and connects. If it fails the process is gone.
func (g *generation) launch(ctx context.Context, block Block) (_ *connection, err error) {
	h := g.family.host
	if err := h.store.Verify(g.digest, g.family.file); err != nil {
		return nil, final("%v; copy the file to plugin_dir again", err)
	}
	if err := g.trusted(); err != nil {
		return nil, final("%v", err)
	}
	as, err := lookupAccount(block.User)
	if err != nil {
		return nil, err
	}
	if err := g.makeDirs(as); err != nil {
		return nil, err
	}
	con, err := g.openConsole(ctx, h.now().UnixNano())
	if err != nil {
		return nil, fmt.Errorf("make its output: %w", err)
	}
	proc, err := process.Start(process.Command{
		Path:   h.store.Path(g.digest, g.family.file),
		Args:   block.Args,
		Env:    g.environ(block, as),
		Dir:    as.workDir(),
		As:     as.credential(),
		Stdout: con.stdout,
		Stderr: con.stderr,
	})
	con.closeTheirs()
	if err != nil {
		con.introduction.Close()
		return nil, notStarted(err)
	}
	c, err := g.connect(ctx, con, proc, as)
	if err != nil {
		con.introduction.Close()
		killed := proc.Kill()
		return nil, errors.Join(err, killed)
	}
	g.handOverStdout(ctx, con, c)
	return c, nil
}

// notStarted tells what the kernel refused. A file that is no program will not become one.
func notStarted(err error) error {
	if errors.Is(err, syscall.ENOEXEC) {
		return final("it is not a program for this machine (wrong format or architecture)")
	}
	if errors.Is(err, os.ErrNotExist) {
		return final("it cannot be run: its interpreter is missing (%v)", err)
	}
	return fmt.Errorf("run it: %w", err)
}

func (g *generation) connect(ctx context.Context, con *console, proc *process.Process, as *account) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, g.family.host.config.Limits.Start)
	defer cancel()
	line, err := con.readLine(ctx, proc)
	if errors.Is(err, errSilent) {
		return nil, fmt.Errorf("it is silent: no introduction within %s; is it a plugin?", g.family.host.config.Limits.Start)
	}
	if err != nil {
		return nil, err
	}
	shake, err := host.ParseHandshake(line)
	if err != nil {
		return nil, final("%v", err)
	}
	rec := Record{Network: shake.Network, Addr: shake.Addr, Cert: shake.ServerCert, Process: proc.ID()}
	calls := newGate(g.tally)
	client, err := g.family.host.dial(ctx, rec, as, calls)
	if err != nil {
		return nil, err
	}
	if rec.Network == "tcp" && rec.Cert == "" {
		g.warnOfPlainText()
	}
	return &connection{proc: proc, client: client, calls: calls, network: rec.Network, addr: rec.Addr, cert: rec.Cert, stdout: con.fifo,
		confined: g.confined(as), started: g.family.host.now()}, nil
}

func (h *Host) dial(ctx context.Context, rec Record, as *account, calls *gate) (*host.Client, error) {
	options, err := h.options(rec.Network, rec.Addr, rec.Cert)
	if err != nil {
		return nil, err
	}
	if err := checkPeer(rec.Network, rec.Addr, rec.Process, as.uid()); err != nil {
		return nil, err
	}
	return host.Dial(ctx, host.Reattach{Protocol: "grpc", Network: rec.Network, Addr: rec.Addr, Pid: rec.Process.PID},
		append(options, host.WithGate(calls.pass))...)
}

// reattach finds the recorded process. It returns process.ErrGone if there is none; if the process is there but cannot
// be used it is ended.
func (g *generation) reattach(ctx context.Context, rec Record, block Block) (*connection, error) {
	proc, err := process.Find(rec.Process)
	if err != nil {
		return nil, err
	}
	c, err := g.reach(ctx, proc, rec, block)
	if err != nil && g.stopping() {
		return nil, err // the next agent will try
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pid %d was ended: %w", rec.Process.PID, err), proc.Kill())
	}
	return c, nil
}

func (g *generation) reach(ctx context.Context, proc *process.Process, rec Record, block Block) (*connection, error) {
	if rec.Config != block.digest() {
		return nil, errors.New("its configuration changed")
	}
	ctx, cancel := context.WithTimeout(ctx, g.family.host.config.Limits.Call)
	defer cancel()
	as, err := lookupAccount(block.User)
	if err != nil {
		return nil, err
	}
	calls := newGate(g.tally)
	client, err := g.family.host.dial(ctx, rec, as, calls)
	if err != nil {
		return nil, err
	}
	if rec.Stdout != "" { // its console is FIFOs, which it is not on every system
		if err := g.family.collectStderr(ctx); err != nil {
			g.log.Warn("plugin's stderr is not collected", "error", err)
		}
		g.collectStdout(ctx, rec.Stdout)
	}
	return &connection{proc: proc, client: client, calls: calls, network: rec.Network, addr: rec.Addr, cert: rec.Cert, stdout: rec.Stdout,
		reattached: true, confined: g.confined(as), started: time.Unix(rec.Started, 0)}, nil
}

// handOverStdout gives what the plugin prints from now on to the collector, so that it never blocks on a full pipe.
func (g *generation) handOverStdout(ctx context.Context, con *console, c *connection) {
	if collector := g.family.host.config.Collector; collector != nil {
		// The stream of the process before this one; if there was none that is fine.
		if err := collector.CloseStream(ctx, g.stdoutStream()); err != nil {
			g.log.Warn("stdout of the plugin's earlier process is not closed", "error", err)
		}
	}
	if con.fifo != "" && g.collectStdout(ctx, con.fifo) {
		con.introduction.Close()
		return
	}
	c.drained = con.introduction
	go func() { _, _ = io.Copy(io.Discard, con.introduction) }() // until it is closed with the connection
}

func (g *generation) collectStdout(ctx context.Context, fifo string) bool {
	c := g.family.host.config.Collector
	if c == nil {
		return false
	}
	err := c.OpenStream(ctx, tasklog.Stream{
		ID: g.stdoutStream(), FIFO: fifo, Dir: g.family.host.logDir(),
		Prefix: g.stdoutPrefix(), MaxFiles: 2, MaxFileSize: 1 << 20, Mode: 0o600, MaxRate: 256 << 10,
	})
	if err != nil {
		g.log.Warn("plugin's stdout is not collected", "error", err)
	}
	return err == nil
}

// runDirVariable tells a plugin where sockets may lie that have to outlive it, such as those of a process that it shares
// with its other generations. TMPDIR goes with the generation.
const runDirVariable = "DROVER_RUN_DIR"

// Variables that tell a plugin where it is. The log collector is for runtimes that keep output themselves: their plugin
// hands it on with a cursor. Node and cluster are for marking what a plugin makes outside of the agent's directories, so
// that another agent on the same runtime leaves it alone.
const (
	logSocketVariable = "DROVER_LOG_SOCKET"
	nodeVariable      = "DROVER_NODE_ID"
	clusterVariable   = "DROVER_CLUSTER_ID"
)

// environ is the plugin's environment: what it may inherit, its private directory, and what makes it a plugin.
func (g *generation) environ(block Block, as *account) []string {
	env := as.environ(pluginEnviron(g.family.host.config.Environ, block.EnvAllow))
	c := g.family.host.config
	env = append(env, "TMPDIR="+g.socketDir(as), "PLUGIN_UNIX_SOCKET_DIR="+g.socketDir(as), runDirVariable+"="+g.sharedDir(as))
	if as != nil {
		c.LogSocket = "" // the collector serves the agent's user only
	}
	for _, v := range []struct{ name, value string }{{logSocketVariable, c.LogSocket}, {nodeVariable, c.NodeID}, {clusterVariable, c.ClusterID}} {
		if v.value != "" {
			env = append(env, v.name+"="+v.value)
		}
	}
	if k := g.family.host.credentials; k != nil {
		env = append(env, k.Env())
	}
	return append(env, host.HandshakeEnv()...)
}

// runDir is the private directory of the generation's sockets.
func (g *generation) runDir() string {
	return g.family.generationDir(g.number)
}

// withWords adds what the plugin itself said to an error.
func withWords(err error, words string) error {
	words = strings.TrimSpace(words)
	if words == "" {
		return err
	}
	const most = 500
	if len(words) > most {
		words = "..." + words[len(words)-most:]
	}
	reason := fmt.Sprintf("%v; its stderr: %s", err, words)
	var se *startError
	return &startError{reason: reason, final: errors.As(err, &se) && se.final}
}

// stderrLag is how long the collector may take to write down a plugin's last words.
const stderrLag = 300 * time.Millisecond
