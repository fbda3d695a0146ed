//go:build linux

package tasklog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// smallDisk mounts a tmpfs of the given number of KiB over the node's log directory.
func (n *node) smallDisk(kib int) {
	n.t.Helper()
	if os.Geteuid() != 0 {
		n.t.Skip("needs root to mount a small disk")
	}
	if err := unix.Mount("tmpfs", n.logs, "tmpfs", 0, fmt.Sprintf("size=%dk,mode=755", kib)); err != nil {
		n.t.Fatalf("mount a tmpfs: %v", err)
	}
	n.t.Cleanup(func() {
		n.nothingLeft() // the collector's handles would keep the mount busy
		must(n.t, unix.Unmount(n.logs, 0))
	})
}

// fill leaves no room on the log directory's disk and returns the file that takes it.
func (n *node) fill() string {
	n.t.Helper()
	path := filepath.Join(n.logs, "ballast")
	f, err := os.Create(path)
	must(n.t, err)
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	return path
}

// diskNode has its FIFOs outside the small disk, as plugins have.
func diskNode(t *testing.T, stall time.Duration) (*node, *Client, Stream) {
	n := newNode(t, testStallEnv+"="+stall.String())
	n.smallDisk(256)
	c := n.client()
	s := n.stream("web.stdout")
	s.FIFO = filepath.Join(n.dir, "web.fifo")
	must(t, c.OpenStream(testContext(t), s))
	return n, c, s
}

// While the disk is full for less than the limit, the task waits and nothing is lost.
func TestDiskFullForAMoment(t *testing.T) {
	const lines = 1000 // more than the pipe holds
	n, c, s := diskNode(t, time.Minute)
	ballast := n.fill()
	w := n.write(s.FIFO, lines, 0)
	waitFor(t, "the stream to stall", func() bool {
		all, err := c.List(testContext(t))
		return err == nil && len(all) == 1 && all[0].Stalled
	})
	must(t, os.Remove(ballast))
	w.written()
	must(t, c.CloseStream(testContext(t), s.ID))
	w.end()
	sameLog(t, n.content(s.Prefix), testLines(lines))
}

// After the limit the task goes on, whole lines are missing, and file and events say how much.
func TestDiskFullForLong(t *testing.T) {
	const lines = 4000
	n, c, s := diskNode(t, 50*time.Millisecond)
	put(t, s.FIFO, "before\nhalf a l")
	waitFor(t, "the first bytes", func() bool { return len(n.content(s.Prefix)) == 15 })
	ballast := n.fill()
	w := n.write(s.FIFO, lines, 0)
	w.written() // although nothing can be written
	w.end()
	e := <-c.Events()
	if e.Kind != EventDropping || e.StreamID != s.ID || e.Bytes == 0 {
		t.Errorf("first event %+v", e)
	}
	must(t, os.Remove(ballast))
	e = <-c.Events()
	if e.Kind != EventDropped || e.StreamID != s.ID {
		t.Errorf("second event %+v", e)
	}
	put(t, s.FIFO, "after\n")
	must(t, c.CloseStream(testContext(t), s.ID))
	got := string(n.content(s.Prefix))
	marker := fmt.Sprintf("[drover: %d bytes dropped: disk full]\n", e.Bytes)
	before, after, ok := strings.Cut(got, marker)
	if !ok {
		t.Fatalf("no marker %q in %.300q", marker, got)
	}
	all := testLines(lines)
	before = strings.TrimPrefix(before, "before\nhalf a l")
	if !strings.HasSuffix(before, "\n") || !bytes.HasPrefix(all, []byte(before[:len(before)-1])) {
		t.Errorf("before the marker is not the beginning of what was written: %.100q", before)
	}
	kept := int64(len(before))
	if !bytes.HasPrefix(all, []byte(before)) {
		kept-- // the newline before the marker is the collector's
	}
	tail, ok := strings.CutSuffix(after, "after\n")
	if !ok || !bytes.HasSuffix(all, []byte(tail)) || tail != "" && all[len(all)-len(tail)-1] != '\n' {
		t.Errorf("after the marker are not the last whole lines: %.100q", after)
	}
	if missing := int64(len(all)-len(tail)) - kept; e.Bytes < missing-1 || e.Bytes > missing {
		t.Errorf("%d bytes are missing, the marker says %d", missing, e.Bytes)
	}
}

// A stream that is closed on a full disk does not wait for ever, and says what it lost.
func TestCloseOnFullDisk(t *testing.T) {
	n, c, s := diskNode(t, 50*time.Millisecond)
	n.fill()
	put(t, s.FIFO, strings.Repeat("x", 50_000))
	err := c.CloseStream(testContext(t), s.ID)
	if !errors.Is(err, ErrDropped) {
		t.Errorf("close: %v, want ErrDropped", err)
	}
	if _, err := os.Lstat(s.FIFO); err == nil {
		t.Error("fifo was left")
	}
}

// An append on a full disk stores nothing, and can be repeated.
func TestAppendOnFullDisk(t *testing.T) {
	n, c, s := diskNode(t, 50*time.Millisecond)
	ctx := testContext(t)
	must(t, c.Append(ctx, s.ID, []byte("one\n"), "1"))
	ballast := n.fill()
	big := bytes.Repeat([]byte("0123456789abcde\n"), 4000)
	if err := c.Append(ctx, s.ID, big, "2"); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("append: %v, want ErrDiskFull", err)
	}
	if cursor, err := c.Cursor(ctx, s.ID); cursor != "1" || err != nil {
		t.Errorf("cursor %q, %v", cursor, err)
	}
	if got := string(n.content(s.Prefix)); got != "one\n" {
		t.Errorf("log has %d bytes, want the first append only", len(got))
	}
	must(t, os.Remove(ballast))
	must(t, c.Append(ctx, s.ID, big, "2"))
	sameLog(t, n.content(s.Prefix), append([]byte("one\n"), big...))
	must(t, c.CloseStream(ctx, s.ID))
}
