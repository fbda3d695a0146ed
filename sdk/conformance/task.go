package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/host/onenode"
	"github.com/droverhq/drover/sdk/schema"
)

// promptly is how soon something must happen that needs no work, on a machine that is busy with other things.
const promptly = 5 * time.Second

// task is a task that a check runs.
type task struct {
	*onenode.Task
	want           *Task
	handle         driver.TaskHandle
	stdout, stderr *transcript
	started        bool
	destroyed      bool // the check has seen to it
}

// place makes a task's place, without a config.
func (s *session) place(want *Task, null bool) (*task, error) {
	env := map[string]string{markerVariable: s.marker}
	maps.Copy(env, want.Env)
	t := &task{want: want, stdout: newTranscript(), stderr: newTranscript()}
	var err error
	t.Task, err = onenode.NewTask(s.dir, onenode.TaskSpec{
		Name: "check", Env: env, User: want.User, MemoryMB: want.MemoryMB, Isolation: s.caps.FSIsolation, NullOutput: null,
	}, t.stdout, t.stderr)
	if err != nil {
		return nil, err
	}
	s.tasks = append(s.tasks, t)
	for at, from := range want.Files {
		if err := copyFile(from, filepath.Join(t.Config.TaskDir(), filepath.FromSlash(at))); err != nil {
			return nil, fmt.Errorf("put a file into the task's directory: %w", err)
		}
	}
	return t, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// prepare makes a task that can be started.
func (s *session) prepare(want *Task, null bool) (*task, error) {
	t, err := s.place(want, null)
	if err != nil || s.spec == nil {
		return t, err
	}
	if t.Config.DriverConfig, err = s.spec.Encode(want.Config, &schema.Variables{Env: t.Config.Env}); err != nil {
		return nil, fmt.Errorf("the task's config does not fit the driver's schema: %w", err)
	}
	return t, nil
}

// launch starts a prepared task.
func (t *task) launch(ctx context.Context, d *host.Driver) error {
	t.started = true
	t.handle.Config = t.Config
	result, err := d.StartTask(ctx, &t.Config)
	if err != nil {
		return err
	}
	t.handle = result.Handle
	return nil
}

// short starts the task that ends by itself.
func (s *session) short(ctx context.Context) (*host.Driver, *task, error) {
	d, err := s.usable(ctx)
	if err != nil {
		return nil, nil, err
	}
	if s.config.Task == nil {
		return nil, nil, skip("no task is given that ends by itself (Config.Task)")
	}
	t, err := s.prepare(s.config.Task, false)
	if err != nil {
		return nil, nil, err
	}
	return d, t, t.launch(ctx, d)
}

// ended starts the task that ends by itself and waits for it.
func (s *session) ended(ctx context.Context) (*host.Driver, *task, *driver.ExitResult, error) {
	d, t, err := s.short(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	exit, err := d.WaitTask(ctx, t.Config.ID)
	return d, t, exit, err
}

// long starts the task that runs until it is stopped, and waits until it runs.
func (s *session) long(ctx context.Context) (*host.Driver, *task, error) {
	d, err := s.usable(ctx)
	if err != nil {
		return nil, nil, err
	}
	if s.config.LongTask == nil {
		return nil, nil, skip("no task is given that runs until it is stopped (Config.LongTask)")
	}
	return s.running(ctx, d, s.config.LongTask)
}

func (s *session) running(ctx context.Context, d *host.Driver, want *Task) (*host.Driver, *task, error) {
	t, err := s.prepare(want, false)
	if err != nil {
		return nil, nil, err
	}
	if err := t.launch(ctx, d); err != nil {
		return nil, nil, err
	}
	return d, t, t.stdout.expect(ctx, want.Stdout)
}

// usable returns the driver if it says that tasks can run.
func (s *session) usable(ctx context.Context) (*host.Driver, error) {
	d, err := s.driver(ctx)
	if err != nil {
		return nil, err
	}
	f, err := firstFingerprint(ctx, d)
	if err != nil {
		return nil, skip("no task can run without a fingerprint: ", err.Error())
	}
	if f.Health != driver.Healthy {
		return nil, skip("no task can run, the driver is ", f.Health.String(), ": ", f.Description)
	}
	return d, nil
}

// stillRuns fails if the task has ended.
func stillRuns(ctx context.Context, d *host.Driver, t *task) error {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	exit, err := d.WaitTask(ctx, t.Config.ID)
	if errors.Is(err, context.DeadlineExceeded) { // that of ctx, which either side may notice first
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for the task, which should be running: %w", err)
	}
	return fmt.Errorf("the task has ended: %s", exitText(exit))
}

func exitText(e *driver.ExitResult) string {
	text := fmt.Sprintf("exit code %d, signal %d", e.ExitCode, e.Signal)
	if e.OOMKilled {
		text += ", out of memory"
	}
	if e.Err != "" {
		text += ", error " + e.Err
	}
	return text
}

// expectExit compares how a task ended with what its config says. Some drivers say again in words that it failed.
func (t *task) expectExit(exit *driver.ExitResult) error {
	if exit.ExitCode != t.want.ExitCode || exit.Err != "" && exit.ExitCode == 0 {
		return fmt.Errorf("the task ended with %s; expected exit code %d", exitText(exit), t.want.ExitCode)
	}
	return nil
}

// transcript keeps what a task writes and tells who waits for it.
type transcript struct {
	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{}
}

// maxTranscript bounds what is kept, in bytes.
const maxTranscript = 1 << 20

func newTranscript() *transcript { return &transcript{grown: make(chan struct{})} }

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text.Len() < maxTranscript {
		t.text.Write(p)
	}
	close(t.grown)
	t.grown = make(chan struct{})
	return len(p), nil
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// expect waits until the text was written.
func (t *transcript) expect(ctx context.Context, want string) error {
	for {
		t.mu.Lock()
		text, grown := t.text.String(), t.grown
		t.mu.Unlock()
		if strings.Contains(text, want) {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("the task did not write %q; it wrote %s", want, quote(text))
		}
	}
}

// quote shows the beginning of a text.
func quote(text string) string {
	const most = 300
	if len(text) > most {
		return fmt.Sprintf("%q...", text[:most])
	}
	return fmt.Sprintf("%q", text)
}
