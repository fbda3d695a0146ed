package nomadapi

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
)

// Commands run beside a task, over a websocket.
func testExec(t *testing.T, f *fixture) {
	for name, tc := range map[string]struct {
		command        []string
		stdin          io.Reader
		stdout, stderr string
		code           int
	}{
		"output and exit code": {[]string{"/bin/sh", "-c", "echo to out; echo to err >&2; exit 3"}, strings.NewReader(""), "to out\n", "to err\n", 3},
		"stdin":                {[]string{"/bin/cat"}, strings.NewReader("line 1\nline 2\n"), "line 1\nline 2\n", "", 0},
		"much of both":         {[]string{"/usr/bin/tr", "a", "b"}, strings.NewReader(strings.Repeat("a", 1<<20)), strings.Repeat("b", 1<<20), "", 0},
		"environment":          {[]string{"/bin/sh", "-c", "echo $NOMAD_JOB_NAME $NOMAD_ALLOC_ID"}, strings.NewReader(""), "web " + f.alloc.ID + "\n", "", 0},
		"killed":               {[]string{"/bin/sh", "-c", "kill -9 $$"}, strings.NewReader(""), "", "", 137},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code, err := f.c.Allocations().Exec(timeout(t), f.alloc, "t", false, tc.command, tc.stdin, &out, &errs, nil, nil)
			if err != nil || code != tc.code {
				t.Errorf("exit %d, want %d: %v", code, tc.code, err)
			}
			if out.String() != tc.stdout {
				t.Errorf("stdout %.200q, want %.200q", out.String(), tc.stdout)
			}
			if errs.String() != tc.stderr {
				t.Errorf("stderr %.200q, want %.200q", errs.String(), tc.stderr)
			}
		})
	}
	t.Run("terminal", func(t *testing.T) {
		in, feed := io.Pipe()
		defer feed.Close()
		sizes := make(chan api.TerminalSize, 1)
		sizes <- api.TerminalSize{Height: 33, Width: 111}
		go io.WriteString(feed, "sleep 0.3; test -t 0 && stty size; exit 5\n")
		var out bytes.Buffer
		code, err := f.c.Allocations().Exec(timeout(t), f.alloc, "t", true, []string{"/bin/sh"}, in, &out, io.Discard, sizes, nil)
		if err != nil || code != 5 {
			t.Errorf("exit %d, want 5: %v", code, err)
		}
		if !strings.Contains(out.String(), "33 111") {
			t.Errorf("no terminal of 33 lines and 111 columns in %q", out.String())
		}
	})
	for name, tc := range map[string]struct {
		task    string
		command []string
	}{
		"no such command": {"t", []string{"/nonexistent"}},
		"no such task":    {"nosuch", []string{"/bin/true"}},
		"no command":      {"t", nil},
	} {
		t.Run(name, func(t *testing.T) {
			code, err := f.c.Allocations().Exec(timeout(t), f.alloc, tc.task, false, tc.command, strings.NewReader(""), io.Discard, io.Discard, nil, nil)
			if err == nil && code == 0 {
				t.Error("succeeded")
			}
			if err != nil && (strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "deadline")) {
				t.Errorf("the error explains nothing: %v", err)
			}
		})
	}
}
