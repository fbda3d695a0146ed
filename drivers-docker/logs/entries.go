package logs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Stream is one of a container's outputs.
type Stream int

// The streams. A container with a terminal has only Stdout.
const (
	Stdout Stream = iota
	Stderr
	streams
)

// entry is one record of the engine's log. Data is valid until the next one is read.
type entry struct {
	stream Stream
	at     time.Time
	data   []byte
}

const (
	// frameHead is stream type, three zeros, and the length of what follows, big endian.
	frameHead = 8
	// maxEntry bounds what is believed of a length; engines cut lines at 16 KiB.
	maxEntry = 4 << 20
	// stampLen is a time stamp in UTC with nine digits, and a space.
	stampLen = len("2006-01-02T15:04:05.000000000Z ")
	// cut is where engines cut long lines.
	cut = 16 << 10
)

var errDaemon = errors.New("the engine reports a problem with the log")

// reader takes the engine's answer apart, which has a time stamp before each entry.
type reader struct {
	in  *bufio.Reader
	tty bool
	buf []byte
	// pending is the time stamp of a terminal's line that was cut.
	pending time.Time
}

func newReader(in io.Reader, tty bool) *reader {
	return &reader{in: bufio.NewReaderSize(in, 32<<10), tty: tty}
}

// idle reports whether nothing more can be read without waiting.
func (r *reader) idle() bool { return r.in.Buffered() < frameHead }

func (r *reader) next() (entry, error) {
	if r.tty {
		return r.nextLine()
	}
	head, err := r.in.Peek(frameHead)
	if err != nil {
		return entry{}, unexpected(err, len(head))
	}
	kind, length := head[0], int(binary.BigEndian.Uint32(head[4:]))
	if length > maxEntry {
		return entry{}, fmt.Errorf("log entry of %d bytes, limit %d", length, maxEntry)
	}
	if _, err := r.in.Discard(frameHead); err != nil {
		return entry{}, err
	}
	if cap(r.buf) < length {
		r.buf = make([]byte, length)
	}
	r.buf = r.buf[:length]
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		return entry{}, unexpected(err, 1)
	}
	switch kind {
	case 1, 2:
	case 3:
		return entry{}, fmt.Errorf("%w: %s", errDaemon, r.buf)
	default:
		return entry{}, fmt.Errorf("log entry of unknown kind %d", kind)
	}
	at, data, err := stamp(r.buf)
	return entry{stream: Stream(kind - 1), at: at, data: data}, err
}

// nextLine reads a terminal's log, which has no frames: an entry ends with its line, or where the engine cuts.
func (r *reader) nextLine() (entry, error) {
	head, err := r.in.Peek(stampLen)
	if len(head) < stampLen {
		return entry{}, unexpected(err, len(head))
	}
	at, _, err := stamp(head)
	if err != nil {
		return entry{}, err
	}
	if _, err := r.in.Discard(stampLen); err != nil {
		return entry{}, err
	}
	r.buf = r.buf[:0]
	for len(r.buf) < cut {
		c, err := r.in.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return entry{}, err
		}
		r.buf = append(r.buf, c)
		if c == '\n' {
			break
		}
	}
	// A line of exactly the cut's length still has its end of line to come.
	if len(r.buf) == cut && r.buf[cut-1] != '\n' {
		if c, err := r.in.Peek(1); err == nil && c[0] == '\n' {
			_, _ = r.in.Discard(1)
			r.buf = append(r.buf, '\n')
		}
	}
	return entry{stream: Stdout, at: at, data: r.buf}, nil
}

// stamp takes the time off an entry.
func stamp(b []byte) (time.Time, []byte, error) {
	for i, c := range b {
		if c != ' ' {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, string(b[:i]))
		if err != nil {
			break
		}
		return at.UTC(), b[i+1:], nil
	}
	return time.Time{}, nil, fmt.Errorf("log entry without a time stamp: %.40q", b)
}

// unexpected tells an end between entries from one within.
func unexpected(err error, had int) error {
	if errors.Is(err, io.EOF) && had > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}
