package history

import (
	"testing"
	"time"
)

// What must be found in a history, and what must not.
func TestCheck(t *testing.T) {
	write := func(l *Log, v string) { l.Write(0, "x", v).Done("") }
	read := func(l *Log, v string) { l.Read(1, "x").Done(v) }
	for name, c := range map[string]struct {
		make func(*Log)
		want Verdict
	}{
		"one after the other":           {func(l *Log) { write(l, "a"); read(l, "a"); write(l, "b"); read(l, "b") }, Holds},
		"an acknowledged write is lost": {func(l *Log) { write(l, "a"); write(l, "b"); read(l, "a") }, Broken},
		"the first write is lost":       {func(l *Log) { write(l, "a"); read(l, "") }, Broken},
		"a stale read after a new one":  {func(l *Log) { write(l, "a"); p := l.Write(0, "x", "b"); read(l, "b"); read(l, "a"); p.Done("") }, Broken},
		"a value nobody wrote":          {func(l *Log) { write(l, "a"); read(l, "c") }, Broken},
		"two writes at once":            {func(l *Log) { p, q := l.Write(0, "x", "a"), l.Write(1, "x", "b"); p.Done(""); q.Done(""); read(l, "a") }, Holds},
		"two writes at once, read in two orders": {func(l *Log) {
			p, q := l.Write(0, "x", "a"), l.Write(1, "x", "b")
			p.Done("")
			q.Done("")
			read(l, "a")
			read(l, "b")
		}, Broken},
		"a write without an answer took effect": {func(l *Log) { write(l, "a"); l.Write(0, "x", "b").Unknown(); read(l, "a"); read(l, "b") }, Holds},
		"and is undone":                         {func(l *Log) { write(l, "a"); l.Write(0, "x", "b").Unknown(); read(l, "b"); read(l, "a") }, Broken},
		"other registers do not matter":         {func(l *Log) { write(l, "a"); l.Read(1, "y").Done(""); read(l, "a") }, Holds},
	} {
		l := New()
		c.make(l)
		if got := l.Check(20 * time.Second); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
