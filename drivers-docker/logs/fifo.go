package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// cursorRecord is the fixed size of a stored cursor: one write, which a kill does not tear.
const cursorRecord = 256

// pipe writes into the FIFO that a host reads, for hosts without a collector that stores cursors. How far it came is kept
// in a file beside; a plugin killed between the two repeats its last write.
type pipe struct {
	fifo   *os.File
	record string

	once sync.Once
}

var _ Sink = (*pipe)(nil)

// OpenPipe opens a FIFO, a named pipe or a file. record is the file for the cursor; empty keeps none.
func OpenPipe(path, record string) (Sink, error) {
	f, err := openOutput(path)
	if err != nil {
		return nil, fmt.Errorf("open output %s: %w", path, err)
	}
	return &pipe{fifo: f, record: record}, nil
}

func (p *pipe) Reachable() bool { return true }

func (p *pipe) Cursor(context.Context) (string, error) {
	if p.record == "" {
		return "", nil
	}
	f, err := os.OpenFile(p.record, os.O_RDONLY|recordFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read log cursor: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, cursorRecord))
	if err != nil {
		return "", fmt.Errorf("read log cursor: %w", err)
	}
	return string(bytes.TrimRight(data, " \n")), nil
}

func (p *pipe) Append(ctx context.Context, data []byte, cursor string) error {
	// A write waits while the pipe is full; the context ends that.
	stop := context.AfterFunc(ctx, func() { _ = p.fifo.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := p.fifo.Write(data); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("write output: %w", err)
	}
	if p.record == "" {
		return nil
	}
	return p.store(cursor)
}

func (p *pipe) store(cursor string) error {
	f, err := os.OpenFile(p.record, os.O_WRONLY|os.O_CREATE|recordFlags, 0o600)
	if err != nil {
		return fmt.Errorf("store log cursor: %w", err)
	}
	defer f.Close()
	line := append([]byte(cursor), bytes.Repeat([]byte{' '}, max(cursorRecord-len(cursor)-1, 0))...)
	if _, err := f.WriteAt(append(line, '\n'), 0); err != nil {
		return fmt.Errorf("store log cursor: %w", err)
	}
	return nil
}

func (p *pipe) Close() error {
	var err error
	p.once.Do(func() { err = p.fifo.Close() })
	return err
}
