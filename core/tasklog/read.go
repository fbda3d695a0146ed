package tasklog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// chunkSize is the most data one chunk carries, which is what a frame of the API may hold.
const chunkSize = 64 << 10

// A follower that waits looks at the file again after pollFirst, then twice as late each time up to pollLast. That costs
// a few system calls, and neither a descriptor nor one of the kernel's few inotify instances per follower.
const (
	pollFirst = 10 * time.Millisecond
	pollLast  = 200 * time.Millisecond
)

// Origin is where an offset counts from.
type Origin int

const (
	OriginStart Origin = iota // forward from the oldest byte
	OriginEnd                 // backward from the newest
)

// Position is a place between two bytes of a stream: Offset bytes into file Index.
type Position struct {
	Index  int
	Offset int64
}

// ReadOptions say where to begin and when to stop.
type ReadOptions struct {
	// Origin and Offset: Offset bytes after the start of the oldest file, or before the end of the newest; the files count
	// as one text. Beyond either end means that end.
	Origin Origin
	Offset int64
	// From replaces Origin and Offset. If that file is gone, reading begins with the oldest after it.
	From *Position
	// Follow waits for more at the end.
	Follow bool
	// Done, with Follow: once it is closed nothing more will be written; Read returns nil after the last byte.
	Done <-chan struct{}
}

// FileEvent is what happened to a file that is being followed.
type FileEvent string

const (
	FileDeleted   FileEvent = "file deleted"
	FileTruncated FileEvent = "file truncated"
)

// Chunk is a piece of one file, or an event without data.
type Chunk struct {
	// File is the base name (for TailFile: the path as given).
	File string
	// Offset is where Data begins in File.
	Offset int64
	// Data has at most 64 KiB and is valid until the callback returns.
	Data  []byte
	Event FileEvent
	// Position is right behind Data.
	Position Position
}

// Read hands the stream's bytes to fn in order. Without Follow it ends at the end of the newest file, with Follow when
// Done is closed and everything is read. It returns fn's error as it is, and ctx's when that ends first.
func (r *Reader) Read(ctx context.Context, o ReadOptions, fn func(Chunk) error) error {
	p := newPatience(ctx, o)
	root, err := r.openRoot(p, o.Follow)
	if root == nil {
		return err
	}
	defer root.Close()
	var at *Position // nil until there is a file to begin in
	for {
		done := !o.Follow || p.isDone()
		files, err := r.files(root)
		if err != nil {
			return err
		}
		if at == nil && len(files) > 0 {
			start := startOf(files, o)
			at = &start
		}
		if at != nil {
			if f, ok := fileFrom(files, at.Index); ok {
				if *at, err = r.readFile(root, f, *at, o.Follow, p, fn); err != nil {
					return err
				}
				continue
			}
		}
		if done {
			return nil
		}
		if err := p.wait(); err != nil {
			return err
		}
	}
}

// readFile reads f, from at if that lies in it, and returns where to go on: in the next file. A followed file is complete
// once a later one exists or the stream is closed. If the newest is removed, its number may be used again.
func (r *Reader) readFile(root *os.Root, f File, at Position, follow bool, p *patience, fn func(Chunk) error) (Position, error) {
	if f.Index != at.Index {
		at = Position{Index: f.Index}
	}
	t := &tail{root: root, path: f.Name, at: at, p: p, fn: fn, complete: func() (bool, error) {
		if !follow || p.isDone() {
			return true, nil
		}
		now, err := r.files(root)
		return len(now) > 0 && now[len(now)-1].Index > f.Index, err
	}}
	err := t.run()
	if errors.Is(err, errFileGone) {
		return Position{Index: f.Index}, nil
	}
	return Position{Index: f.Index + 1}, err
}

// openRoot waits for the directory if it is followed. nil without error: there is none and nobody waits for it.
func (r *Reader) openRoot(p *patience, follow bool) (*os.Root, error) {
	for {
		done := !follow || p.isDone()
		root, err := os.OpenRoot(r.dir)
		if err == nil {
			return root, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open log directory: %w", err)
		}
		if done {
			return nil, nil
		}
		if err := p.wait(); err != nil {
			return nil, err
		}
	}
}

// startOf finds the place that the options name; files is not empty.
func startOf(files []File, o ReadOptions) Position {
	newest := files[len(files)-1]
	left := max(0, o.Offset)
	switch {
	case o.From != nil:
		f, ok := fileFrom(files, o.From.Index)
		switch {
		case !ok:
			return Position{newest.Index, newest.Size}
		case f.Index == o.From.Index:
			return *o.From
		default:
			return Position{Index: f.Index}
		}
	case o.Origin == OriginEnd:
		for i := len(files) - 1; i >= 0; i-- {
			if left <= files[i].Size {
				return Position{files[i].Index, files[i].Size - left}
			}
			left -= files[i].Size
		}
		return Position{Index: files[0].Index}
	default:
		for _, f := range files {
			if left < f.Size {
				return Position{f.Index, left}
			}
			left -= f.Size
		}
		return Position{newest.Index, newest.Size}
	}
}

// fileFrom returns the oldest file whose number is at least index.
func fileFrom(files []File, index int) (File, bool) {
	for _, f := range files {
		if f.Index >= index {
			return f, true
		}
	}
	return File{}, false
}
