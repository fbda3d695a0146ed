//go:build linux

package tasklog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// put writes text to a stream's FIFO in one go; the caller's descriptor is closed again.
func put(t testing.TB, fifo, text string) {
	t.Helper()
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteString(text)
	must(t, err)
}

func TestRotation(t *testing.T) {
	line := func(n int) string { return strings.Repeat("x", n-1) + "\n" }
	for name, c := range map[string]struct {
		writes []string
		want   []int // sizes of the files
	}{
		"fills to the byte":          {[]string{line(1000), line(24)}, []int{1024}},
		"next line, next file":       {[]string{line(1000), line(25)}, []int{1000, 25}},
		"no empty file is made":      {[]string{line(1024)}, []int{1024}},
		"partial line moves on":      {[]string{line(600), "abc"}, []int{600, 3}},
		"begun line is finished":     {[]string{line(400) + "abc", line(100)}, []int{503}},
		"endless line is cut":        {[]string{strings.Repeat("x", 2500)}, []int{1024, 1024, 452}},
		"long line after short ones": {[]string{line(100), line(1024)}, []int{1024, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			c1 := n.client()
			ctx := testContext(t)
			s := n.stream("web.stdout")
			s.MaxFileSize = 1024
			must(t, c1.OpenStream(ctx, s))
			total := 0
			for _, w := range c.writes {
				put(t, s.FIFO, w)
				total += len(w)
				waitFor(t, "the bytes", func() bool { return len(n.content(s.Prefix)) == total })
			}
			must(t, c1.CloseStream(ctx, s.ID))
			var got []int
			for _, f := range n.files(s.Prefix) {
				got = append(got, len(f))
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("files have sizes %v, want %v", got, c.want)
			}
		})
	}
}

// A long stream: limits are kept, lines whole, the oldest files go, the numbers grow, modes are right.
func TestRotationKeepsLimits(t *testing.T) {
	const lines, size = 40_000, 128 << 10
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	s.MaxFiles, s.MaxFileSize = 3, size
	must(t, c.OpenStream(ctx, s))
	w := n.write(s.FIFO, lines, 777)
	w.written()
	must(t, c.CloseStream(ctx, s.ID))
	w.end()
	files, err := NewReader(n.logs, s.Prefix).Files()
	must(t, err)
	if len(files) != 3 {
		t.Fatalf("%d files are left, want 3", len(files))
	}
	all := testLines(lines)
	if !bytes.HasSuffix(all, n.content(s.Prefix)) {
		t.Error("what is left is not the end of what was written")
	}
	for i, f := range files {
		if f.Index != files[0].Index+i || f.Index == 0 {
			t.Errorf("file %d has number %d", i, f.Index)
		}
		st, err := os.Stat(filepath.Join(n.logs, f.Name))
		must(t, err)
		if st.Mode() != 0o644 {
			t.Errorf("%s has mode %v", f.Name, st.Mode())
		}
		if f.Size > size || i < 2 && f.Size < size-lineWindow {
			t.Errorf("%s has %d bytes, limit %d", f.Name, f.Size, size)
		}
	}
	for i, f := range n.files(s.Prefix) {
		if !bytes.HasSuffix(f, []byte("\n")) {
			t.Errorf("file %d ends within a line", i)
		}
	}
}

func TestUpdateLimits(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	s.MaxFileSize = 10
	must(t, c.OpenStream(ctx, s))
	put(t, s.FIFO, strings.Repeat("123456789\n", 5))
	waitFor(t, "five files", func() bool { return len(n.files(s.Prefix)) == 5 })
	must(t, c.Update(ctx, s.ID, Limits{MaxFiles: 2, MaxFileSize: 1000}))
	if got := len(n.files(s.Prefix)); got != 2 {
		t.Errorf("%d files after the update, want 2", got)
	}
	syscall.Kill(c.PID(), syscall.SIGKILL)
	put(t, s.FIFO, strings.Repeat("123456789\n", 50))
	waitFor(t, "one larger file", func() bool { return len(n.content(s.Prefix)) == 20+500 })
	if got := len(n.files(s.Prefix)); got != 2 {
		t.Errorf("%d files after the restart, want 2", got)
	}
}

// Files that others truncated, removed or put in the way neither stop the stream nor are written through.
func TestFilesOfOthers(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	victim := filepath.Join(n.dir, "victim")
	must(t, os.WriteFile(victim, []byte("untouched"), 0o600))
	must(t, os.Symlink(victim, filepath.Join(n.logs, "web.stdout.4")))
	must(t, c.OpenStream(ctx, s))
	put(t, s.FIFO, "one\n")
	at := func(i int) string { return filepath.Join(n.logs, fileName(s.Prefix, i)) }
	is := func(i int, want string) {
		t.Helper()
		waitFor(t, "file "+at(i)+" to be "+want, func() bool { got, _ := os.ReadFile(at(i)); return string(got) == want })
	}
	is(5, "one\n")
	must(t, os.Truncate(at(5), 0))
	put(t, s.FIFO, "two\n")
	is(5, "two\n")
	must(t, os.Remove(at(5)))
	put(t, s.FIFO, "three\n")
	is(5, "three\n")
	must(t, os.Remove(at(5)))
	must(t, os.Link(victim, at(5)))
	put(t, s.FIFO, "four\n")
	is(6, "four\n")
	if got, _ := os.ReadFile(victim); string(got) != "untouched" {
		t.Errorf("another file was written: %q", got)
	}
	must(t, c.CloseStream(ctx, s.ID))
}
