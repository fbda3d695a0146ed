package logs

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	collectorVersion = 1
	dialTimeout      = 2 * time.Second
	callTimeout      = 30 * time.Second
	// lastAnswer is how long the answer to a request is awaited that nobody wants any more: a collector that is slow could
	// carry it out after another process of the plugin asked how far the output came.
	lastAnswer = 2 * time.Second
	maxReply   = 16 << 20
	// maxAppend is the collector's limit for one append.
	maxAppend = 256 << 10
)

// Collector speaks to the host's log collector. All tasks share one connection; the collector may die and come back.
type Collector struct {
	path string

	mu   sync.Mutex // one request at a time
	conn net.Conn
	in   *bufio.Reader
	seq  uint64

	reachable atomic.Bool
}

// NewCollector returns a client for the collector that listens at path. It connects when it is first needed.
func NewCollector(path string) *Collector {
	c := &Collector{path: path}
	c.reachable.Store(true)
	return c
}

// message is the JSON header of a frame, in both directions.
type message struct {
	Seq     uint64 `json:"seq,omitempty"`
	Op      string `json:"op,omitempty"`
	Version int    `json:"version,omitempty"`
	ID      string `json:"id,omitempty"`
	Cursor  string `json:"cursor,omitempty"`
	Class   string `json:"class,omitempty"`
	Error   string `json:"error,omitempty"`
	Streams []struct {
		ID   string `json:"id"`
		FIFO string `json:"fifo"`
	} `json:"streams,omitempty"`
}

// errCollector is what the collector refused; anything else is a broken connection.
type errCollector struct{ class, text string }

func (e *errCollector) Error() string { return "log collector: " + e.text }

// ErrNoStream is returned if the collector reads no FIFO of that name.
var ErrNoStream = errors.New("the log collector has no such stream")

// Find returns the id of the stream that reads a FIFO.
func (c *Collector) Find(ctx context.Context, fifo string) (string, error) {
	reply, err := c.call(ctx, &message{Op: "list"}, nil)
	if err != nil {
		return "", err
	}
	for _, s := range reply.Streams {
		if s.FIFO == fifo {
			return s.ID, nil
		}
	}
	return "", fmt.Errorf("%w: %s", ErrNoStream, fifo)
}

func (c *Collector) call(ctx context.Context, m *message, payload []byte) (*message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err // it waited for its turn
	}
	reply, err := c.exchange(ctx, m, payload)
	var refused *errCollector
	if err != nil && !errors.As(err, &refused) {
		c.disconnect()
		c.reachable.Store(false)
		return nil, fmt.Errorf("log collector at %s: %w", c.path, err)
	}
	c.reachable.Store(true)
	return reply, err
}

func (c *Collector) exchange(ctx context.Context, m *message, payload []byte) (*message, error) {
	if c.conn == nil {
		if err := c.connect(ctx); err != nil {
			return nil, err
		}
	}
	return c.roundTrip(ctx, m, payload)
}

func (c *Collector) connect(ctx context.Context) error {
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 4<<10)
	_, err = c.roundTrip(ctx, &message{Op: "hello", Version: collectorVersion}, nil)
	return err
}

func (c *Collector) disconnect() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn, c.in = nil, nil
}

func (c *Collector) roundTrip(ctx context.Context, m *message, payload []byte) (*message, error) {
	c.seq++
	m.Seq = c.seq
	deadline := time.Now().Add(callTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = c.conn.SetDeadline(deadline)
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(lastAnswer)) })
	defer stop()
	head, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 8+len(head)), uint32(len(head)))
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(payload)))
	buffers := net.Buffers{append(frame, head...), payload}
	if _, err := buffers.WriteTo(c.conn); err != nil {
		return nil, err
	}
	for {
		reply, err := readFrame(c.in)
		if err != nil {
			return nil, err
		}
		if reply.Seq != m.Seq {
			continue // an event, or the answer to a call that was given up
		}
		if reply.Error != "" || reply.Class != "" {
			return nil, &errCollector{class: reply.Class, text: reply.Error}
		}
		return reply, nil
	}
}

func readFrame(in io.Reader) (*message, error) {
	var sizes [8]byte
	if _, err := io.ReadFull(in, sizes[:]); err != nil {
		return nil, err
	}
	head, payload := binary.BigEndian.Uint32(sizes[:]), binary.BigEndian.Uint32(sizes[4:])
	if head > maxReply || payload > maxReply {
		return nil, fmt.Errorf("answer of %d bytes, limit %d", max(head, payload), maxReply)
	}
	body := make([]byte, head+payload)
	if _, err := io.ReadFull(in, body); err != nil {
		return nil, err
	}
	m := new(message)
	if err := json.Unmarshal(body[:head], m); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	return m, nil
}

// collected is one stream at the collector.
type collected struct {
	collector *Collector
	id        string
}

var _ Sink = (*collected)(nil)

// Sink is one of the collector's streams.
func (c *Collector) Sink(id string) Sink { return &collected{collector: c, id: id} }

func (s *collected) Reachable() bool { return s.collector.reachable.Load() }
func (s *collected) Close() error    { return nil }

func (s *collected) Cursor(ctx context.Context) (string, error) {
	var cursor string
	err := s.persist(ctx, func() error {
		reply, err := s.collector.call(ctx, &message{Op: "cursor", ID: s.id}, nil)
		if err == nil {
			cursor = reply.Cursor
		}
		return err
	})
	return cursor, err
}

// Append may repeat itself after a lost answer: the collector knows a repeat by its cursor. An entry too large for one
// append goes in pieces, of which only the last moves the cursor.
func (s *collected) Append(ctx context.Context, data []byte, cursor string) error {
	for len(data) > maxAppend {
		piece := data[:maxAppend]
		err := s.persist(ctx, func() error {
			_, err := s.collector.call(ctx, &message{Op: "append", ID: s.id}, piece)
			return err
		})
		if err != nil {
			return err
		}
		data = data[maxAppend:]
	}
	return s.persist(ctx, func() error {
		_, err := s.collector.call(ctx, &message{Op: "append", ID: s.id, Cursor: cursor}, data)
		return err
	})
}

// persist waits out a collector that is away, a full disk and a stream that is being opened again.
func (s *collected) persist(ctx context.Context, call func() error) error {
	wait := 20 * time.Millisecond
	for {
		err := call()
		var refused *errCollector
		if err == nil || ctx.Err() != nil {
			return err
		}
		if errors.As(err, &refused) && refused.class != "disk_full" && refused.class != "not_found" {
			return err
		}
		select {
		case <-time.After(wait):
			wait = min(wait*2, time.Second)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
