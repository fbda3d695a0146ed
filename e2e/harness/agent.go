// Package harness runs the built binaries the way a user would and looks at them from outside: over HTTP, the command
// line and /proc. It imports nothing of Drover.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Bin is the directory with the binaries of `make build`, DROVER_BIN or ../bin.
func Bin(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("DROVER_BIN")
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for dir = wd; filepath.Base(dir) != "e2e" && dir != "/"; dir = filepath.Dir(dir) {
		}
		dir = filepath.Join(filepath.Dir(dir), "bin")
	}
	if _, err := os.Stat(filepath.Join(dir, "drover")); err != nil {
		t.Fatalf("no binaries to test: %v; run `make build` first", err)
	}
	return dir
}

// Options describe an agent.
type Options struct {
	Dev       bool     // -dev: everything is gone at the end
	DataDir   string   // default: a new directory
	PluginDir string   // default: the built plugins
	Config    string   // more configuration, HCL
	Env       []string // more environment
	Ports     *Ports   // default: free ones
	NoRawExec bool     // do not enable raw_exec
	Server    string   // body of the server block; with Client: default both, and one alone makes an agent of that part only
	Client    string   // body of the client block
	TLS       *TLS     // of the HTTP API: what this user shows; Config has the agent's tls block
	Host      string   // the address it listens on; default 127.0.0.1
	NetNS     string   // the file of the network namespace it runs in; default the test's own
}

// parts is the configuration of the agent's parts.
func (o *Options) parts() string {
	block := func(name, body string) string { return name + " {\n enabled = true\n" + body + "\n}\n" }
	switch {
	case o.Server == "" && o.Client != "":
		return block("client", o.Client)
	case o.Client == "" && o.Server != "":
		return block("server", o.Server)
	}
	return block("server", o.Server) + block("client", o.Client)
}

// Ports of an agent.
type Ports struct{ HTTP, RPC, Serf int }

// Agent is a running (or killed) agent.
type Agent struct {
	t       testing.TB
	o       Options
	bin     string
	dir     string // everything of this agent
	DataDir string
	Addr    string // http://127.0.0.1:port
	cmd     *exec.Cmd
	ended   chan struct{}
	waitErr error
	log     *os.File
}

// Start runs an agent until the test ends and waits until its node is ready.
func Start(t testing.TB, o Options) *Agent {
	t.Helper()
	a := New(t, o)
	a.Run()
	a.WaitReady()
	return a
}

// Reach returns an agent that somebody else runs, for calls and commands.
func Reach(t testing.TB, addr string) *Agent {
	return &Agent{t: t, bin: Bin(t), Addr: addr}
}

// New prepares an agent without starting it.
func New(t testing.TB, o Options) *Agent {
	t.Helper()
	dir, err := os.MkdirTemp("", "dr") // short: sockets lie below it
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{t: t, o: o, bin: Bin(t), dir: dir, DataDir: o.DataDir}
	t.Cleanup(func() {
		a.Stop()
		a.reap()
		if t.Failed() {
			t.Log(diagnosis(a.Log()))
		}
		a.log.Close()
		os.RemoveAll(dir)
	})
	if a.DataDir == "" {
		a.DataDir = filepath.Join(dir, "data")
	}
	if a.o.PluginDir == "" {
		a.o.PluginDir = filepath.Join(a.bin, "plugins")
	}
	if a.o.Ports == nil {
		a.o.Ports = FreePorts(t)
	}
	scheme := "http"
	if o.TLS != nil {
		scheme = "https"
	}
	host, bind := "127.0.0.1", ""
	if o.Host != "" {
		host, bind = o.Host, fmt.Sprintf("bind_addr = %q\n", o.Host)
	}
	a.Addr = fmt.Sprintf("%s://%s:%d", scheme, host, a.o.Ports.HTTP)
	text := bind + fmt.Sprintf("ports {\n http = %d\n rpc = %d\n serf = %d\n}\nlog_level = \"DEBUG\"\n", a.o.Ports.HTTP, a.o.Ports.RPC, a.o.Ports.Serf)
	if !o.Dev {
		text += fmt.Sprintf("data_dir = %q\n", a.DataDir) + o.parts()
	}
	if !o.NoRawExec {
		text += "plugin \"raw_exec\" {\n config { enabled = true }\n}\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "agent.hcl"), []byte(text+o.Config), 0o600); err != nil {
		t.Fatal(err)
	}
	if a.log, err = os.Create(filepath.Join(dir, "agent.log")); err != nil {
		t.Fatal(err)
	}
	return a
}

// Run starts the process.
func (a *Agent) Run() {
	a.t.Helper()
	args := []string{"agent", "-config", filepath.Join(a.dir, "agent.hcl"), "-plugin-dir", a.o.PluginDir}
	if a.o.Dev {
		args = append(args, "-dev")
	}
	a.cmd = exec.Command(filepath.Join(a.bin, "drover"), args...)
	if a.o.NetNS != "" { // nsenter becomes the agent
		a.cmd = exec.Command("nsenter", append([]string{"--net=" + a.o.NetNS, a.cmd.Path}, args...)...)
	}
	a.cmd.Stdout, a.cmd.Stderr = a.log, a.log
	a.cmd.Env = append(os.Environ(), a.o.Env...)
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	a.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		a.waitErr = cmd.Wait()
		close(ended)
	}(a.cmd, a.ended)
}

// PID of the agent.
func (a *Agent) PID() int { return a.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (a *Agent) Ended() <-chan struct{} { return a.ended }

// ExitCode of an agent that ended.
func (a *Agent) ExitCode() int { return a.cmd.ProcessState.ExitCode() }

// Log is everything the agent printed.
func (a *Agent) Log() string {
	b, _ := os.ReadFile(filepath.Join(a.dir, "agent.log"))
	if len(b) > 200_000 {
		b = b[len(b)-200_000:]
	}
	return string(b)
}

// Logged reports whether the agent printed a line with all these words, however long ago.
func (a *Agent) Logged(words ...string) bool {
	b, _ := os.ReadFile(filepath.Join(a.dir, "agent.log"))
	for line := range bytes.Lines(b) {
		all := true
		for _, w := range words {
			all = all && bytes.Contains(line, []byte(w))
		}
		if all {
			return true
		}
	}
	return false
}

// Kill9 kills the agent without a chance to clean up.
func (a *Agent) Kill9() {
	a.t.Helper()
	a.cmd.Process.Kill()
	<-a.ended
}

// Stop ends the agent in good order. Tasks run on unless it is -dev.
func (a *Agent) Stop() {
	a.t.Helper()
	if a.cmd == nil {
		return
	}
	select {
	case <-a.ended:
		return
	default:
	}
	a.cmd.Process.Signal(os.Interrupt)
	select {
	case <-a.ended:
	case <-time.After(60 * time.Second):
		a.t.Errorf("agent did not end within 60 s of an interrupt")
		a.quit()
	}
}

// WaitReady waits until the agent and its node take jobs.
func (a *Agent) WaitReady() {
	a.t.Helper()
	err := await(60*time.Second, func() error {
		select {
		case <-a.ended:
			a.t.Fatalf("agent ended: %v", a.waitErr)
		default:
		}
		return a.Get("/v1/agent/health", nil)
	})
	if err != nil {
		a.quit()
		a.t.Fatalf("agent ready: %v", err)
	}
}

// Eventually tries until fn has no error.
func (a *Agent) Eventually(limit time.Duration, what string, fn func() error) {
	a.t.Helper()
	Eventually(a.t, limit, what, fn)
}

// Eventually tries until fn has no error.
func Eventually(t testing.TB, limit time.Duration, what string, fn func() error) {
	t.Helper()
	if err := await(limit, fn); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// await tries until fn has no error.
func await(limit time.Duration, fn func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := fn()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// StatusError is an answer other than 2xx.
type StatusError struct {
	Code int
	Body string
}

func (e *StatusError) Error() string { return fmt.Sprintf("%d: %s", e.Code, e.Body) }

// Call makes an API call; in and out may be nil.
func (a *Agent) Call(method, path string, in, out any) error {
	var body io.Reader
	switch v := in.(type) {
	case nil:
	case string:
		body = strings.NewReader(v)
	default:
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, a.Addr+path, body)
	if err != nil {
		return err
	}
	resp, err := a.o.TLS.client(a.t).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &StatusError{resp.StatusCode, string(text)}
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, out)
}

// Get makes a GET call.
func (a *Agent) Get(path string, out any) error { return a.Call(http.MethodGet, path, nil, out) }

// Text makes a GET call whose answer is not JSON.
func (a *Agent) Text(path string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.Addr+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = &StatusError{resp.StatusCode, string(text)}
	}
	return string(text), err
}

// CLI runs a drover command against the agent and returns its output and exit code.
func (a *Agent) CLI(args ...string) (stdout, stderr string, code int) {
	return a.CLIInput("", args...)
}

// CLIInput is CLI with standard input.
func (a *Agent) CLIInput(stdin string, args ...string) (stdout, stderr string, code int) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(a.bin, "drover"), args...)
	cmd.Env = append(os.Environ(), "DROVER_ADDR="+a.Addr)
	cmd.Env = append(cmd.Env, a.o.TLS.env()...)
	cmd.Stdin = strings.NewReader(stdin)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		a.t.Fatalf("drover %v: %v", args, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// MustCLI is CLI for commands that must succeed.
func (a *Agent) MustCLI(args ...string) string {
	a.t.Helper()
	out, errs, code := a.CLI(args...)
	if code != 0 {
		a.t.Fatalf("drover %s: exit %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// evaluationID is what commands print that cause an evaluation and do not wait for it.
var evaluationID = regexp.MustCompile(`Evaluation ID: ([0-9a-f-]{36})`)

var regionLine = regexp.MustCompile(`(?m)^\s*region\s*=\s*"([^"]+)"`)

// regionQuery asks the region that a job goes to: the command's, or the job's own; "" is the agent's.
func regionQuery(hcl string, args []string) string {
	region := ""
	if i := slices.Index(args, "-region"); i >= 0 && i+1 < len(args) {
		region = args[i+1]
	} else if m := regionLine.FindStringSubmatch(hcl); m != nil {
		region = m[1]
	}
	if region == "" {
		return ""
	}
	return "?region=" + url.QueryEscape(region)
}

// RunJob submits HCL text and, unless args say -detach, waits until its instances have been started; a failed placement
// or instance fails the test. It does not wait for the roll-out, as the command would: that takes min_healthy_time.
func (a *Agent) RunJob(hcl string, args ...string) {
	a.t.Helper()
	wait := !slices.Contains(args, "-detach")
	if wait {
		args = append(slices.Clone(args), "-detach")
	}
	out, errs, code := a.CLIInput(hcl, append(append([]string{"job", "run"}, args...), "-")...)
	if code != 0 {
		a.t.Fatalf("job run: exit %d\n%s%s", code, out, errs)
	}
	id := evaluationID.FindStringSubmatch(out)
	if !wait || id == nil {
		return
	}
	var eval struct {
		Status         string
		FailedTGAllocs map[string]any
	}
	of := regionQuery(hcl, args)
	a.Eventually(time.Minute, "the job's evaluation to end", func() error {
		if err := a.Get("/v1/evaluation/"+id[1]+of, &eval); err != nil || eval.Status != "pending" {
			return err
		}
		return errors.New("it is pending")
	})
	if eval.Status != "complete" || len(eval.FailedTGAllocs) > 0 {
		a.t.Fatalf("job run: the evaluation is %s\n%s", eval.Status, Pretty(eval.FailedTGAllocs))
	}
	var allocs []Alloc
	a.Eventually(2*time.Minute, "the job's instances to start", func() error {
		allocs = nil
		err := a.Get("/v1/evaluation/"+id[1]+"/allocations"+of, &allocs)
		if i := slices.IndexFunc(allocs, func(al Alloc) bool { return al.ClientStatus == "pending" && al.DesiredStatus == "run" }); err == nil && i >= 0 {
			return fmt.Errorf("%s is pending", allocs[i].Name)
		}
		return err
	})
	for _, al := range allocs {
		if al.ClientStatus == "failed" {
			a.t.Fatalf("job run: an instance failed\n%s", Pretty(al))
		}
	}
}
