package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Source is the engine's record of one container's output.
type Source interface {
	// Logs opens the record from since on (engine's format; empty: the beginning), with time stamps, and follows it.
	Logs(ctx context.Context, container, since string) (io.ReadCloser, error)
	// Ended reports whether the container has ended, so that nothing more will be recorded. Gone is set if it does not
	// exist any more.
	Ended(ctx context.Context, container string) (ended, gone bool, err error)
}

// Sink takes one stream's bytes.
type Sink interface {
	// Cursor returns the text stored by the last Append, empty if there is none.
	Cursor(ctx context.Context) (string, error)
	// Append stores bytes and cursor. It waits and tries again by itself; an error means that it cannot go on.
	Append(ctx context.Context, data []byte, cursor string) error
	// Reachable reports whether somebody takes the bytes at present.
	Reachable() bool
	Close() error
}

const (
	// flushSize is when bytes are handed on although more are at hand. The collector takes up to 256 KiB at a time.
	flushSize = 128 << 10
	// keepBuffer is the most that a quiet stream keeps allocated.
	keepBuffer = 16 << 10
	firstRetry = 200 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// Follower hands a container's output on until the container has ended.
type Follower struct {
	source    Source
	container string
	tty       bool
	sinks     [streams]Sink
	notice    func(message string)

	cancel context.CancelFunc
	done   chan struct{}
	moved  atomic.Int64 // bytes handed on
}

// Follow begins to follow. notice is told what the task's user should know. A nil sink drops its stream.
func Follow(source Source, container string, tty bool, stdout, stderr Sink, notice func(message string)) *Follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &Follower{source: source, container: container, tty: tty, sinks: [streams]Sink{stdout, stderr}, notice: notice, cancel: cancel, done: make(chan struct{})}
	go f.run(ctx)
	return f
}

// Close stops following and waits for it.
func (f *Follower) Close() {
	f.cancel()
	<-f.done
}

// Drain waits until all output of a container that has ended was handed on. It gives up after limit without a byte
// moving while somebody could take one, and says whether all was handed on.
func (f *Follower) Drain(ctx context.Context, limit time.Duration) bool {
	tick := time.NewTicker(max(limit/8, time.Millisecond))
	defer tick.Stop()
	last, since := f.moved.Load(), time.Now()
	for {
		select {
		case <-f.done:
			return true
		case <-ctx.Done():
			return false
		case now := <-tick.C:
			if n := f.moved.Load(); n != last || !f.reachable() {
				last, since = n, now
			}
			if now.Sub(since) > limit {
				return false
			}
		}
	}
}

func (f *Follower) reachable() bool {
	for _, s := range f.sinks {
		if s != nil && !s.Reachable() {
			return false
		}
	}
	return true
}

func (f *Follower) run(ctx context.Context) {
	defer close(f.done)
	defer func() {
		for _, s := range f.sinks {
			if s != nil {
				_ = s.Close()
			}
		}
	}()
	wait := firstRetry
	for ctx.Err() == nil {
		before := f.moved.Load()
		// Whether the container ended is asked before its record is read: what is then read to its end is all.
		ended, gone, askErr := f.source.Ended(ctx, f.container)
		if askErr == nil && gone {
			return
		}
		err := f.once(ctx)
		if errors.Is(err, errNoRecord) {
			f.notice("the output of the container is not collected: " + err.Error())
			return
		}
		if err == nil && askErr == nil && ended {
			return
		}
		if f.moved.Load() != before {
			wait = firstRetry
		}
		if err == nil && askErr == nil {
			// The record ended because the container has; look once more at once.
			if ended, _, askErr = f.source.Ended(ctx, f.container); askErr == nil && ended {
				continue
			}
		}
		select {
		case <-time.After(wait):
			wait = min(wait*2, lastRetry)
		case <-ctx.Done():
		}
	}
}

// errNoRecord: the container's log driver cannot be read back.
var errNoRecord = errors.New("its log driver keeps nothing that could be read")

// NoRecord marks an error of Source.Logs that will not go away.
func NoRecord(err error) error { return fmt.Errorf("%w (%w)", errNoRecord, err) }

// batch is what of one stream waits to be handed on.
type batch struct {
	data   []byte
	filter *filter // its from is the cursor
}

// once reads the record from the cursors to its end.
func (f *Follower) once(ctx context.Context) error {
	var batches [streams]batch
	since := ""
	var earliest time.Time
	begun := 0
	wanted := 0
	for i, s := range f.sinks {
		if s == nil {
			continue
		}
		wanted++
		text, err := s.Cursor(ctx)
		if err != nil {
			return err
		}
		c := ParseCursor(text, f.container)
		batches[i] = batch{filter: newFilter(c)}
		if c.Begun() {
			begun++
			if since == "" || c.Time.Before(earliest) {
				since, earliest = c.since(), c.Time
			}
		}
	}
	if begun < wanted {
		since = "" // one stream has had nothing yet, so anything may be new to it
	}
	body, err := f.source.Logs(ctx, f.container, since)
	if err != nil {
		return err
	}
	defer body.Close()
	r := newReader(body, f.tty)
	for {
		if r.idle() {
			if err := f.flush(ctx, &batches); err != nil {
				return err
			}
		}
		e, err := r.next()
		if err != nil {
			if flushErr := f.flush(ctx, &batches); flushErr != nil {
				return flushErr
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := f.take(ctx, e, &batches); err != nil {
			return err
		}
	}
}

func (f *Follower) take(ctx context.Context, e entry, batches *[streams]batch) error {
	if f.sinks[e.stream] == nil {
		return nil
	}
	b := &batches[e.stream]
	if !b.filter.pass(e.at, time.Now()) {
		return nil
	}
	if b.filter.lost {
		b.filter.lost = false
		const text = "output is missing here: docker rotated its log before it was read"
		b.data = append(b.data, "[drover: "+text+"]\n"...)
		f.notice(text + "; a larger max-size in logging.config helps")
	}
	b.data = append(b.data, e.data...)
	if len(b.data) >= flushSize {
		return f.hand(ctx, e.stream, b)
	}
	return nil
}

func (f *Follower) flush(ctx context.Context, batches *[streams]batch) error {
	for i := range batches {
		if err := f.hand(ctx, Stream(i), &batches[i]); err != nil {
			return err
		}
	}
	return nil
}

// hand stores what waits together with how far it came.
func (f *Follower) hand(ctx context.Context, stream Stream, b *batch) error {
	if len(b.data) == 0 {
		return nil
	}
	if err := f.sinks[stream].Append(ctx, b.data, b.filter.from.String()); err != nil {
		return err
	}
	f.moved.Add(int64(len(b.data)))
	if cap(b.data) > keepBuffer {
		b.data = nil
	}
	b.data = b.data[:0]
	return nil
}
