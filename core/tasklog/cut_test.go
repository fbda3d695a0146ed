package tasklog

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		size, limit int64
		want        step
		bytes       int64
	}{
		"empty file moves unseen up to the window": {0, mb, move, mb - lineWindow},
		"just before the window":                   {mb - lineWindow - 1, mb, move, 1},
		"at the window's start":                    {mb - lineWindow, mb, look, lineWindow},
		"one byte of room":                         {mb - 1, mb, look, 1},
		"full":                                     {mb, mb, rotate, 0},
		"limit was lowered":                        {mb, mb / 2, rotate, 0},
		"small limit has a small window":           {512, 1024, look, 512},
		"limit of one byte, empty":                 {0, 1, move, 1},
		"limit of one byte, full":                  {1, 1, rotate, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, n := cut(c.size, c.limit)
			if got != c.want || n != c.bytes {
				t.Errorf("cut(%d, %d) = %d, %d, want %d, %d", c.size, c.limit, got, n, c.want, c.bytes)
			}
		})
	}
}

func TestCutSeen(t *testing.T) {
	for name, c := range map[string]struct {
		seen        string
		atLineStart bool
		want        step
		bytes       int64
	}{
		"whole lines stay":                       {"a\nb\n", true, move, 4},
		"the beginning of a line does not":       {"a\nb", true, move, 2},
		"a line that would be cut goes on later": {"abc", true, rotate, 0},
		"a begun line goes on here":              {"abc", false, move, 3},
		"a begun line ends here":                 {"c\nd", false, move, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, n := cutSeen([]byte(c.seen), c.atLineStart)
			if got != c.want || n != c.bytes {
				t.Errorf("cutSeen(%q, %v) = %d, %d, want %d, %d", c.seen, c.atLineStart, got, n, c.want, c.bytes)
			}
		})
	}
}

// However the bytes arrive: nothing is lost, no file outgrows the limit, and no line of at most the window's length is
// split.
func TestCutKeepsLinesWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(1, 300).Draw(t, "limit")
		window := int(min(lineWindow, limit/2))
		lengths := rapid.SliceOfN(rapid.IntRange(1, 2*max(window, 1)), 1, 60).Draw(t, "line lengths")
		var text []byte
		for _, n := range lengths {
			text = append(text, strings.Repeat("x", n-1)+"\n"...)
		}
		files := [][]byte{nil}
		for left := text; len(left) > 0; {
			arrived := left[:rapid.IntRange(1, len(left)).Draw(t, "arrives")]
			left = left[len(arrived):]
			for len(arrived) > 0 {
				file := &files[len(files)-1]
				todo, n := cut(int64(len(*file)), limit)
				n = min(n, int64(len(arrived)))
				if todo == look {
					todo, n = cutSeen(arrived[:n], len(*file) == 0 || bytes.HasSuffix(*file, []byte("\n")))
				}
				if todo == rotate {
					if len(*file) == 0 {
						t.Fatal("rotated an empty file")
					}
					files = append(files, nil)
					continue
				}
				*file = append(*file, arrived[:n]...)
				arrived = arrived[n:]
			}
		}
		if got := bytes.Join(files, nil); !bytes.Equal(got, text) {
			t.Fatalf("text changed: %q", got)
		}
		for i, f := range files {
			if int64(len(f)) > limit {
				t.Fatalf("file %d has %d bytes, limit %d", i, len(f), limit)
			}
			if i == len(files)-1 || bytes.HasSuffix(f, []byte("\n")) {
				continue
			}
			begin := f[bytes.LastIndexByte(f, '\n')+1:]
			end, _, _ := bytes.Cut(bytes.Join(files[i+1:], nil), []byte("\n"))
			if n := len(begin) + len(end) + 1; n <= window {
				t.Fatalf("line of %d bytes was split, window %d", n, window)
			}
		}
	})
}
