package tasklog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// session is one client's connection.
type session struct {
	c      *collector
	conn   net.Conn
	events atomic.Bool
	write  sync.Mutex
}

// sendWithin bounds a write to a client that does not read.
const sendWithin = 5 * time.Second

// run handles frames until the client hangs up or sends what makes no sense.
func (s *session) run() {
	defer s.conn.Close()
	r := bufio.NewReaderSize(s.conn, 8<<10)
	for {
		m, payload, err := readRequest(r)
		if err != nil {
			return
		}
		if m.Op == opClose { // answered when the stream is drained; others need not wait for it
			go s.handle(m, payload)
			continue
		}
		s.handle(m, payload)
	}
}

func readRequest(r io.Reader) (*message, []byte, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, nil, err
	}
	h, p, _, err := frameSize(head[:], maxRequestHeader)
	if err != nil {
		return nil, nil, err
	}
	body := make([]byte, h+p)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, nil, err
	}
	m := new(message)
	return m, body[h:], json.Unmarshal(body[:h], m)
}

func (s *session) send(m *message) {
	frame, err := appendFrame(nil, m, nil)
	if err != nil {
		s.c.logf("%v", err)
		return
	}
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(sendWithin))
	if _, err := s.conn.Write(frame); err != nil {
		s.conn.Close()
	}
}

func (s *session) handle(m *message, payload []byte) {
	reply := message{Seq: m.Seq}
	var err error
	switch m.Op {
	case opHello:
		err = s.hello(m, &reply)
	case opOpen:
		err = s.c.open(m.Stream)
	case opUpdate:
		err = s.c.update(m.ID, m.Limits)
	case opClose:
		reply.Bytes, err = s.c.close(m.ID)
	case opList:
		reply.Streams = s.c.list()
	case opAppend:
		err = s.c.append(m.ID, payload, m.Cursor)
	case opCursor:
		reply.Cursor, err = s.c.cursor(m.ID)
	case opRetire:
		reply.PID = os.Getpid()
		defer s.c.end()
	case opBye:
		defer s.bye()
	default:
		err = fmt.Errorf("%w: unknown operation %q", ErrInvalid, m.Op)
	}
	if err != nil {
		reply.fail(err)
	}
	s.send(&reply)
}

func (s *session) hello(m, reply *message) error {
	reply.Version, reply.PID = protocolVersion, os.Getpid()
	if m.Version != protocolVersion {
		return fmt.Errorf("%w: client %d, collector %d", ErrVersion, m.Version, protocolVersion)
	}
	s.events.Store(m.Events)
	if err := s.c.vault.use(m.PID); err != nil {
		s.c.logf("%v", err)
	}
	if m.Events {
		s.c.mu.Lock()
		queued := s.c.queued
		s.c.queued = nil
		s.c.mu.Unlock()
		for _, e := range queued {
			s.send(&message{Event: &e})
		}
	}
	return nil
}

// bye hangs up; a collector that holds nothing and has no other client ends with it.
func (s *session) bye() {
	s.conn.Close()
	s.c.mu.Lock()
	delete(s.c.clients, s)
	s.c.mu.Unlock()
	s.c.endIfIdle()
}

// open makes a stream or confirms the one that is there, with the new limits.
func (c *collector) open(s *Stream) error {
	if s == nil {
		return fmt.Errorf("%w: open without stream", ErrInvalid)
	}
	want := s.withDefaults()
	if err := want.validate(); err != nil {
		return fmt.Errorf("open stream %s: %w", want.ID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.streams[want.ID]
	if h != nil && !h.rec.Stream.samePlace(want) {
		return fmt.Errorf("open stream %s: %w: pipe %q, files %s/%s.*", want.ID, ErrConflict, h.rec.Stream.FIFO, h.rec.Stream.Dir, h.rec.Stream.Prefix)
	}
	if h != nil && h.broken == nil {
		return c.limit(h, Limits{want.MaxFiles, want.MaxFileSize})
	}
	rec := record{Stream: want}
	h, err := c.start(rec, nil)
	if err != nil {
		return err
	}
	if err := c.registry.save(rec); err != nil {
		h.finish()
		return err
	}
	c.streams[want.ID] = h
	return nil
}

// limit changes how much of a stream is kept. c.mu is held.
func (c *collector) limit(h *held, l Limits) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if (Limits{h.rec.Stream.MaxFiles, h.rec.Stream.MaxFileSize}) == l {
		return nil
	}
	rec := h.rec
	rec.Stream.MaxFiles, rec.Stream.MaxFileSize = l.MaxFiles, l.MaxFileSize
	if err := c.registry.save(rec); err != nil {
		return err
	}
	h.rec = rec
	if h.sink != nil {
		h.sink.conf = rec.Stream
		h.sink.prune()
	}
	return nil
}

func (c *collector) update(id string, l *Limits) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.streams[id]
	if h == nil {
		return fmt.Errorf("update stream %s: %w", id, ErrNotFound)
	}
	if l == nil {
		return fmt.Errorf("update stream %s: %w: no limits", id, ErrInvalid)
	}
	want := l.withDefaults()
	if err := want.validate(); err != nil {
		return fmt.Errorf("update stream %s: %w", id, err)
	}
	return c.limit(h, want)
}

// close returns once the last byte is in the file. An unknown id is no error.
func (c *collector) close(id string) (int64, error) {
	c.mu.Lock()
	h := c.streams[id]
	c.mu.Unlock()
	if h == nil {
		return 0, nil
	}
	lost := h.finish()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[id] != h {
		return 0, nil // a repeated close was faster
	}
	delete(c.streams, id)
	if err := os.Remove(c.journalPath(id)); err != nil && !os.IsNotExist(err) {
		return lost, fmt.Errorf("close stream %s: %w", id, err)
	}
	if err := c.registry.forget(id); err != nil {
		return lost, fmt.Errorf("close stream %s: %w", id, err)
	}
	if lost > 0 {
		return lost, fmt.Errorf("close stream %s: %d %w", id, lost, ErrDropped)
	}
	return 0, nil
}

func (c *collector) list() []StreamInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []StreamInfo
	for _, id := range slices.Sorted(maps.Keys(c.streams)) {
		all = append(all, c.streams[id].info())
	}
	return all
}

// live returns a stream that can be appended to, locked.
func (c *collector) live(id string) (*held, error) {
	c.mu.Lock()
	h := c.streams[id]
	c.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("stream %s: %w", id, ErrNotFound)
	}
	h.mu.Lock()
	if h.closing || h.sink == nil {
		defer h.mu.Unlock()
		if h.broken != nil {
			return nil, h.broken
		}
		return nil, fmt.Errorf("stream %s: %w", id, ErrNotFound)
	}
	return h, nil
}

func (c *collector) append(id string, data []byte, cursor string) error {
	if len(cursor) > maxCursor {
		return fmt.Errorf("append to stream %s: %w: cursor has %d bytes, limit %d", id, ErrInvalid, len(cursor), maxCursor)
	}
	h, err := c.live(id)
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	defer h.mu.Unlock()
	if err := h.sink.append(data, cursor); err != nil {
		if isDiskFull(err) {
			return fmt.Errorf("append to stream %s: %w: %v", id, ErrDiskFull, err)
		}
		return fmt.Errorf("append to stream %s: %w", id, err)
	}
	return nil
}

func (c *collector) cursor(id string) (string, error) {
	h, err := c.live(id)
	if err != nil {
		return "", fmt.Errorf("cursor: %w", err)
	}
	defer h.mu.Unlock()
	return h.sink.journal.last.Cursor, nil
}
