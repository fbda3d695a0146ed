package driver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/plugintest"
)

func TestFingerprintFollowsTriggers(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	steps := []struct {
		want  string
		after func()
	}{
		{"healthy Healthy", func() { f.setHealth(driver.Undetected, nil) }},
		{"undetected ", func() { f.setHealth(driver.Healthy, errors.New("socket gone")) }},
		{"unhealthy socket gone", func() {}},
	}
	i := 0
	err := d.Fingerprint(t.Context(), func(got driver.Fingerprint) error {
		if text := got.Health.String() + " " + got.Description; text != steps[i].want {
			t.Errorf("step %d: got %q, want %q", i, text, steps[i].want)
		}
		steps[i].after()
		if i++; i == len(steps) {
			return stopped
		}
		return nil
	})
	if err != stopped {
		t.Error(err)
	}
}

func TestEventsReachEveryListener(t *testing.T) {
	f := newFake()
	r := plugintest.Listen(t, driver.New(info(), f))
	d := plugintest.Connect(t, r).Driver()
	start(t, d, "a/web")
	f.emit("before anybody listens", nil)
	firstSeen, gotFirst := make(chan string, 10), make(chan error, 1)
	go func() {
		gotFirst <- d.TaskEvents(t.Context(), func(e driver.TaskEvent) error {
			firstSeen <- e.Message + " " + e.TaskName + " " + e.AllocID + " " + e.Annotations["k"]
			if e.Message == "last" {
				return stopped
			}
			return nil
		})
	}()
	if got := <-firstSeen; got != "before anybody listens web a1 " {
		t.Errorf("got %q", got)
	}
	secondSeen := make(chan string, 10)
	go func() {
		_ = plugintest.Connect(t, r).Driver().TaskEvents(t.Context(), func(e driver.TaskEvent) error {
			secondSeen <- e.Message
			return nil
		})
	}()
	// The second listener is there once it gets a probe.
	for probing := true; probing; {
		f.emit("probe", nil)
		select {
		case <-secondSeen:
			probing = false
		case <-time.After(10 * time.Millisecond):
		}
	}
	f.emit("bad \xff text", map[string]string{"k": "v"})
	f.emit("last", nil)
	for got := range firstSeen {
		if got == "bad \uFFFD text web a1 v" {
			break
		}
	}
	if err := <-gotFirst; err != stopped {
		t.Error(err)
	}
	for got := range secondSeen {
		if got == "last" {
			break
		}
	}
}

func TestEmittingNeverBlocks(t *testing.T) {
	f := newFake()
	d := plugintest.Driver(t, driver.New(info(), f), nil)
	start(t, d, "t1")
	for i := range 10_000 {
		f.emit(fmt.Sprint(i), nil)
	}
	err := d.TaskEvents(t.Context(), func(e driver.TaskEvent) error {
		if e.Message == "9999" { // the newest are kept
			return stopped
		}
		return nil
	})
	if err != stopped {
		t.Error(err)
	}
}

func TestStatsFirstAtOnceAndEndWithTheTask(t *testing.T) {
	f := newFake()
	f.stats = func() (*driver.TaskStats, error) {
		return &driver.TaskStats{
			Usage: driver.ResourceUsage{
				CPU:    driver.CPUUsage{TotalTicks: math.NaN(), Percent: 3, Measured: []driver.CPUField{driver.CPUPercent}},
				Memory: driver.MemoryUsage{RSS: 5, Measured: []driver.MemoryField{driver.MemoryRSS, driver.MemorySwap}},
			},
			ByPID: map[string]driver.ResourceUsage{"1": {}},
		}, nil
	}
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	start(t, d, "t1")
	samples := 0
	err := d.Stats(t.Context(), "t1", time.Hour, func(s driver.TaskStats) error {
		samples++
		if s.ID != "t1" || s.Timestamp.IsZero() || s.Usage.CPU.TotalTicks != 0 || s.Usage.CPU.Percent != 3 || s.Usage.Memory.RSS != 5 || len(s.ByPID) != 1 {
			t.Errorf("got %+v", s)
		}
		f.endOf("t1") <- &driver.ExitResult{}
		return nil
	})
	if err != nil || samples != 1 {
		t.Errorf("got %d samples and %v, want 1 and a stream that ends", samples, err)
	}
}

func TestStatsErrors(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		final bool
	}{
		"never":      {driver.ErrStatsNotSupported, true},
		"perhaps":    {errors.New("busy"), false},
		"mark final": {driver.Unrecoverable(errors.New("gone")), true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake()
			f.stats = func() (*driver.TaskStats, error) { return nil, test.err }
			d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
			start(t, d, "t1")
			err := d.Stats(t.Context(), "t1", time.Second, func(driver.TaskStats) error { return nil })
			var marked *driver.RecoverableError
			if final := errors.As(err, &marked) && !marked.Recoverable; err == nil || final != test.final {
				t.Errorf("got %v, final %t", err, final)
			}
		})
	}
}

func TestExecKeepsTheEndOfItsOutput(t *testing.T) {
	f := newFake()
	f.exec = func(_ context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
		if rest, err := io.ReadAll(r.Stdin); err != nil || len(rest) != 0 {
			t.Errorf("stdin: got %q, %v", rest, err)
		}
		for range 100 {
			fmt.Fprint(r.Stdout, strings.Repeat("x", 1000))
		}
		fmt.Fprint(r.Stdout, "end")
		fmt.Fprint(r.Stderr, strings.Repeat("y", 10_000), "END")
		return &driver.ExitResult{ExitCode: 2}, nil
	}
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	start(t, d, "t1")
	got, err := d.ExecTask(t.Context(), "t1", []string{"x"}, time.Minute)
	if err != nil || got.Exit.ExitCode != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, out := range [][]byte{got.Stdout, got.Stderr} {
		if len(out) != 4096 || !strings.EqualFold(string(out[4093:]), "end") {
			t.Errorf("got %d bytes ending with %q", len(out), out[max(0, len(out)-3):])
		}
	}
}

func TestExecTimesOut(t *testing.T) {
	f := newFake()
	f.exec = func(ctx context.Context, _ *driver.ExecRequest) (*driver.ExitResult, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	start(t, d, "t1")
	if _, err := d.ExecTask(t.Context(), "t1", []string{"x"}, time.Millisecond); err == nil || !strings.Contains(err.Error(), "timed out after 1ms") {
		t.Errorf("got %v", err)
	}
}

func TestExecStreaming(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789"), 50_000)
	f := newFake()
	f.exec = func(_ context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
		size := <-r.Resize
		if size != (driver.TerminalSize{Height: 24, Width: 80}) || !r.TTY || strings.Join(r.Command, " ") != "sh -l" {
			t.Errorf("got %+v, %+v", size, r)
		}
		if _, err := io.Copy(r.Stdout, r.Stdin); err != nil {
			t.Error(err)
		}
		fmt.Fprint(r.Stderr, "done")
		return &driver.ExitResult{ExitCode: 1, Signal: 2}, nil
	}
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	start(t, d, "t1")
	sizes := make(chan driver.TerminalSize, 1)
	sizes <- driver.TerminalSize{Height: 24, Width: 80}
	var stdout, stderr bytes.Buffer
	exit, err := d.ExecTaskStreaming(t.Context(), &driver.ExecRequest{
		TaskID: "t1", Command: []string{"sh", "-l"}, TTY: true, Stdin: bytes.NewReader(big), Stdout: &stdout, Stderr: &stderr, Resize: sizes,
	})
	if err != nil || exit.ExitCode != 1 || exit.Signal != 2 {
		t.Errorf("got %+v, %v", exit, err)
	}
	if !bytes.Equal(stdout.Bytes(), big) || stderr.String() != "done" {
		t.Errorf("got %d bytes and %q", stdout.Len(), stderr.String())
	}
}

// TestResizeOvertakesUnreadInput: a command that does not read must still learn of its terminal.
func TestResizeOvertakesUnreadInput(t *testing.T) {
	f := newFake()
	began, seen := make(chan struct{}), make(chan driver.TerminalSize, 1)
	f.exec = func(_ context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
		close(began)
		seen <- <-r.Resize
		return &driver.ExitResult{}, nil // with its input unread
	}
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	start(t, d, "t1")
	sizes := make(chan driver.TerminalSize)
	input := &notifyingReader{left: 512 << 10, done: make(chan struct{})}
	go func() {
		<-began
		<-input.done // all input is on its way
		sizes <- driver.TerminalSize{Height: 1, Width: 2}
	}()
	exit, err := d.ExecTaskStreaming(t.Context(), &driver.ExecRequest{TaskID: "t1", Command: []string{"sh"}, TTY: true, Stdin: input, Resize: sizes})
	if err != nil || !exit.Successful() {
		t.Errorf("got %+v, %v", exit, err)
	}
	if got := <-seen; got.Width != 2 {
		t.Errorf("got %+v", got)
	}
}

// notifyingReader gives so many bytes and says when they are gone.
type notifyingReader struct {
	left int
	done chan struct{}
}

func (r *notifyingReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		close(r.done)
		return 0, io.EOF
	}
	n := min(len(p), r.left)
	r.left -= n
	return n, nil
}

func TestExecStreamingEndsWithItsUser(t *testing.T) {
	f := newFake()
	began, ended := make(chan struct{}), make(chan struct{})
	f.exec = func(ctx context.Context, r *driver.ExecRequest) (*driver.ExitResult, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}
	d := plugintest.Driver(t, driver.New(info(), able{f}), nil)
	start(t, d, "t1")
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	_, err := d.ExecTaskStreaming(ctx, &driver.ExecRequest{TaskID: "t1", Command: []string{"sh"}, Stdin: strings.NewReader("")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}
