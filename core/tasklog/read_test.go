package tasklog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logDir has the given files of the stream "web.stdout".
func logDir(t *testing.T, files map[int]string) string {
	dir := t.TempDir()
	for i, text := range files {
		writeLog(t, dir, i, text)
	}
	return dir
}

func writeLog(t *testing.T, dir string, index int, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, fileName("web.stdout", index)), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func show(c Chunk) string {
	if c.Event != "" {
		return fmt.Sprintf("%s: %s", c.File, c.Event)
	}
	return fmt.Sprintf("%s@%d: %s", strings.TrimPrefix(c.File, "web.stdout"), c.Offset, c.Data)
}

func TestRead(t *testing.T) {
	files := map[int]string{3: "abc", 4: "defgh", 7: "ij", 8: ""}
	for name, c := range map[string]struct {
		o    ReadOptions
		want string
	}{
		"all":                            {ReadOptions{}, ".3@0: abc|.4@0: defgh|.7@0: ij"},
		"from the start, in the second":  {ReadOptions{Offset: 5}, ".4@2: fgh|.7@0: ij"},
		"from the start, at a border":    {ReadOptions{Offset: 3}, ".4@0: defgh|.7@0: ij"},
		"from the start, beyond the end": {ReadOptions{Offset: 99}, ""},
		"from the end":                   {ReadOptions{Origin: OriginEnd, Offset: 4}, ".4@3: gh|.7@0: ij"},
		"from the end, nothing":          {ReadOptions{Origin: OriginEnd}, ""},
		"from the end, beyond the start": {ReadOptions{Origin: OriginEnd, Offset: 99}, ".3@0: abc|.4@0: defgh|.7@0: ij"},
		"from a position":                {ReadOptions{From: &Position{4, 4}}, ".4@4: h|.7@0: ij"},
		"from a file that is gone":       {ReadOptions{From: &Position{1, 4}}, ".3@0: abc|.4@0: defgh|.7@0: ij"},
		"from a file between":            {ReadOptions{From: &Position{5, 4}}, ".7@0: ij"},
		"from a truncated file":          {ReadOptions{From: &Position{7, 4}}, "web.stdout.7: file truncated|.7@0: ij"},
		"from a file to come":            {ReadOptions{From: &Position{9, 4}}, ""},
		"negative offset":                {ReadOptions{Offset: -5}, ".3@0: abc|.4@0: defgh|.7@0: ij"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := NewReader(logDir(t, files), "web.stdout").Read(context.Background(), c.o, func(c Chunk) error {
				got = append(got, show(c))
				return nil
			})
			if err != nil || strings.Join(got, "|") != c.want {
				t.Errorf("got %q, %v, want %q", strings.Join(got, "|"), err, c.want)
			}
		})
	}
}

func TestReadNothing(t *testing.T) {
	for name, dir := range map[string]string{"no directory": "/nonexistent/logs", "no file": t.TempDir()} {
		if err := NewReader(dir, "web.stdout").Read(context.Background(), ReadOptions{}, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadChunks(t *testing.T) {
	dir := logDir(t, map[int]string{0: strings.Repeat("x", 3*chunkSize+1)})
	var sizes []int
	stop := errors.New("enough")
	err := NewReader(dir, "web.stdout").Read(context.Background(), ReadOptions{}, func(c Chunk) error {
		sizes = append(sizes, len(c.Data))
		if len(sizes) == 4 {
			return stop
		}
		return nil
	})
	if err != stop || fmt.Sprint(sizes) != fmt.Sprint([]int{chunkSize, chunkSize, chunkSize, 1}) {
		t.Errorf("chunks %v, %v", sizes, err)
	}
}

// follower runs Read or TailFile and hands its chunks over one by one.
type follower struct {
	t      *testing.T
	chunks chan string
	result chan error
	done   chan struct{}
	cancel context.CancelFunc
}

func follow(t *testing.T, read func(context.Context, ReadOptions, func(Chunk) error) error, o ReadOptions) *follower {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	f := &follower{t: t, chunks: make(chan string), result: make(chan error, 1), done: make(chan struct{}), cancel: cancel}
	o.Follow, o.Done = true, f.done
	go func() {
		f.result <- read(ctx, o, func(c Chunk) error {
			select {
			case f.chunks <- show(c):
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(cancel)
	return f
}

func (f *follower) wants(want string) {
	f.t.Helper()
	select {
	case got := <-f.chunks:
		if got != want {
			f.t.Fatalf("got %q, want %q", got, want)
		}
	case err := <-f.result:
		f.t.Fatalf("ended with %v, want %q", err, want)
	}
}

func (f *follower) ends(want error) {
	f.t.Helper()
	select {
	case got := <-f.chunks:
		f.t.Fatalf("got %q, want the end", got)
	case err := <-f.result:
		if !errors.Is(err, want) {
			f.t.Fatalf("ended with %v, want %v", err, want)
		}
	}
}

func TestFollow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "later")
	f := follow(t, NewReader(dir, "web.stdout").Read, ReadOptions{})
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeLog(t, dir, 0, "first")
	f.wants(".0@0: first")
	writeLog(t, dir, 0, ", more")
	f.wants(".0@5: , more")
	writeLog(t, dir, 1, "rotated")
	f.wants(".1@0: rotated")
	if err := os.Remove(filepath.Join(dir, "web.stdout.0")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "web.stdout.1"), 2); err != nil {
		t.Fatal(err)
	}
	f.wants("web.stdout.1: file truncated")
	f.wants(".1@0: ro")
	if err := os.Remove(filepath.Join(dir, "web.stdout.1")); err != nil {
		t.Fatal(err)
	}
	f.wants("web.stdout.1: file deleted")
	writeLog(t, dir, 1, "again")
	f.wants(".1@0: again")
	writeLog(t, dir, 2, "last")
	close(f.done)
	f.wants(".2@0: last")
	f.ends(nil)
}

func TestFollowIsCancelled(t *testing.T) {
	f := follow(t, NewReader(t.TempDir(), "web.stdout").Read, ReadOptions{})
	f.cancel()
	f.ends(context.Canceled)
}

func TestTailFile(t *testing.T) {
	dir := logDir(t, map[int]string{0: "0123456789"})
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	tail := func(ctx context.Context, o ReadOptions, fn func(Chunk) error) error {
		return TailFile(ctx, root, "web.stdout.0", o, fn)
	}
	f := follow(t, tail, ReadOptions{Origin: OriginEnd, Offset: 3})
	f.wants(".0@7: 789")
	writeLog(t, dir, 0, "abc")
	f.wants(".0@10: abc")
	if err := os.Remove(filepath.Join(dir, "web.stdout.0")); err != nil {
		t.Fatal(err)
	}
	f.wants("web.stdout.0: file deleted")
	f.ends(nil)
	if err := tail(context.Background(), ReadOptions{}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if err := TailFile(context.Background(), root, "../x", ReadOptions{}, nil); err == nil {
		t.Error("read outside of the root")
	}
}

func TestFollowLines(t *testing.T) {
	long := strings.Repeat("x", chunkSize+10)
	dir := logDir(t, map[int]string{0: "one\ntwo\n\nhalf", 2: "new file\n" + long + "\nrest"})
	var got []string
	err := NewReader(dir, "web.stdout").FollowLines(context.Background(), ReadOptions{Offset: 4}, func(l Line) error {
		got = append(got, fmt.Sprintf("%d:%d %d %.8s", l.Position.Index, l.Position.Offset, len(l.Text), l.Text))
		return nil
	})
	want := []string{"0:8 3 two", "0:9 0 ", "0:13 4 half", "2:9 8 new file",
		fmt.Sprintf("2:%d %d xxxxxxxx", 9+chunkSize, chunkSize), fmt.Sprintf("2:%d 10 xxxxxxxx", 9+len(long)+1), fmt.Sprintf("2:%d 4 rest", 9+len(long)+5)}
	if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%v\n got %q\nwant %q", err, got, want)
	}
}
