//go:build linux

package tasklog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A plugin that goes on from the cursor after every death of the collector loses no line and writes none twice.
func TestAppendSurvivesKills(t *testing.T) {
	const lines, batch = 3000, 10
	for _, env := range []string{"intent:9", "appended:9", "rotated:2", "none:1"} {
		t.Run(env, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, failpointEnv+"="+env)
			c := n.client()
			ctx := testContext(t)
			s := n.stream("web.stdout")
			s.FIFO, s.MaxFileSize = "", 70<<10
			must(t, c.OpenStream(ctx, s))
			for {
				cursor, err := c.Cursor(ctx, s.ID)
				must(t, err)
				from, _ := strconv.Atoi(cursor)
				if from >= lines {
					break
				}
				var data []byte
				for i := from; i < from+batch; i++ {
					data = append(data, testLine(i)...)
				}
				must(t, c.Append(ctx, s.ID, data, strconv.Itoa(from+batch)))
			}
			must(t, c.CloseStream(ctx, s.ID))
			sameLog(t, n.content(s.Prefix), testLines(lines))
			if env != "none:1" && c.launches.Load() < 3 {
				t.Errorf("only %d collectors were needed, the test showed nothing", c.launches.Load())
			}
		})
	}
}

// Bytes of the FIFO and appends mix; only the unfinished append is taken back.
func TestAppendAndFIFO(t *testing.T) {
	n := newNode(t, failpointEnv+"=appended:2")
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	must(t, c.OpenStream(ctx, s))
	must(t, c.Append(ctx, s.ID, []byte("append 1\n"), "1"))
	put(t, s.FIFO, "fifo 1\n")
	waitFor(t, "the fifo's line", func() bool { return strings.HasSuffix(string(n.content(s.Prefix)), "fifo 1\n") })
	must(t, c.Append(ctx, s.ID, []byte("append 2\n"), "2")) // dies, is taken back and repeated
	must(t, c.Append(ctx, s.ID, []byte("append 2\n"), "2")) // a repeat
	if c.launches.Load() != 2 {
		t.Errorf("%d collectors, want 2", c.launches.Load())
	}
	must(t, c.CloseStream(ctx, s.ID))
	if got, want := string(n.content(s.Prefix)), "append 1\nfifo 1\nappend 2\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

func TestAppendRefusals(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	s := n.stream("web.stdout")
	s.FIFO = ""
	must(t, c.OpenStream(ctx, s))
	for name, err := range map[string]error{
		"too much":     c.Append(ctx, s.ID, make([]byte, maxAppend+1), "x"),
		"large cursor": c.Append(ctx, s.ID, nil, strings.Repeat("x", maxCursor+1)),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Append(ctx, "nobody", nil, "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown stream: %v", err)
	}
	must(t, c.Append(ctx, s.ID, make([]byte, maxAppend), strings.Repeat("x", maxCursor)))
	syscall.Kill(c.PID(), syscall.SIGKILL)
	if cursor, err := c.Cursor(ctx, s.ID); err != nil || len(cursor) != maxCursor {
		t.Errorf("cursor of %d bytes, %v", len(cursor), err)
	}
	must(t, c.CloseStream(ctx, s.ID))
}

func TestMarkRoundTrip(t *testing.T) {
	for _, m := range []mark{
		{},
		{Seq: 1, Pending: true, Index: 7, Size: 1 << 40, Cursor: "2026-01-02T03:04:05.000000006Z"},
		{Seq: 1 << 63, Cursor: strings.Repeat("c", maxCursor)},
	} {
		b := m.encode()
		if len(b) > slotSize {
			t.Errorf("record of %d bytes, slot %d", len(b), slotSize)
		}
		if got, ok := decodeMark(append(b, 1, 2, 3)); !ok || got != m {
			t.Errorf("got %+v, want %+v", got, m)
		}
		for i := range b {
			broken := append([]byte(nil), b...)
			broken[i] ^= 1
			if got, ok := decodeMark(broken); ok {
				t.Fatalf("byte %d broken: accepted as %+v", i, got)
			}
		}
	}
}

// A record torn by a power failure falls back to the one before.
func TestTornJournal(t *testing.T) {
	path := t.TempDir() + "/x.cursor"
	j, err := openJournal(path)
	must(t, err)
	for i := range 3 {
		must(t, j.put(mark{Cursor: fmt.Sprint("cursor ", i)}))
	}
	must(t, func() error { _, err := j.file.WriteAt([]byte("torn"), int64(j.last.Seq%2)*slotSize+32); return err }())
	j.close()
	j, err = openJournal(path)
	must(t, err)
	defer j.close()
	if j.last.Cursor != "cursor 1" {
		t.Errorf("last record %+v", j.last)
	}
}
