package tasklog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

const (
	protocolVersion   = 1
	frameHead         = 8
	maxRequestHeader  = 64 << 10
	maxResponseHeader = 16 << 20
)

const (
	opHello  = "hello"
	opOpen   = "open"
	opUpdate = "update"
	opClose  = "close"
	opList   = "list"
	opAppend = "append"
	opCursor = "cursor"
	opRetire = "retire"
	opBye    = "bye"
)

// message is the header of a frame in either direction; the package comment says which fields belong to which request.
type message struct {
	Seq     uint64       `json:"seq,omitempty"`
	Op      string       `json:"op,omitempty"`
	Version int          `json:"version,omitempty"`
	Events  bool         `json:"events,omitempty"`
	PID     int          `json:"pid,omitempty"`
	ID      string       `json:"id,omitempty"`
	Stream  *Stream      `json:"stream,omitempty"`
	Limits  *Limits      `json:"limits,omitempty"`
	Streams []StreamInfo `json:"streams,omitempty"`
	Cursor  string       `json:"cursor,omitempty"`
	Bytes   int64        `json:"bytes,omitempty"`
	Class   string       `json:"class,omitempty"`
	Error   string       `json:"error,omitempty"`
	Event   *Event       `json:"event,omitempty"`
}

func (m *message) fail(err error) {
	m.Class, m.Error = classOf(err), err.Error()
}

func (m *message) err() error {
	if m.Error == "" && m.Class == "" {
		return nil
	}
	return newRemoteError(m.Class, m.Error)
}

// appendFrame adds the frame of m and payload to dst.
func appendFrame(dst []byte, m *message, payload []byte) ([]byte, error) {
	head, err := json.Marshal(m)
	if err != nil {
		return dst, fmt.Errorf("encode %s message: %w", m.Op, err)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(head)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, head...)
	return append(dst, payload...), nil
}

var errFrameSize = errors.New("frame is too large")

// frameSize returns the lengths of header and payload of the frame that b begins with, ok = false if b is too short to
// tell.
func frameSize(b []byte, maxHeader uint32) (header, payload int, ok bool, err error) {
	if len(b) < frameHead {
		return 0, 0, false, nil
	}
	h, p := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if h > maxHeader || p > maxAppend {
		return 0, 0, false, fmt.Errorf("%w: header of %d bytes (limit %d), payload of %d bytes (limit %d)", errFrameSize, h, maxHeader, p, maxAppend)
	}
	return int(h), int(p), true, nil
}

// readMessage reads one frame from the collector; such frames carry no payload.
func readMessage(r io.Reader) (*message, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	h, p, _, err := frameSize(head[:], maxResponseHeader)
	if err != nil {
		return nil, err
	}
	body := make([]byte, h+p)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	m := new(message)
	if err := json.Unmarshal(body[:h], m); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	return m, nil
}
