package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func at(ns int) time.Time { return time.Unix(1_700_000_000, int64(ns)).UTC() }

func TestCursorRoundTrip(t *testing.T) {
	c := Cursor{Container: strings.Repeat("c", 64), Time: at(42), Count: 3}
	if got := ParseCursor(c.String(), c.Container); got != c {
		t.Errorf("got %+v", got)
	}
	if len(c.String()) > 200 {
		t.Errorf("%d bytes", len(c.String()))
	}
	for _, text := range []string{"", "nonsense", "1 other 1 1", "2 " + c.Container + " 1 1", "1 " + c.Container + " x 1", "1 " + c.Container + " 1 0"} {
		if got := ParseCursor(text, c.Container); got.Begun() {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestFilter(t *testing.T) {
	late := at(1000)
	for name, test := range map[string]struct {
		from  Cursor
		times []int
		now   time.Time
		want  string // + passes, - does not
		lost  bool
	}{
		"from the beginning":     {Cursor{}, []int{1, 2, 2, 3}, late, "++++", false},
		"resumed":                {Cursor{Time: at(2), Count: 2}, []int{1, 2, 2, 2, 3}, late, "---++", false},
		"resumed at the end":     {Cursor{Time: at(2), Count: 2}, []int{2, 2}, late, "--", false},
		"rotated away":           {Cursor{Time: at(2), Count: 1}, []int{5, 6}, late, "++", true},
		"the engine repeats":     {Cursor{}, []int{1, 2, 2, 1, 2, 2, 2, 3}, late, "+++---++", false},
		"the clock was set back": {Cursor{Time: at(900), Count: 1}, []int{5, 6}, at(7), "++", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFilter(test.from)
			got, lost := "", false
			for _, ns := range test.times {
				if f.pass(at(ns), test.now) {
					got += "+"
				} else {
					got += "-"
				}
				lost = lost || f.lost
			}
			if got != test.want || lost != test.lost {
				t.Errorf("got %s, lost %t; want %s, %t", got, lost, test.want, test.lost)
			}
		})
	}
}

func frame(kind byte, text string) string {
	b := []byte{kind, 0, 0, 0}
	return string(binary.BigEndian.AppendUint32(b, uint32(len(text)))) + text
}

func TestReader(t *testing.T) {
	const stamp = "2023-11-14T22:13:20.000000042Z "
	long := strings.Repeat("x", cut)
	for name, test := range map[string]struct {
		in   string
		tty  bool
		want string
		err  error
	}{
		"frames":             {frame(1, stamp+"out\n") + frame(2, stamp+"err\n"), false, "0:out\n|1:err\n|", io.EOF},
		"empty line":         {frame(1, stamp+"\n"), false, "0:\n|", io.EOF},
		"torn head":          {frame(1, stamp+"a\n") + "\x01\x00", false, "0:a\n|", io.ErrUnexpectedEOF},
		"torn body":          {frame(1, stamp+"a\n")[:20], false, "", io.ErrUnexpectedEOF},
		"the engine's error": {frame(3, "no space"), false, "", errDaemon},
		"terminal":           {stamp + "a\r\n" + stamp + "b\r\n", true, "0:a\r\n|0:b\r\n|", io.EOF},
		"terminal, cut line": {stamp + long + stamp + "y\n", true, "0:" + long + "|0:y\n|", io.EOF},
		"terminal, no end":   {stamp + "prompt> ", true, "0:prompt> |", io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReader(strings.NewReader(test.in), test.tty)
			var got bytes.Buffer
			for {
				e, err := r.next()
				if err != nil {
					if !errors.Is(err, test.err) {
						t.Errorf("ended with %v, want %v", err, test.err)
					}
					break
				}
				if !e.at.Equal(at(42)) {
					t.Errorf("time %v", e.at)
				}
				fmt.Fprintf(&got, "%d:%s|", e.stream, e.data)
			}
			if got.String() != test.want {
				t.Errorf("got %.100q, want %.100q", got.String(), test.want)
			}
		})
	}
}
