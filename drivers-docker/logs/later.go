package logs

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"
)

// later is a sink that is opened when it is first needed, and waits for it.
type later struct {
	open func(ctx context.Context) (Sink, error)

	mu   sync.Mutex
	sink Sink
	away bool
}

var _ Sink = (*later)(nil)

// Later returns a sink that opens itself in its first call. An open that fails is repeated, unless there is no file.
func Later(open func(ctx context.Context) (Sink, error)) Sink { return &later{open: open} }

func (l *later) get(ctx context.Context) (Sink, error) {
	wait := 20 * time.Millisecond
	for {
		l.mu.Lock()
		sink := l.sink
		l.mu.Unlock()
		if sink != nil {
			return sink, nil
		}
		sink, err := l.open(ctx)
		l.mu.Lock()
		l.sink, l.away = sink, err != nil
		l.mu.Unlock()
		if err == nil {
			return sink, nil
		}
		if ctx.Err() != nil || errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		select {
		case <-time.After(wait):
			wait = min(wait*2, time.Second)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *later) Cursor(ctx context.Context) (string, error) {
	sink, err := l.get(ctx)
	if err != nil {
		return "", err
	}
	return sink.Cursor(ctx)
}

func (l *later) Append(ctx context.Context, data []byte, cursor string) error {
	sink, err := l.get(ctx)
	if err != nil {
		return err
	}
	return sink.Append(ctx, data, cursor)
}

func (l *later) Reachable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.away && (l.sink == nil || l.sink.Reachable())
}

func (l *later) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sink == nil {
		return nil
	}
	return l.sink.Close()
}
