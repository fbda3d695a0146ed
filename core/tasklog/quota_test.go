//go:build linux

package tasklog

import (
	"bytes"
	"testing"
	"time"
)

func TestQuota(t *testing.T) {
	var q quota
	now := time.Unix(100, 0)
	if wait := q.take(1<<20, 0, now); wait != 0 {
		t.Errorf("no limit: %s", wait)
	}
	for i, tt := range []struct {
		after time.Duration
		moved int64
		want  time.Duration
	}{
		{0, 400, 0}, // the burst
		{0, 100, time.Second},
		{time.Second, 100, time.Second},
		{time.Second, 1, 10 * time.Millisecond}, // too little to sleep for
		{time.Hour, 400, 0},
	} {
		now = now.Add(tt.after)
		if got := q.take(tt.moved, 100, now); got != tt.want {
			t.Errorf("step %d: wait %s, want %s", i, got, tt.want)
		}
	}
}

// A stream over its rate waits, loses nothing, and holds up no other.
func TestMaxRate(t *testing.T) {
	n := newNode(t)
	c := n.client()
	ctx := testContext(t)
	slow, quick := n.stream("slow.stderr"), n.stream("quick.stdout")
	slow.MaxRate = 40 << 10
	must(t, c.OpenStream(ctx, slow))
	must(t, c.OpenStream(ctx, quick))
	began := time.Now()
	const lines = 3500
	flood := n.write(slow.FIFO, lines, 4096)
	put(t, quick.FIFO, "at once\n")
	waitFor(t, "the other stream", func() bool { return len(n.content(quick.Prefix)) == len("at once\n") })
	want := testLines(lines)
	flood.written()
	must(t, c.CloseStream(ctx, slow.ID))
	flood.end()
	if got := n.content(slow.Prefix); !bytes.Equal(got, want) {
		t.Errorf("%d bytes in the log, want %d", len(got), len(want))
	}
	least := time.Duration(float64(len(want)-quotaBurst*int(slow.MaxRate)-2*(64<<10)) / float64(slow.MaxRate) * float64(time.Second))
	if took := time.Since(began); took < least {
		t.Errorf("%d bytes took %s, want at least %s", len(want), took, least)
	}
	must(t, c.CloseStream(ctx, quick.ID))
}
