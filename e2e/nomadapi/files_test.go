package nomadapi

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/droverhq/drover/e2e/harness"
)

func testFiles(t *testing.T, f *fixture) {
	fs := f.c.AllocFS()
	f.until(t, "the task wrote its files", func() error {
		_, _, err := fs.Stat(f.alloc, "t/local/ready", nil)
		return err
	})
	t.Run("list", func(t *testing.T) {
		names := map[string]bool{}
		for _, e := range get(fs.List(f.alloc, "/", nil))(t) {
			names[e.Name] = e.IsDir
		}
		if !names["alloc"] || !names["t"] {
			t.Errorf("root has %v", names)
		}
		found := false
		for _, e := range get(fs.List(f.alloc, "t/local", nil))(t) {
			found = found || e.Name == "digits" && e.Size == 10 && !e.IsDir && strings.HasPrefix(e.FileMode, "-rw") && !e.ModTime.IsZero()
		}
		if !found {
			t.Error("digits, of 10 bytes, is not in t/local")
		}
		none := get(fs.List(f.alloc, "t/tmp", nil))(t)
		if none == nil {
			t.Error("an empty directory is null")
		}
	})
	t.Run("stat", func(t *testing.T) {
		if st := get(fs.Stat(f.alloc, "t/local/digits", nil))(t); st.Name != "digits" || st.Size != 10 || st.IsDir {
			t.Errorf("stat: %+v", st)
		}
		if st := get(fs.Stat(f.alloc, "alloc/logs", nil))(t); !st.IsDir {
			t.Errorf("stat of a directory: %+v", st)
		}
	})
	t.Run("cat", func(t *testing.T) {
		r, err := fs.Cat(f.alloc, "t/local/digits", nil)
		if got := text(t, r, err); got != "0123456789" {
			t.Errorf("read %q", got)
		}
	})
	for name, tc := range map[string]struct {
		offset, limit int64
		want          string
	}{
		"middle":          {3, 4, "3456"},
		"beyond the end":  {8, 100, "89"},
		"without a limit": {5, 0, "56789"},
		"nothing left":    {10, 5, ""},
	} {
		t.Run("read at, "+name, func(t *testing.T) {
			r, err := fs.ReadAt(f.alloc, "t/local/digits", tc.offset, tc.limit, nil)
			if got := text(t, r, err); got != tc.want {
				t.Errorf("read %q, want %q", got, tc.want)
			}
		})
	}
	t.Run("stream follows", func(t *testing.T) {
		cancel := make(chan struct{})
		defer close(cancel)
		frames, errs := fs.Stream(f.alloc, "t/local/digits", "start", 4, cancel, nil)
		if got := firstBytes(t, frames, errs, 6); got != "456789" {
			t.Errorf("streamed %q", got)
		}
		if _, err := f.c.Allocations().Exec(timeout(t), f.alloc, "t", false, []string{"/bin/sh", "-c", "printf more >> $NOMAD_TASK_DIR/digits"},
			strings.NewReader(""), io.Discard, io.Discard, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := firstBytes(t, frames, errs, 4); got != "more" {
			t.Errorf("then %q", got)
		}
	})
	t.Run("stream from the end", func(t *testing.T) {
		frames, errs := fs.Stream(f.alloc, "t/local/digits", "end", 4, make(chan struct{}), &api.QueryOptions{Params: map[string]string{"follow": "false"}})
		if got := firstBytes(t, frames, errs, 4); got != "more" {
			t.Errorf("streamed %q", got)
		}
	})
	t.Run("refused", func(t *testing.T) {
		for path, code := range map[string]int{
			"t/local/nosuch":   404,
			"../../etc/passwd": 0,
			"t/secrets/x":      0,
			"":                 400,
		} {
			_, _, err := fs.Stat(f.alloc, path, nil)
			if err == nil {
				t.Errorf("%q was shown", path)
			} else if code != 0 {
				status(t, err, code)
			}
			if r, err := fs.Cat(f.alloc, path, nil); err == nil {
				b, _ := io.ReadAll(r)
				t.Errorf("%q was read: %q", path, b)
			}
		}
	})
}

func testLogs(t *testing.T, f *fixture) {
	fs := f.c.AllocFS()
	for _, stream := range []string{"stdout", "stderr"} {
		t.Run(stream, func(t *testing.T) {
			want := strings.TrimPrefix(stream, "std")
			f.until(t, "the first line", func() error {
				if got := f.log(t, f.alloc, stream); !strings.HasPrefix(got, want+" ") {
					return io.ErrUnexpectedEOF
				}
				return nil
			})
		})
		t.Run(stream+" followed", func(t *testing.T) {
			// The task waits for a file, so the second line is written while someone follows.
			job := "talks-" + stream
			script := "echo first; echo first >&2; while [ ! -e $NOMAD_TASK_DIR/go ]; do sleep 0.02; done; echo second; echo second >&2"
			f.run(t, f.batch(job, shell(script)))
			a := f.info(t, f.waitAllocs(t, job, "running", 1)[0].ID)
			cancel := make(chan struct{})
			defer close(cancel)
			frames, errs := fs.Logs(a, true, "t", stream, "start", 0, cancel, nil)
			if got := firstBytes(t, frames, errs, 6); got != "first\n" {
				t.Fatalf("first %q", got)
			}
			if _, err := f.c.Allocations().Exec(timeout(t), a, "t", false, []string{"/bin/sh", "-c", "touch $NOMAD_TASK_DIR/go"},
				strings.NewReader(""), io.Discard, io.Discard, nil, nil); err != nil {
				t.Fatal(err)
			}
			if got := firstBytes(t, frames, errs, 7); got != "second\n" {
				t.Fatalf("then %q", got)
			}
			f.waitAllocs(t, job, "complete", 1)
			if got := f.log(t, a, stream); got != "first\nsecond\n" {
				t.Errorf("afterwards %q", got)
			}
		})
	}
	t.Run("the last bytes", func(t *testing.T) {
		frames, errs := fs.Logs(f.alloc, false, "t", "stdout", "end", 3, make(chan struct{}), nil)
		got := firstBytes(t, frames, errs, 3)
		if all := f.log(t, f.alloc, "stdout"); !strings.HasSuffix(all, got) {
			t.Errorf("%q is not the end of %q", got, all)
		}
	})
	t.Run("plain", func(t *testing.T) {
		r, err := f.c.Raw().Response("/v1/client/fs/logs/"+f.alloc.ID+"?task=t&type=stdout&plain=true", nil)
		if got := text(t, r, err); !strings.HasPrefix(got, "out ") {
			t.Errorf("plain text %q", got)
		}
	})
	for name, tc := range map[string]struct {
		task, stream string
		code         int
	}{
		"unknown task":   {"nosuch", "stdout", 400},
		"unknown stream": {"t", "stdnonsense", 400},
		"no task":        {"", "stdout", 400},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs := fs.Logs(f.alloc, false, tc.task, tc.stream, "start", 0, make(chan struct{}), nil)
			select {
			case err := <-errs:
				status(t, err, tc.code)
			case <-time.After(limit):
				t.Error("no answer")
			}
		})
	}
}

// log is everything a task wrote so far.
func (f *fixture) log(t *testing.T, a *api.Allocation, stream string) string {
	t.Helper()
	frames, errs := f.c.AllocFS().Logs(a, false, "t", stream, "start", 0, make(chan struct{}), nil)
	var b strings.Builder
	for {
		select {
		case fr, ok := <-frames:
			if !ok {
				return b.String()
			}
			b.Write(fr.Data)
		case err := <-errs:
			t.Fatalf("log of %s: %v", a.ID, err)
		case <-time.After(limit):
			t.Fatalf("log of %s does not end after %q: %s", a.ID, b.String(), harness.Pretty(a.TaskStates))
		}
	}
}

// firstBytes reads at least n bytes from a stream.
func firstBytes(t *testing.T, frames <-chan *api.StreamFrame, errs <-chan error, n int) string {
	t.Helper()
	var b strings.Builder
	end := time.After(limit)
	for b.Len() < n {
		select {
		case fr, ok := <-frames:
			if !ok {
				t.Fatalf("the stream ended after %q, want %d bytes", b.String(), n)
			}
			b.Write(fr.Data)
		case err := <-errs:
			t.Fatalf("after %q: %v", b.String(), err)
		case <-end:
			t.Fatalf("only %q, want %d bytes", b.String(), n)
		}
	}
	return b.String()
}
