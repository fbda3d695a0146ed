// Package logs follows what the engine recorded of a container's output and hands it on, once and completely, to where
// the host wants it. No process per task is needed: how far the output came is stored with the output, so that the next
// plugin process goes on where this one was killed.
package logs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Cursor is how far one output stream of one container has come: the time stamp of the last entry and how many entries
// with that very stamp came. Long lines are cut by the engine into several entries with one stamp.
type Cursor struct {
	Container string
	Time      time.Time
	Count     int
}

const cursorVersion = "1"

// String is the stored form, under 200 bytes.
func (c Cursor) String() string {
	return strings.Join([]string{cursorVersion, c.Container, strconv.FormatInt(c.Time.UnixNano(), 10), strconv.Itoa(c.Count)}, " ")
}

// ParseCursor reads a stored cursor. One that belongs to another container, or to nobody, means the beginning.
func ParseCursor(text, container string) Cursor {
	begin := Cursor{Container: container}
	parts := strings.Fields(text)
	if len(parts) != 4 || parts[0] != cursorVersion || parts[1] != container {
		return begin
	}
	nanos, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return begin
	}
	count, err := strconv.Atoi(parts[3])
	if err != nil || count < 1 {
		return begin
	}
	return Cursor{Container: container, Time: time.Unix(0, nanos).UTC(), Count: count}
}

// Begun reports whether anything was handed on yet.
func (c Cursor) Begun() bool { return c.Count > 0 }

// Next is the cursor after one more entry.
func (c Cursor) Next(at time.Time) Cursor {
	if c.Begun() && at.Equal(c.Time) {
		c.Count++
		return c
	}
	c.Time, c.Count = at, 1
	return c
}

// since is the cursor's time as the engine takes it.
func (c Cursor) since() string {
	if !c.Begun() {
		return ""
	}
	return fmt.Sprintf("%d.%09d", c.Time.Unix(), c.Time.Nanosecond())
}

// filter drops the entries that a stream repeats: one that was resumed begins before its cursor, and old engines send a
// file again when they rotate while it is followed.
type filter struct {
	from Cursor // what was handed on already; moves with each entry that passes
	// repeating: entries up to from are being repeated; seen counts those with from's very time.
	repeating bool
	seen      int
	resumed   bool // nothing has passed since the stream was resumed
	// lost is set if the entry of the cursor is gone when a stream is resumed: the engine rotated it, and maybe others, away.
	lost bool
}

func newFilter(from Cursor) *filter {
	return &filter{from: from, repeating: from.Begun(), resumed: from.Begun()}
}

// pass takes an entry's time and says whether it is new. A time before the cursor's is a repetition, unless the clock
// itself was set back: then the cursor lies in the future.
func (f *filter) pass(at, now time.Time) bool {
	if f.from.Begun() && at.Before(f.from.Time) {
		if now.Before(f.from.Time) {
			f.repeating, f.resumed = false, false
			f.from = f.from.Next(at)
			return true
		}
		f.repeating, f.seen = true, 0
		return false
	}
	if f.repeating && at.Equal(f.from.Time) {
		f.seen++
		if f.seen <= f.from.Count {
			return false
		}
	}
	f.lost = f.resumed && f.seen == 0
	f.repeating, f.resumed = false, false
	f.from = f.from.Next(at)
	return true
}
