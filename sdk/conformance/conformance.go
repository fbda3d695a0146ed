// Package conformance checks a plugin binary against the contract, from outside: it launches the binary as an agent does,
// plays a host that comes, goes, crashes and insists, and reports check by check what it saw. Any plugin that speaks the
// protocol can be checked, in whatever language it is written.
//
// In a Go test:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Config{
//			Path: buildPlugin(t),
//			Task: &conformance.Task{Config: map[string]any{"image": "hello:1"}, Stdout: "hello"},
//		})
//	}
//
// Without one: Verify, or `drover plugin verify ./binary`.
package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Config says which plugin is checked and how its tasks look.
type Config struct {
	Path string   // the binary
	Args []string // its arguments, as an operator would give them
	// Env is added to the plugin's environment and wins over what it inherits.
	Env []string
	// PluginConfig is the plugin's own configuration, as in an agent's plugin block.
	PluginConfig map[string]any
	// Production leaves out the hint that this is a development host, with which drivers may work without being enabled.
	Production bool

	// Task is a task that ends by itself within a second or so. LongTask runs until it is stopped and obeys the
	// driver's default signal. StubbornTask runs on whatever signal comes, until it is killed. What is nil is made up
	// for drivers whose task config has a command and args; other drivers' checks are skipped without it.
	Task, LongTask, StubbornTask *Task
	// Exec is a command for drivers that can run one inside a task. Nil is made up like the tasks.
	Exec *Exec
	// Signal is one that LongTask survives and answers with SignalStdout, for drivers that can send signals.
	Signal       string
	SignalStdout string

	// NetworkMode is the mode that is tried out with a network plugin; empty = the first one that it offers. NetworkSettings
	// are what an agent would pass on.
	NetworkMode     string
	NetworkSettings map[string]string

	// Timeout bounds one check; 0 = 60 s. Give more to drivers whose starts take long.
	Timeout time.Duration
	// Skip leaves out checks by name. The value is the reason, which the report shows.
	Skip map[string]string
	// Progress is called with each result as it comes; may be nil.
	Progress func(Result)
}

// Task is a task for the driver to run.
type Task struct {
	Config   map[string]any // the task's config block
	Env      map[string]string
	User     string
	MemoryMB int64 // 0 = 64
	// Files are what an agent would have fetched: files of this machine by where they are put in the task's directory,
	// such as "local/app.jar".
	Files    map[string]string
	ExitCode int
	// Stdout and Stderr are text that the task writes. Long tasks count as running when their Stdout has come. Empty is
	// not checked.
	Stdout, Stderr string
}

// Exec is a command to be run inside a LongTask.
type Exec struct {
	Command  []string
	Stdout   string // text it writes
	ExitCode int
	// Cat copies its input to its output, such as {"cat"}; nil skips the checks that need it.
	Cat []string
}

// defaultTimeout is Config.Timeout's.
const defaultTimeout = time.Minute

// TB is what Run needs of a *testing.T. It keeps package testing out of binaries that offer the suite as a command.
type TB[T any] interface {
	Helper()
	Context() context.Context
	Log(args ...any)
	Error(args ...any)
	Fatal(args ...any)
	Skip(args ...any)
	Run(name string, f func(T)) bool
}

// Run checks a plugin inside a test, one subtest per check. T is *testing.T.
func Run[T TB[T]](t T, config Config) {
	t.Helper()
	s, err := newSession(config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, c := range checks() {
		if !s.concerns(t.Context(), c) {
			continue
		}
		t.Run(c.name, func(t T) {
			t.Helper()
			switch r := s.do(t.Context(), c); r.Status {
			case Fail:
				t.Error(r.Detail + "\nwhy it matters: " + r.Reason)
			case Warn:
				t.Log("warning: " + r.Detail + "\nwhy it matters: " + r.Reason)
			case Skip:
				t.Skip(r.Detail)
			}
		})
	}
}

// Verify checks a plugin. The error says why it could not be checked at all; what it does wrong is in the report.
func Verify(ctx context.Context, config Config) (*Report, error) {
	s, err := newSession(config)
	if err != nil {
		return nil, err
	}
	defer s.close()
	report := &Report{Path: config.Path}
	for _, c := range checks() {
		if !s.concerns(ctx, c) {
			continue
		}
		r := s.do(ctx, c)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		report.Results = append(report.Results, r)
		if config.Progress != nil {
			config.Progress(r)
		}
	}
	s.describe(report)
	return report, nil
}

// Names lists the checks in the order they are made.
func Names() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}

// find makes the path absolute and checks that something is there to be run.
func find(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", fmt.Errorf("find the plugin: %w", err)
	}
	if info.IsDir() {
		return "", fmt.Errorf("find the plugin: %s is a directory", abs)
	}
	return abs, nil
}
