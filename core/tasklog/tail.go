package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// TailFile reads one file beneath root in the same way; numbers in names mean nothing to it. Origin and Offset count
// within the file, of From only Offset counts. Following ends with an event when the file is deleted.
func TailFile(ctx context.Context, root *os.Root, path string, o ReadOptions, fn func(Chunk) error) error {
	st, err := root.Stat(path)
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	var at Position
	switch {
	case o.From != nil:
		at.Offset = o.From.Offset
	case o.Origin == OriginEnd:
		at.Offset = max(0, st.Size()-max(0, o.Offset))
	default:
		at.Offset = min(max(0, o.Offset), st.Size())
	}
	p := newPatience(ctx, o)
	t := &tail{root: root, path: path, at: at, p: p, fn: fn}
	t.complete = func() (bool, error) { return !o.Follow || p.isDone(), nil }
	if err := t.run(); !errors.Is(err, errFileGone) {
		return err
	}
	return nil
}

// errFileGone: the file was removed and read to its end.
var errFileGone = errors.New("file is gone")

// tail reads one file to its end, which it has reached once complete said so before the last read.
type tail struct {
	root     *os.Root
	path     string
	at       Position
	p        *patience
	fn       func(Chunk) error
	complete func() (bool, error)
}

func (t *tail) run() error {
	f, err := t.root.OpenFile(t.path, os.O_RDONLY|openNonblock, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return errFileGone
	}
	if err != nil {
		return fmt.Errorf("read file: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read file %s: %w", t.path, err)
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("read file %s: it is a %s, not a regular file", t.path, st.Mode().Type())
	}
	for {
		gone := !t.stillNamed(st) // asked first: a file that was rotated away is complete by then
		complete, err := t.complete()
		if err != nil {
			return err
		}
		progress, err := t.drain(f)
		if err != nil {
			return err
		}
		switch {
		case gone && !complete:
			if err := t.event(FileDeleted); err != nil {
				return err
			}
			return errFileGone
		case complete:
			return nil
		case progress:
			t.p.reset()
		}
		if err := t.p.wait(); err != nil {
			return err
		}
	}
}

// stillNamed reports whether path still leads to the open file.
func (t *tail) stillNamed(open os.FileInfo) bool {
	st, err := t.root.Stat(t.path)
	return err == nil && os.SameFile(st, open)
}

// drain reads to the present end.
func (t *tail) drain(f *os.File) (progress bool, err error) {
	st, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("read file %s: %w", t.path, err)
	}
	if st.Size() < t.at.Offset {
		t.at.Offset = 0
		if err := t.event(FileTruncated); err != nil {
			return true, err
		}
	}
	for {
		if err := t.p.ctx.Err(); err != nil {
			return progress, err
		}
		n, err := f.ReadAt(t.p.buf[:], t.at.Offset)
		if n > 0 {
			progress = true
			c := Chunk{File: t.path, Offset: t.at.Offset, Data: t.p.buf[:n]}
			t.at.Offset += int64(n)
			c.Position = t.at
			if err := t.fn(c); err != nil {
				return true, err
			}
		}
		if errors.Is(err, io.EOF) {
			return progress, nil
		}
		if err != nil {
			return progress, fmt.Errorf("read file %s: %w", t.path, err)
		}
	}
}

func (t *tail) event(e FileEvent) error {
	return t.fn(Chunk{File: t.path, Offset: t.at.Offset, Event: e, Position: t.at})
}

// patience is the patience of one reader, and its buffer.
type patience struct {
	ctx   context.Context
	done  <-chan struct{}
	pause time.Duration
	buf   [chunkSize]byte
}

func newPatience(ctx context.Context, o ReadOptions) *patience {
	return &patience{ctx: ctx, done: o.Done, pause: pollFirst}
}

func (p *patience) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *patience) reset() { p.pause = pollFirst }

// wait pauses until it is time to look again, or Done is closed.
func (p *patience) wait() error {
	timer := time.NewTimer(p.pause)
	defer timer.Stop()
	p.pause = min(2*p.pause, pollLast)
	select {
	case <-timer.C:
	case <-p.done:
	case <-p.ctx.Done():
	}
	return p.ctx.Err()
}
